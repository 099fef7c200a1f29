"""Time: where the nets are in doubt and the picture stands still, the matte is the mean of what they said so far.

Lowers flicker without a late mask: a pixel whose colour moved always shows the matte of its own frame. All of it
happens at the nets' size, before the matte is enlarged along the edges of its own frame and refined there: so no edge is
smeared, and it costs the same for frames of any size.
"""

import cv2
import numpy as np

LONGEST = 20  # frames that a mean stands for, at most: where more were seen it goes on as a moving one
SURE, UNSURE = 0.05, 0.3  # doubt: at or below SURE the new matte stands, from UNSURE on the mean does
LASTING = 0.8  # of the doubt in a frame, what is left of it a frame later
# How far the colour is from its mean, of 1, in the channel where it is most: from MOVED on the past is forgotten.
STILL, MOVED = 0.02, 0.05
BOX_PX = 3  # that distance is the average over a box around the pixel, of the nets' size


def steady(
    image: np.ndarray,
    doubt: np.ndarray,
    alpha: np.ndarray,
    deviation: np.ndarray,
    memory: np.ndarray,
    *,
    first: bool = False,
) -> None:
    """Moves alpha and deviation towards their means over the frames since the pixel's colour moved; updates memory.

    image: float32 (1, 3, h, w); doubt, alpha, deviation: float32 (1, 1, h, w), all in [0, 1], as preprocess and fuse
    give them. memory: float32 (1, 7, h, w), what earlier frames left (see MEMORY_PLANES). first: there were none.
    """
    seen = np.concatenate((image[0], alpha[0], deviation[0]))
    mean, (lasting, frames) = memory[0, : len(seen)], memory[0, len(seen) :]
    if first:
        mean[:], lasting[:], frames[:] = seen, doubt[0, 0], 0
        return
    distance = np.abs(image[0] - mean[:3]).max(axis=0)
    distance = cv2.blur(distance, (BOX_PX, BOX_PX), borderType=cv2.BORDER_REPLICATE)
    still = 1 - _ramp(distance, STILL, MOVED)
    np.minimum(still * (frames + 1), LONGEST, out=frames)
    mean += (seen - mean) / (frames + 1)
    np.maximum(doubt[0, 0], LASTING * still * lasting, out=lasting)
    for new, settled in zip((alpha, deviation), mean[3:], strict=True):
        new += _ramp(lasting, SURE, UNSURE) * (settled - new)


def _ramp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((x - low) / (high - low), 0, 1)
