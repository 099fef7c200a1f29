"""What is behind the person on the page: any background of the apps, or a checkerboard that stands for none at all."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from vmfm.apps.media.backgrounds import Background, open_background
from vmfm.apps.media.frames import Frame
from vmfm.runtime import composite
from vmfm.runtime.blur import blur_background

TRANSPARENT = "transparent"
_DARK, _LIGHT = 88, 120  # the checkerboard's greys: hair and white cups are seen before either
_SQUARES = 27  # from top to bottom


class Checkerboard(Background):
    def behind(self, frame: Frame) -> np.ndarray:
        if getattr(self, "_board", np.empty(0)).shape != frame.image.shape:
            height, width = frame.image.shape[:2]
            y, x = (np.arange(side) // max(1, height // _SQUARES) for side in (height, width))
            board = np.where((y[:, None] + x) % 2, np.uint8(_LIGHT), np.uint8(_DARK))
            self._board = np.repeat(board[..., None], 3, axis=2)
        return self._board


@contextmanager
def open_backdrop(text: str) -> Iterator[Background]:
    """text: "transparent", or as open_background takes it. Raises ReadError."""
    if text == TRANSPARENT:
        yield Checkerboard()
    else:
        with open_background(text) as background:
            yield background


def put_over(frame: Frame, alpha: np.ndarray, background: Background) -> np.ndarray:
    """The picture of a frame, (H, W, 3) uint8 RGB, the same as a stream makes. alpha: float32 (H, W) in [0, 1]."""
    behind = background.behind(frame)
    if behind is None:
        behind = np.empty_like(frame.image)
        blur_background(frame.image, alpha, behind, background.over.radius_px)
    return composite(frame.image, alpha, behind, linear=background.over.linear)
