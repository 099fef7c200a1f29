"""What the page shows of one frame, as one message: a line of facts, and a JPEG per view."""

import json
import struct
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from vmfm.runtime.preprocess import shrink

VIEWS = ("input", "composite", "alpha", "deviation")
_QUALITY = 90
_LEAST_WIDTH, _MOST_WIDTH = 160, 2560


def pack(facts: Mapping[str, object], pictures: Mapping[str, Callable[[], np.ndarray]], width: int) -> bytes:
    """facts as JSON, after its length as 4 bytes, big end first; then the JPEGs, named and measured in the facts' "views".

    pictures: by view, what gives (H, W, 3) uint8 RGB, or float32 (H, W) in [0, 1]. width: what they are shrunk to.
    """
    jpegs = {view: _jpeg(view, picture(), width) for view, picture in pictures.items()}
    line = json.dumps({**facts, "views": [[view, len(jpeg)] for view, jpeg in jpegs.items()]}).encode()
    return b"".join([struct.pack(">I", len(line)), line, *jpegs.values()])


def _jpeg(view: str, picture: np.ndarray, width: int) -> bytes:
    shown = _fit(picture, width)
    if shown.ndim == 3:
        shown = cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)
    else:
        shown = np.rint(shown * 255).astype(np.uint8)
        if view == "deviation":  # mostly near 0, where greys are hard to tell apart
            shown = cv2.applyColorMap(shown, cv2.COLORMAP_INFERNO)
    return cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _fit(picture: np.ndarray, width: int) -> np.ndarray:
    height, full = picture.shape[:2]
    width = min(full, max(_LEAST_WIDTH, min(width, _MOST_WIDTH)))
    return picture if width == full else shrink(picture, (max(1, round(height * width / full)), width))
