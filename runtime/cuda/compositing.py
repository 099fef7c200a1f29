"""composite() of runtime/composite.py on the GPU, over an image, a video's frame, a colour or the blurred frame."""

from dataclasses import dataclass

import numpy as np
from vmfm.runtime.composite import NARROW, WIDE, WORK_PX
from vmfm.runtime.cuda.launch import Kernels
from vmfm.runtime.cuda.operations import Layout, halvings

BLUR = 1 / 36  # radius of a blurred background, of the frame's height
PURE_BACKGROUND = 0.05  # alpha up to which a pixel shows the background alone
FAINT = 1e-3  # weight of every pixel in a blurred background, for where there is nothing but foreground
_BLUR_WORK_PX = 4  # a wide blur has no detail to lose: it is done where its radius is this


@dataclass(frozen=True)
class CompositeShape:
    """Sizes (H, W): of frames, of the colours around soft edges, and of a blurred background before it is enlarged."""

    frame_size: tuple[int, int]

    @property
    def work_size(self) -> tuple[int, int]:
        height, width = self.frame_size
        while max(height, width) > WORK_PX:
            height, width = (height + 1) // 2, (width + 1) // 2
        return height, width

    @property
    def blur_scale(self) -> float:
        return min(1.0, _BLUR_WORK_PX / max(self.frame_size[0] * BLUR, 0.5))

    @property
    def blur_size(self) -> tuple[int, int]:
        height, width = (max(1, round(side * self.blur_scale)) for side in self.frame_size)
        return height, width


def composite_layout(shape: CompositeShape) -> Layout:
    """Arrays that a Compositor works in; `background` holds a blurred one."""
    return {
        "small": ((4, *shape.work_size), np.float32),
        "planes": ((8, *shape.work_size), np.float32),
        "blurring": ((8, *shape.work_size), np.float32),
        "behind": ((4, *shape.blur_size), np.float32),
        "behind_blurring": ((4, *shape.blur_size), np.float32),
        "background": ((*shape.frame_size, 3), np.uint8),
    }


class Compositor:
    """Puts the foreground of frames of one size over backgrounds. All addresses are on the GPU."""

    def __init__(self, kernels: Kernels, shape: CompositeShape, addresses: dict[str, int]) -> None:
        """addresses: of every array in composite_layout."""
        self._kernels, self._shape, self._at = kernels, shape, addresses

    def over(
        self,
        stream: int,
        frame: int,
        alpha: int,
        out: int,
        *,
        background: int = 0,
        colour: tuple[int, int, int] = (0, 0, 0),
        linear: bool = False,
    ) -> None:
        """Writes out, uint8 (H, W, 3), from frame and alpha; over background, or over colour where that is 0."""
        (height, width), (h, w) = self._shape.frame_size, self._shape.work_size
        small, planes = self._at["small"], self._at["planes"]
        wide, narrow = (max(1, round(radius * max(h, w))) for radius in (WIDE, NARROW))
        halved = halvings((height, width), (h, w))
        self._run(stream, "weigh_wide", (w, h), frame, alpha, height, width, small, planes, h, w, halved)
        self._blur(stream, "planes", "blurring", (h, w), 8, wide, 0.0)
        self._run(stream, "weigh_narrow", (h * w,), small, planes, h * w)
        self._blur(stream, "planes", "blurring", (h, w), 8, narrow, 0.0)
        self._run(stream, "settle", (h * w, 1, 2), planes, h * w, block=(256, 1, 1))
        pixels = (frame, alpha, background, *colour, planes, h, w, out, height, width, int(linear))
        self._run(stream, "composite", (width, height), *pixels)

    def blur_background(self, stream: int, frame: int, alpha: int) -> int:
        """Blurs what is not foreground, so that the person does not glow into it; returns the background's address."""
        (height, width), (h, w) = self._shape.frame_size, self._shape.blur_size
        behind, background = self._at["behind"], self._at["background"]
        sigma = max(height * BLUR, 0.5) * self._shape.blur_scale / 2
        kept = (frame, alpha, height, width, behind, h, w, PURE_BACKGROUND, FAINT)
        self._run(stream, "leave_out_foreground", (w, h), *kept)
        self._blur(stream, "behind", "behind_blurring", (h, w), 4, round(sigma * 4), sigma)
        self._run(stream, "enlarge_background", (width, height), behind, h, w, background, height, width)
        return background

    def _blur(
        self, stream: int, planes: str, through: str, size: tuple[int, int], count: int, radius: int, sigma: float
    ) -> None:
        """Blurs planes, (count, h, w), in place by way of another array like it."""
        (h, w), here, there = size, self._at[planes], self._at[through]
        self._run(stream, "blur_rows", (w, h, count), here, there, h, w, radius, sigma)
        self._run(stream, "blur_columns", (w, h, count), there, here, h, w, radius, sigma)

    def _run(
        self,
        stream: int,
        name: str,
        extent: tuple[int, ...],
        *arguments: float,
        block: tuple[int, int, int] | None = None,
    ) -> None:
        self._kernels.prepare(name, extent, *arguments, block=block)(stream)
