"""Time: lean on the previous matte where this frame's is unsure and the picture stood still.

Lowers flicker without a late mask: a pixel whose colour moved always shows the matte of its own frame.
"""

import cv2
import numpy as np

MOST = 0.8  # weight of the previous matte where everything speaks for it
SURE, UNSURE = 0.05, 0.3  # doubt: at or below SURE the new matte stands, from UNSURE on it may be outweighed
STILL, MOVED = 0.012, 0.035  # colour change, of 1, in any channel near the pixel: from MOVED on the new matte stands


def trust_in_previous(image: np.ndarray, previous_image: np.ndarray, doubt: np.ndarray) -> np.ndarray:
    """How much the previous matte counts, float32 (h, w) in [0, MOST].

    image, previous_image: float32 (1, 3, h, w) in [0, 1]; doubt: float32 (1, 1, h, w) in [0, 1], as fuse gives it.
    """
    change = np.abs(image[0] - previous_image[0]).max(axis=0)
    # What moved next to a pixel may be about to change it: look at the 5x5 neighbourhood's largest change.
    change = cv2.dilate(change, np.ones((5, 5), np.uint8))
    unsure = _ramp(doubt[0, 0], SURE, UNSURE)
    still = 1 - _ramp(change, STILL, MOVED)
    return MOST * unsure * still


def blend_previous(alpha: np.ndarray, previous: np.ndarray, trust: np.ndarray, scratch: np.ndarray) -> None:
    """Moves alpha, float32 (H, W), towards previous, (H, W), by trust, (h, w), enlarged; in place.

    Only the box around trusted pixels is touched. previous and scratch, float32 (H, W) both, are used up.
    """
    height, width = alpha.shape
    x, y, w, h = cv2.boundingRect((trust > 0).astype(np.uint8))
    if w == 0:
        return
    full = cv2.resize(trust, (width, height), dst=scratch, interpolation=cv2.INTER_LINEAR)
    # One pixel more on each side: bilinear enlarging spreads a trusted pixel to its neighbours.
    rows = slice(max(y - 1, 0) * height // trust.shape[0], -(-(y + h + 1) * height // trust.shape[0]))
    columns = slice(max(x - 1, 0) * width // trust.shape[1], -(-(x + w + 1) * width // trust.shape[1]))
    box = (rows, columns)
    step = np.subtract(previous[box], alpha[box], out=previous[box])
    step *= full[box]
    alpha[box] += step


def _ramp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((x - low) / (high - low), 0, 1)
