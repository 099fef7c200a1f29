"""Masks as COCO's annotations hold them: polygons, and run lengths with or without compression."""

from typing import Any

import cv2
import numpy as np
from vmfm.trainer.errors import TrainerError

FINER = 4  # times the picture's size, when a polygon is drawn
SUBPIXEL_BITS = 4  # of its corners


def decode(segmentation: Any, height: int, width: int) -> np.ndarray | None:
    """The mask (height, width) bool of one annotation's `segmentation`; None where it has none.

    A list of polygons [x, y, x, y ...] with (0, 0) at the picture's corner, or {"size": [height, width], "counts"} with
    the lengths of alternating runs of 0 and 1, column by column, as numbers or as compressed text. Raises TrainerError.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        return _polygons(segmentation, height, width)
    try:
        size, counts = segmentation["size"], segmentation["counts"]
        runs = counts if isinstance(counts, list) else _uncompressed(counts)
        values = np.arange(len(runs)) % 2 == 1
        mask = np.repeat(values, runs).reshape(size[1], size[0]).T
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise TrainerError(
            f"a run-length mask cannot be read: {error}; wanted {{size, counts}} as COCO has it"
        ) from error
    if mask.shape != (height, width):
        raise TrainerError(f"a run-length mask is {size[1]}x{size[0]}, its image {width}x{height}")
    return np.ascontiguousarray(mask)


def _polygons(polygons: list[list[float]], height: int, width: int) -> np.ndarray:
    try:
        corners = [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in polygons if len(polygon) >= 6]
    except (TypeError, ValueError) as error:
        raise TrainerError(f"a polygon cannot be read: {error}; wanted [x, y, x, y ...]") from error
    mask = np.zeros((height, width), bool)
    for outline in corners:  # one by one: where two overlap, cv2 would leave a hole
        left, top = np.clip(np.floor(outline.min(0)).astype(int), 0, (width, height))
        right, bottom = np.clip(np.ceil(outline.max(0)).astype(int), 0, (width, height))
        if right > left and bottom > top:
            # cv2 counts from the centre of the first pixel, and draws all that the outline touches; so it draws larger
            fine = np.zeros((FINER * (bottom - top), FINER * (right - left)), np.uint8)
            points = FINER * (outline - (left, top)) - 0.5
            cv2.fillPoly(fine, [np.rint(points * 2**SUBPIXEL_BITS).astype(np.int32)], 1, shift=SUBPIXEL_BITS)
            share = fine.reshape(bottom - top, FINER, right - left, FINER).mean((1, 3))
            mask[top:bottom, left:right] |= share > 0.5
    return mask


def _uncompressed(text: str | bytes) -> list[int]:
    """Run lengths from COCO's text: groups of five bits, low ones first, each run from the fourth on as the difference to
    the one two before it."""
    runs: list[int] = []
    value = shift = 0
    for byte in text.encode() if isinstance(text, str) else text:
        group = byte - 48
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:  # there is more of this number
            continue
        if group & 0x10:  # it is negative
            value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs
