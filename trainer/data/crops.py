"""Where to look: the affine map from an output picture back to the source, one per sample."""

import math

import numpy as np
import torch
from torch import Tensor
from vmfm.trainer.data.interactions import Box
from vmfm.trainer.data.store import Placement

BORDER = 0.5  # source pixels: what is drawn nearer to where the source ends is half what lies beyond it


def photo_crop(place: Placement, aspect: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """(x, y, height) in source pixels of a crop that lies inside the photo; its width is height * aspect.

    Half of the time as large as the photo allows, as the running stream would see it; it always looks at the person.
    """
    limit = min(place.height - 2 * BORDER, (place.width - 2 * BORDER) / aspect)
    height = limit * (1.0 if rng.random() < 0.5 else rng.uniform(0.5, 1.0))
    width = height * aspect
    x0, y0, x1, y1 = place.box or (0, 0, place.width, place.height)
    # aim inside the foreground; upper body more often than feet, as webcams do
    aim_x = rng.uniform(0.35, 0.65) * (x1 - x0) + x0
    aim_y = rng.beta(1.2, 1.8) * (y1 - y0) + y0
    if height >= y1 - y0:
        aim_y = (y0 + y1) / 2 + rng.uniform(-0.2, 0.2) * height
    if width >= x1 - x0:
        aim_x = (x0 + x1) / 2 + rng.uniform(-0.25, 0.25) * width
    x = float(np.clip(aim_x - width / 2, BORDER, max(BORDER, place.width - BORDER - width)))
    y = float(np.clip(aim_y - height / 2, BORDER, max(BORDER, place.height - BORDER - height)))
    return x, y, height


def cutout_crop(place: Placement, aspect: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """(x, y, height) of a crop that may reach beyond the source, since a new background fills what is empty.

    Where the source cuts the person off (a desk, a picture's border), the crop ends there too: nobody floats.
    """
    x0, y0, x1, y1 = place.box or (0, 0, place.width, place.height)
    fill = rng.uniform(0.4, 1.3)
    height = max((y1 - y0) / fill, (x1 - x0) / (fill * aspect), 16.0)
    left, right, bottom = x0 <= 1, x1 >= place.width - 1, y1 >= place.height - 1
    if left and right:
        height = min(height, (place.width - 2 * BORDER) / aspect)
    width = height * aspect
    if height >= y1 - y0:
        y = y0 - rng.uniform(0.02, 0.98) * (height - (y1 - y0))
    else:
        y = y0 - 0.05 * height + rng.beta(1, 2) * (1.1 * (y1 - y0) - height if 1.1 * (y1 - y0) > height else 0)
    x = (x0 + x1) / 2 - width * rng.uniform(0.3, 0.7)
    if bottom:
        y = min(y, place.height - BORDER - height)
    if right:
        x = min(x, place.width - BORDER - width)
    if left:
        x = max(x, BORDER)
    return x, y, height


def choose(place: Placement, aspect: float, rng: np.random.Generator) -> np.ndarray:
    """A 2x3 matrix from output coordinates in [0, 1]^2 (x right, y down) to source pixels: crop, flip, small turn."""
    x, y, height = (cutout_crop if place.cutout else photo_crop)(place, aspect, rng)
    width = height * aspect
    flip = -1.0 if rng.random() < 0.5 else 1.0
    cut_off = place.box is not None and (
        place.box[0] <= 1 or place.box[2] >= place.width - 1 or place.box[3] >= place.height - 1
    )
    angle = math.radians(rng.uniform(-10, 10)) if place.cutout and not cut_off else 0.0
    c, s = math.cos(angle), math.sin(angle)
    linear = np.array([[c * width * flip, -s * height], [s * width * flip, c * height]])
    return _about(linear, (0.5, 0.5), (x + width / 2, y + height / 2))


def widened(matrix: np.ndarray, height: float) -> np.ndarray:
    """The matrix, looking at the same middle, at no less than `height` source pixels; maybe beyond the source."""
    factor = max(1.0, height / float(np.linalg.norm(matrix[:, 1])))
    return _about(matrix[:, :2] * factor, (0.5, 0.5), matrix[:, :2] @ (0.5, 0.5) + matrix[:, 2])


def mirrored(grid: Tensor, sizes: Tensor) -> Tensor:
    """grid (N, H, W, 2) of source pixels, of sources that go on as their mirror images; sizes (N, 2): width, height."""
    sizes = sizes[:, None, None]
    folded = sizes - (sizes - grid % (2 * sizes)).abs()
    return torch.minimum(folded.clamp(min=0.5), sizes - 0.5)


def onto(place: Placement, box: Box, mirrored: bool) -> np.ndarray:
    """The matrix, as of `choose`, that shows all of the source in `box` (x, y, width, height) of the output."""
    x, y, width, height = box
    linear = np.diag([place.width / width * (-1 if mirrored else 1), place.height / height])
    return _about(linear, (x + width / 2, y + height / 2), (place.width / 2, place.height / 2))


def _about(linear: np.ndarray, output: tuple[float, float], source: tuple[float, float]) -> np.ndarray:
    """The linear map (2, 2) as a 2x3 matrix that takes the point `output` to the point `source`."""
    return np.concatenate((linear, (source - linear @ output)[:, None]), axis=1).astype(np.float32)


def move_box(box: tuple[int, int, int, int], matrix: np.ndarray) -> Box:
    """A box x0, y0, x1, y1 in source pixels -> x, y, width, height in output coordinates of `choose`, upright."""
    corners = np.array([(x, y) for x in box[::2] for y in box[1::2]]) - matrix[:, 2]
    corners = corners @ np.linalg.inv(matrix[:, :2]).T
    low, high = corners.min(0), corners.max(0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """matrices (N, 2, 3) of `choose` -> source pixel of every output pixel's centre, (N, height, width, 2)."""
    device = matrices.device
    v = (torch.arange(height, device=device) + 0.5) / height
    u = (torch.arange(width, device=device) + 0.5) / width
    points = torch.stack(
        (u.expand(height, width), v[:, None].expand(height, width), torch.ones(height, width, device=device)), -1
    )
    return torch.einsum("nij,hwj->nhwi", matrices, points)


def move_points(points: np.ndarray, matrices: np.ndarray, height: int, width: int) -> np.ndarray:
    """points (N, P, 4) x, y, sigma, confidence in source pixels -> in output pixels; those outside get confidence 0."""
    linear, offset = matrices[:, :, :2], matrices[:, :, 2]
    unit = (points[..., :2] - offset[:, None]) @ np.linalg.inv(linear).transpose(0, 2, 1)
    scale = height / np.linalg.norm(linear[:, :, 1], axis=1)
    inside = ((unit > -0.02) & (unit < 1.02)).all(-1)
    moved = (unit * (width, height), points[..., 2:3] * scale[:, None, None], (points[..., 3] * inside)[..., None])
    return np.concatenate(moved, axis=-1).astype(np.float32)
