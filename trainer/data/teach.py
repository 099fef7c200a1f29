"""Labels for unlabelled photos from an earlier model, only where it has no doubt.

A pixel is taken where both foreground nets, on the photo and on its mirror image, say the same and CL expects no
error; the rest stays unknown. This is complementary learning's idea (section 3.2) as a data step: what is reliable in
one view teaches the views where it is not.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from vmfm.trainer.data.folders import UNKNOWN
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.files import write_whole
from vmfm.trainer.images import encode, read
from vmfm.trainer.model import VMFM

FOREGROUND, BACKGROUND = 255, 0
SURE = 0.9  # of foreground; background is sure below 1 - SURE
MOST_DEVIATION = 0.35  # CL must expect less than this


def net_size(height: int, width: int, budget: int) -> tuple[int, int]:
    """(H, W) in multiples of 32 with the picture's aspect and about `budget` pixels."""
    scale = (budget / (height * width)) ** 0.5
    return max(32, round(height * scale / 32) * 32), max(32, round(width * scale / 32) * 32)


@torch.no_grad()
def reliable(model: VMFM, photo: np.ndarray) -> np.ndarray:
    """photo uint8 (H, W, 3) RGB -> uint8 (H, W) of FOREGROUND, BACKGROUND and UNKNOWN."""
    height, width = photo.shape[:2]
    h, w = net_size(height, width, model.config.pixel_budget)
    small = torch.from_numpy(cv2.resize(photo, (w, h), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)[None] / 255
    images = torch.cat((small, small.flip(-1)))
    seen = model(images)
    alphas = torch.cat((seen.alpha_s, seen.alpha_d), 1)
    deviations = torch.cat(
        (model.complementary.s(images, seen.alpha_s), model.complementary.d(images, seen.alpha_d)), 1
    )
    alphas, deviations = (torch.cat((v[0], v[1].flip(-1))) for v in (alphas, deviations))
    label = torch.full((h, w), UNKNOWN, dtype=torch.uint8)
    trusted = deviations.amax(0) < MOST_DEVIATION
    label[trusted & (alphas.amin(0) > SURE)] = FOREGROUND
    label[trusted & (alphas.amax(0) < 1 - SURE)] = BACKGROUND
    return cv2.resize(label.numpy(), (width, height), interpolation=cv2.INTER_NEAREST)


def teach_folder(
    model: VMFM, folder: Path, out: Path, *, progress: Callable[[int, int, str], None] = lambda *_: None
) -> dict[str, int]:
    """Writes NAME.png into `out` for every `folder`/images/NAME.jpg; what is there already is kept. Returns counts."""
    out.mkdir(parents=True, exist_ok=True)
    photos = sorted((folder / "images").glob("*.jpg"))
    if not photos:
        raise TrainerError(f"no photos in {folder / 'images'}; name a folder that holds images/NAME.jpg")
    todo = [photo for photo in photos if not (out / f"{photo.stem}.png").exists()]
    for done, photo in enumerate(todo, start=1):
        write_whole(out / f"{photo.stem}.png", encode(reliable(model, read(photo)), ".png"))
        progress(done, len(todo), photo.stem)
    return {"taught": len(todo), "kept": len(photos) - len(todo)}
