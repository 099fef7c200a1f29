"""Motion blur: what moves while the shutter is open. Alpha is the share of that time, so Eq. 1 stays exact."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from vmfm.trainer.data.dice import Dice
from vmfm.trainer.data.samples import ALPHA, PERSON

FOREGROUND, BACKGROUND = 0, 1  # who moves; the third possibility is both
LONGEST = 0.04  # of the picture's height: how far a thing may move in one exposure


def streak(planes: Tensor, dx: float, dy: float) -> Tensor:
    """planes (C, H, W) averaged along a line of (dx, dy) pixels through each pixel; (0, 0) changes nothing.

    Beyond the border lies what is at the border.
    """
    steps = max(1, round(max(abs(dx), abs(dy)))) + 1
    places = [(round(dx * t), round(dy * t)) for t in np.linspace(-0.5, 0.5, steps)]
    reach = max(max(abs(x), abs(y)) for x, y in places)
    if reach == 0:
        return planes
    height, width = planes.shape[-2:]
    padded = F.pad(planes[None], (reach,) * 4, mode="replicate")[0]
    total = torch.zeros_like(planes)
    for x, y in places:
        total += padded[:, reach + y : reach + y + height, reach + x : reach + x + width]
    return total / steps


def move(rgb: Tensor, alpha: Tensor, person: Tensor, dx: float, dy: float) -> tuple[Tensor, Tensor, Tensor]:
    """rgb (3, H, W), alpha and person (1, H, W) of a foreground that moves by (dx, dy) pixels in one exposure.

    What reaches the sensor is the mean of alpha F; so alpha is blurred as it is, and F as alpha F / alpha.
    """
    streaked = streak(torch.cat((alpha * rgb, alpha, person)), dx, dy)
    colour, alpha, person = streaked.split((3, 1, 1))
    return torch.where(alpha > 1e-3, colour / alpha.clamp(min=1e-3), rgb), alpha, person


def shake(planes: Tensor, behind: Tensor, chances: np.ndarray, dice: Dice) -> tuple[Tensor, Tensor]:
    """Of some pictures the foreground moves, of some the background (the camera follows), of some both (it shakes).

    planes (N, 8, H, W): RGB and samples.PLANES of the foreground; behind (N, 3, H, W); chances (N,), of each picture.
    """
    chosen = dice.chosen(chances)
    if not chosen:
        return planes, behind
    planes, behind = planes.clone(), behind.clone()
    for i in chosen:
        rng = dice.own[i]
        length, angle = rng.uniform(0.2, 1) * LONGEST * planes.shape[-2], rng.normal(0, 0.6)  # mostly sideways
        by = length * math.cos(angle), length * math.sin(angle)
        who = rng.integers(3)
        if who != BACKGROUND:
            planes[i, :3], planes[i, ALPHA], planes[i, PERSON] = move(
                planes[i, :3], planes[i, ALPHA], planes[i, PERSON], *by
            )
        if who != FOREGROUND:
            behind[i] = streak(behind[i], *by)
    return planes, behind
