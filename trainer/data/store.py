"""All training pictures as tensors on the training device, so that no loader ever starves it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from vmfm.trainer.data.interactions import sigma
from vmfm.trainer.data.samples import PLANES, Sample

MAX_POINTS = 8


@dataclass(frozen=True)
class Placement:
    """What the cropper must know of one picture, in canvas pixels."""

    width: int
    height: int
    box: tuple[int, int, int, int] | None  # x0, y0, x1, y1 of the foreground; None where nobody is or nobody knows
    cutout: bool


class Store:
    """Pictures of one folder as `canvases` (S, 3 + planes, side, side) uint8: RGB, then `planes`, top left aligned.

    points (S, MAX_POINTS, 4) float32 on the host: x, y, sigma in canvas pixels and confidence. lone (S, MAX_POINTS) on the
    host: 1 where a point is of a person without a thing. depth_known and sure_points (S,) on the host: 1 where there is a
    depth map, and where the points are all there are. Beyond a picture's size the planes are 0, that is: known background.
    """

    def __init__(
        self, samples: list[Sample], side: int, device: torch.device, planes: tuple[str, ...] = PLANES
    ) -> None:
        self.placements: list[Placement] = []
        canvases = np.zeros((len(samples), 3 + len(planes), side, side), np.uint8)
        points = np.zeros((len(samples), MAX_POINTS, 4), np.float32)
        lone = np.zeros((len(samples), MAX_POINTS), np.float32)
        depth_known = np.zeros(len(samples), np.float32)
        sure = np.zeros(len(samples), np.float32)
        for i, sample in enumerate(samples):
            scale = side / max(sample.rgb.shape[:2])
            height, width = (max(1, round(v * scale)) for v in sample.rgb.shape[:2])
            canvases[i, :3, :height, :width] = _fit(sample.rgb, width, height).transpose(2, 0, 1)
            for c, plane in enumerate(planes, start=3):
                values = getattr(sample, plane)
                if values is not None:
                    canvases[i, c, :height, :width] = _fit(values, width, height)
                elif plane.endswith("_unknown") and getattr(sample, plane.removesuffix("_unknown")) is None:
                    canvases[i, c, :height, :width] = 255
            for j, point in enumerate(sample.points[:MAX_POINTS]):
                points[i, j] = point.x * scale, point.y * scale, sigma(point) * scale, point.confidence
                lone[i, j] = point.lone
            depth_known[i] = sample.depth is not None
            sure[i] = sample.sure_points and len(sample.points) <= MAX_POINTS
            x, y, w, h = cv2.boundingRect((canvases[i, 3, :height, :width] > 127).astype(np.uint8))
            self.placements.append(Placement(width, height, (x, y, x + w, y + h) if w else None, sample.cutout))
        self.canvases = torch.from_numpy(canvases).to(device)
        self.points, self.lone, self.depth_known, self.sure_points = points, lone, depth_known, sure

    def __len__(self) -> int:
        return len(self.placements)

    def crop(self, indices: Tensor, grid: Tensor, channels: int | None = None) -> Tensor:
        """Samples `canvases[indices]` at `grid` (N, H, W, 2) of canvas pixels -> (N, C, H, W) float32 in [0, 1].

        channels: only the first C of them.
        """
        side = self.canvases.shape[-1]
        canvases = self.canvases[:, :channels][indices].float() / 255
        return torch.nn.functional.grid_sample(canvases, grid * (2 / side) - 1, align_corners=False)


def _fit(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    shrinks = width < plane.shape[1]
    return cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
