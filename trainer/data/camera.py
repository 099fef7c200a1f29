"""What a camera does to all that it sees: colours, focus, grain, JPEG. Truths stay as they are."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from vmfm.trainer.data.dice import Dice

# Quantisation of quality 50, as ISO/IEC 10918-1 annex K suggests and most encoders use; rows are vertical frequencies.
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
QUALITY = (25.0, 90.0)
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def camera(image: Tensor, jpeg_chance: float, dice: Dice) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Exposure, white balance, contrast, lost colour; then blur and noise; then, for some pictures, JPEG.

    image (N, 3, H, W) in [0, 1], H and W multiples of 16.
    Returns the image, and all but the blur as a function for the foreground and backgrounds behind it: they get the very
    same grain and blocks, else a discriminator would tell composites by them.
    """
    balance, gamma = dice.uniform(0.9, 1.1, channels=3), dice.uniform(0.7, 1.4)
    contrast, mean = dice.uniform(0.75, 1.25), image.mean((1, 2, 3), keepdim=True)
    grey = dice.chance(0.04) + dice.uniform(-0.3, 0.35).clamp(0, 1)

    def colours(x: Tensor) -> Tensor:
        x = ((x * balance).clamp(1e-4, 1) ** gamma - mean) * contrast + mean
        luma = 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]
        return torch.lerp(x, luma, grey.clamp(0, 1)).clamp(0, 1)

    image = colours(image)
    if soft := dice.chosen(0.3):
        at, amount = dice.send(soft), dice.send([dice.own[i].random() for i in soft])
        image = image.index_copy(0, at, torch.lerp(image[at], blur(image[at], 1.6), amount.view(-1, 1, 1, 1)))
    noise = dice.normal(*image.shape[1:]) * dice.uniform(-0.03, 0.05).clamp(min=0)
    image = (image + noise).clamp(0, 1)
    stored = dice.chosen(jpeg_chance)
    if not stored:
        return image, lambda x: (colours(x) + noise).clamp(0, 1)
    at, quality = dice.send(stored), dice.send([dice.own[i].uniform(*QUALITY) for i in stored])
    compressed = jpeg(image[at], quality)
    loss = compressed - image[at]

    def seen(x: Tensor) -> Tensor:
        return (colours(x) + noise).clamp_(0, 1).index_add_(0, at, loss).clamp_(0, 1)

    return image.index_copy(0, at, compressed), seen


def blur(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian of `sigma` pixels over image (N, C, H, W)."""
    channels = image.shape[1]
    radius = max(1, round(2 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=image.device) / sigma) ** 2)
    taps = (taps / taps.sum()).expand(channels, 1, 1, -1)
    padded = F.pad(image, (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, taps, groups=channels), taps.transpose(2, 3), groups=channels)


def jpeg(image: Tensor, quality: Tensor) -> Tensor:
    """What is left of image (N, 3, H, W) in [0, 1] after JPEG with chroma at half the size (4:2:0).

    H and W are multiples of 16; quality (N,) in 1 .. 100, as encoders count it.
    """
    device = image.device
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1, 1, 1) / 100
    luma, chroma = ((_on(device, table) * scale).round().clamp(1, 255) for table in (LUMA, CHROMA))
    ycc = torch.einsum("ij,njhw->nihw", _on(device, TO_YCC), 255 * image)
    light = _quantise(ycc[:, :1] - 128, luma) + 128
    colour = F.interpolate(_quantise(F.avg_pool2d(ycc[:, 1:], 2), chroma), scale_factor=2, mode="bilinear")
    rgb = torch.einsum("ij,njhw->nihw", _on(device, TO_RGB), torch.cat((light, colour), 1))
    return (rgb / 255).clamp(0, 1)


def _quantise(planes: Tensor, table: Tensor) -> Tensor:
    """planes (N, C, H, W) with the cosine coefficients of each 8x8 block rounded to multiples of table (N, 1, 1, 8, 8)."""
    n, c, height, width = planes.shape
    transform = _cosines(planes.device)
    blocks = planes.view(n, c, height // 8, 8, width // 8, 8).transpose(3, 4)
    coefficients = transform @ blocks @ transform.T
    table = table[:, None]
    blocks = transform.T @ ((coefficients / table).round() * table) @ transform
    return blocks.transpose(3, 4).reshape(n, c, height, width)


@cache
def _on(device: torch.device, table: tuple[tuple[float, ...], ...]) -> Tensor:
    """The table as float32 on the device. Sent but once: every sending waits until the device has done all it was told."""
    return torch.tensor(table, dtype=torch.float32, device=device)


@cache
def _cosines(device: torch.device) -> Tensor:
    """The orthonormal DCT-II of eight values, (8, 8): rows are frequencies."""
    k = np.arange(8)
    rows = np.cos(math.pi * (2 * k + 1) * k[:, None] / 16) * np.where(k, 0.5, math.sqrt(1 / 8))[:, None]
    return torch.tensor(rows, dtype=torch.float32, device=device)
