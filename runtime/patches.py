"""Top-K refinement patches: where to refine, cutting the patches out, putting the refined ones back."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from vmfm.runtime.graph import PATCH_PX

LEAST_DEVIATION = 0.02  # a cell whose peak is below this is not worth a patch


def select(deviation: np.ndarray, corners: np.ndarray) -> None:
    """Fills corners, int32 (K, 2) as (y, x), with the top-left corners of the K patches to refine.

    deviation: float32 (H, W) in [0, 1]. The frame is divided into cells of 16x16 from its top left (the last row and
    column may be cut). A cell's score is its highest deviation; the K highest cells win, earlier cells first among
    equals (row by row). A patch is centred on its cell's highest pixel (again the first one; the centre of a patch is
    its pixel (8, 8)) and shifted to lie inside the frame where the frame is large enough. If there are fewer cells
    than K, or cells below LEAST_DEVIATION, their places repeat the best patch.
    """
    height, width = deviation.shape
    count = len(corners)
    rows, columns = np.arange(0, height, PATCH_PX), np.arange(0, width, PATCH_PX)
    scores = _highest_per_cell(deviation).ravel()
    best = np.argsort(-scores, kind="stable")[:count]
    best = np.where(scores[best] >= LEAST_DEVIATION, best, best[0])
    top, left = rows[best // len(columns)], columns[best % len(columns)]
    inside = np.arange(PATCH_PX)
    y, x = top[:, None] + inside, left[:, None] + inside
    cells = deviation[np.minimum(y, height - 1)[:, :, None], np.minimum(x, width - 1)[:, None, :]]
    peak = cells.reshape(len(best), -1).argmax(axis=1)  # the first maximum is never one of the repeated border pixels
    peak_y, peak_x = top + peak // PATCH_PX, left + peak % PATCH_PX
    corners[: len(best), 0] = np.clip(peak_y - PATCH_PX // 2, 0, max(height - PATCH_PX, 0))
    corners[: len(best), 1] = np.clip(peak_x - PATCH_PX // 2, 0, max(width - PATCH_PX, 0))
    corners[len(best) :] = corners[0]


def gather(frame: np.ndarray, alpha: np.ndarray, corners: np.ndarray, patches: np.ndarray) -> None:
    """Fills patches, float32 (K, 4, 16, 16) in [0, 1], with alpha and RGB at corners.

    frame: uint8 (H, W, 3) RGB; alpha: float32 (H, W). Where the frame is smaller than a patch its last row and
    column repeat.
    """
    frame, alpha = _at_least_a_patch(frame), _at_least_a_patch(alpha)
    y, x = corners.T
    patches[:, 0] = sliding_window_view(alpha, (PATCH_PX, PATCH_PX))[y, x]
    colours = sliding_window_view(frame, (PATCH_PX, PATCH_PX), axis=(0, 1))[y, x]  # (K, 3, 16, 16)
    np.multiply(colours, np.float32(1 / 255), out=patches[:, 1:])


def scatter(alpha: np.ndarray, refined: np.ndarray, corners: np.ndarray) -> None:
    """Replaces alpha, float32 (H, W), under the patches by refined, float32 (K, 1, 16, 16), in place.

    A pixel under several patches takes their average; pixels of a patch that lie outside the frame are dropped.
    """
    height, width = alpha.shape
    inside = np.arange(PATCH_PX)
    y, x = corners[:, 0, None] + inside, corners[:, 1, None] + inside
    pixels = (y[:, :, None] * width + x[:, None, :]).ravel()
    values = np.clip(refined, 0, 1).ravel()
    if height < PATCH_PX or width < PATCH_PX:
        kept = ((y < height)[:, :, None] & (x < width)[:, None, :]).ravel()
        pixels, values = pixels[kept], values[kept]
    # The frame-sized array that sums need is alpha itself: first it counts the patches on each pixel, then it adds up.
    flat = alpha.reshape(-1)
    flat[pixels] = 0
    np.add.at(flat, pixels, np.float32(1))
    values /= flat[pixels]
    flat[pixels] = 0
    np.add.at(flat, pixels, values)
    flat[pixels] = np.minimum(flat[pixels], 1)  # an average of ones may round to a hair more


def _highest_per_cell(x: np.ndarray) -> np.ndarray:
    """The maximum of each 16x16 cell of x (H, W), whose last row and column of cells may be cut."""
    whole = x.shape[0] // PATCH_PX * PATCH_PX
    bands = x[:whole].reshape(-1, PATCH_PX, x.shape[1]).max(axis=1)
    if whole < len(x):
        bands = np.concatenate([bands, x[whole:].max(axis=0, keepdims=True)])
    return np.maximum.reduceat(bands, np.arange(0, x.shape[1], PATCH_PX), axis=1)


def _at_least_a_patch(x: np.ndarray) -> np.ndarray:
    missing = [(0, max(PATCH_PX - side, 0)) for side in x.shape[:2]]
    if not any(after for _, after in missing):
        return x
    return np.pad(x, missing + [(0, 0)] * (x.ndim - 2), mode="edge")
