"""What the runtime does between the nets and the refinement, as tensors: enlarge, choose patches, gather them.

The runtime's NumPy operations are the definition (`runtime/upsample.py`, `runtime/patches.py`); a test holds the two
together. The refinement is trained on exactly what it will be given.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RADIUS_PX, EDGE_CONTRAST, PATCH_PX, SOFTNESS, DRAW, REACH = 1, 0.03, 16, 0.05, 6.0, 0.028
NOISE_ALPHA, NOISE_COLOUR = 0.01, 0.004  # what frames and half precision add: standard deviations in [0, 1]
SURE, UNSURE, LEVELS, MIDDLE = 0.02, 0.15, 256, (PATCH_PX - 1) / 2


def luminance(image: Tensor) -> Tensor:
    """(N, 3, H, W) RGB -> (N, 1, H, W)."""
    return 0.299 * image[:, 0:1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:3]


def fuse(alpha_s: Tensor, deviation_s: Tensor, alpha_d: Tensor, deviation_d: Tensor) -> tuple[Tensor, Tensor]:
    """(alpha, deviation): in every region mostly the net with the lower deviation; in a draw, the lower alpha."""
    surer = _box(deviation_s - deviation_d, round(REACH * (alpha_s.shape[-2] * alpha_s.shape[-1]) ** 0.5))
    weight = torch.sigmoid(-surer / SOFTNESS - DRAW * (alpha_s - alpha_d))
    return torch.lerp(alpha_d, alpha_s, weight), torch.lerp(deviation_d, deviation_s, weight)


def _box(x: Tensor, radius: int) -> Tensor:
    """Means over (2 radius + 1)^2 pixels, the border mirrored with its edge; (N, 1, H, W), radius up to H and W."""
    if radius == 0:
        return x
    for axis in (2, 3):
        first, last = x.narrow(axis, 0, radius), x.narrow(axis, x.shape[axis] - radius, radius)
        x = torch.cat((first.flip(axis), x, last.flip(axis)), axis)
    return F.avg_pool2d(x, 2 * radius + 1, stride=1)


def guided_upsample(alpha: Tensor, image: Tensor, fine_image: Tensor) -> Tensor:
    """alpha (N, 1, h, w) and image (N, 3, h, w) -> alpha (N, 1, H, W) whose edges fall on those of fine_image (N, 3, H, W)."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (RADIUS_PX,) * 4, mode="replicate"), 2 * RADIUS_PX + 1, stride=1)

    y = luminance(image)
    covariance = mean(y * alpha) - mean(y) * mean(alpha)
    slope = covariance / ((mean(y * y) - mean(y) ** 2).clamp(min=0) + EDGE_CONTRAST**2)
    offset = alpha - slope * y  # each pixel's own, so that no detail is averaged away
    size = fine_image.shape[-2:]
    slope, offset = (F.interpolate(v, size=size, mode="bilinear") for v in (slope, offset))
    return (slope * luminance(fine_image) + offset).clamp(0, 1)


def top_patches(deviation: Tensor, count: int) -> Tensor:
    """deviation (N, 1, H, W) -> top-left corners (N, count, 2) as (row, column) of the `count` least sure 16x16 patches.

    The 16x16 cells of the highest pixels, whole ones only; a patch lies around the middle of its cell's deviation.
    """
    height, width = deviation.shape[-2:]
    peaks = F.max_pool2d(deviation, PATCH_PX)
    best = peaks.flatten(1).topk(min(count, peaks[0].numel())).indices
    weights = (deviation * LEVELS).floor().double() ** 4
    places = [torch.arange(side, device=deviation.device) % PATCH_PX for side in (height, width)]
    sums = [weights, weights * places[0][:, None], weights * places[1]]
    total, down, right = (F.avg_pool2d(x, PATCH_PX, divisor_override=1).flatten(1).gather(1, best) for x in sums)
    corners = []
    for cell, moment, side in ((best // peaks.shape[-1], down, height), (best % peaks.shape[-1], right, width)):
        middle = torch.where(total > 0, moment / total.clamp(min=1), MIDDLE) + cell * PATCH_PX
        corners.append((middle.float() - MIDDLE).round().long().clamp(0, side - PATCH_PX))
    return torch.stack(corners, -1)


def put_back(alpha: Tensor, refined: Tensor, deviation: Tensor) -> Tensor:
    """What a patch makes of the matte by itself, its place in its middle; all (K, 1, 16, 16), deviation that of the pixels."""
    return torch.lerp(alpha, refined, _window(alpha.device) * _unsure(deviation))


def unsteadiness(net: nn.Module, patches: Tensor, refined: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """How far a refinement changes its mind without a reason: squared differences, and how much they count.

    The difference is between what it says of patches (K, 4, 16, 16), which is refined (K, 1, 16, 16), and what it says of
    them with a row and a column less and a little noise. From frame to frame a patch moves by a pixel and its numbers
    by their rounding; the matte must not. deviation (K, 1, 16, 16): that of the pixels. Both results (2 K, 1, 15, 15).
    """
    noisy = patches + _noise(patches.device)
    counts = _window(patches.device) * _unsure(deviation)
    parts = [(..., part, part) for part in (slice(1, None), slice(None, -1))]
    changes = torch.cat([(net(noisy[part]) - refined[part]) ** 2 for part in parts])
    return changes, torch.cat([counts[part] for part in parts])


@cache
def _noise(device: torch.device) -> Tensor:
    """(1, 4, 16, 16), always the same. Sent but once: a device that records its steps can be sent nothing meanwhile."""
    noise = torch.randn(1, 4, PATCH_PX, PATCH_PX, generator=torch.Generator().manual_seed(0))
    return (noise * torch.tensor([NOISE_ALPHA, *[NOISE_COLOUR] * 3])[:, None, None]).to(device)


def _window(device: torch.device) -> Tensor:
    """(16, 16): a patch's weight where its place is its middle."""
    window = torch.cos(torch.pi * (torch.arange(PATCH_PX, device=device) - MIDDLE) / PATCH_PX)
    return window[:, None] * window


def _unsure(deviation: Tensor) -> Tensor:
    """How far a pixel is the refinement's to change."""
    return ((deviation - SURE) / (UNSURE - SURE)).clamp(0, 1)


def gather(planes: Tensor, corners: Tensor) -> Tensor:
    """planes (N, C, H, W), corners (N, K, 2) -> patches (N * K, C, 16, 16)."""
    offsets = torch.arange(PATCH_PX, device=planes.device)
    rows = corners[..., 0, None, None] + offsets[:, None]
    columns = corners[..., 1, None, None] + offsets
    n, c, _, width = planes.shape
    flat = (rows * width + columns).flatten(1)[:, None].expand(-1, c, -1)
    patches = planes.flatten(2).gather(2, flat).view(n, c, corners.shape[1], PATCH_PX, PATCH_PX)
    return patches.transpose(1, 2).flatten(0, 1)
