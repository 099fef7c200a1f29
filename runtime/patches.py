"""Top-K refinement patches: where to refine, cutting the patches out, putting the refined ones back.

A patch must not show, nor may the matte jump when patches come, go or move from one frame to the next. So a patch sits
where its cell's deviation lies rather than on its highest pixel, it fades out towards its border, and it changes the
matte only as far as that is in doubt.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from vmfm.runtime.graph import PATCH_PX

LEAST_DEVIATION = 0.02  # a cell whose peak is below this is not worth a patch
# Deviation: up to SURE a pixel keeps its alpha, from UNSURE on it takes the refined one.
SURE, UNSURE = LEAST_DEVIATION, 0.15
LEVELS = 64  # of deviation, as a patch's place sees it: whole numbers, whose sums no rounding can change
WINDOW = np.sin(np.pi * (np.arange(PATCH_PX) + 0.5) / PATCH_PX).astype(np.float32)  # a patch's weight across it


def select(deviation: np.ndarray, corners: np.ndarray) -> None:
    """Fills corners, int32 (K, 2) as (y, x), with the top-left corners of the K patches to refine.

    deviation: float32 (H, W) in [0, 1]. The frame is divided into cells of 16x16 from its top left (the last row and
    column may be cut). A cell's score is its highest deviation; the K highest cells win, earlier cells first among
    equals (row by row). A patch is centred (its pixel (8, 8)) on the middle of its cell's deviation, the mean place of
    the cell's pixels weighed by the fourth power of their deviation in LEVELS, and shifted to lie inside the frame
    where the frame is large enough. If there are fewer cells than K, or cells below LEAST_DEVIATION, their places
    repeat the best patch.
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
    weights = (cells * LEVELS).astype(np.int64) ** 4 * ((y < height)[:, :, None] & (x < width)[:, None, :])
    centre_y, centre_x = top + _middle(weights.sum(axis=2)), left + _middle(weights.sum(axis=1))
    corners[: len(best), 0] = np.clip(centre_y - PATCH_PX // 2, 0, max(height - PATCH_PX, 0))
    corners[: len(best), 1] = np.clip(centre_x - PATCH_PX // 2, 0, max(width - PATCH_PX, 0))
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


def scatter(alpha: np.ndarray, deviation: np.ndarray, refined: np.ndarray, corners: np.ndarray) -> None:
    """Moves alpha, float32 (H, W), towards refined, float32 (K, 1, 16, 16), under the patches, in place.

    By WINDOW down and across, and by how unsure deviation, float32 (H, W), is of the pixel. Where patches overlap and
    their weights sum up to more than 1, they share it; pixels of a patch that lie outside the frame are dropped, and
    places that repeat the best patch count once.
    """
    height, width = alpha.shape
    again = (corners == corners[0]).all(axis=1)
    again[0] = False
    corners, refined = corners[~again], refined[~again]
    inside = np.arange(PATCH_PX)
    y, x = corners[:, 0, None] + inside, corners[:, 1, None] + inside
    pixels = (y[:, :, None] * width + x[:, None, :]).ravel()
    values = np.clip(refined, 0, 1).ravel()
    weights = np.tile(np.outer(WINDOW, WINDOW).ravel(), len(corners))
    if height < PATCH_PX or width < PATCH_PX:
        kept = ((y < height)[:, :, None] & (x < width)[:, None, :]).ravel()
        pixels, values, weights = pixels[kept], values[kept], weights[kept]
    flat = alpha.reshape(-1)
    given = flat[pixels]
    # One place per pixel to sum at, so that nothing of the frame's size is needed: alpha itself tells which, for once.
    flat[pixels] = np.arange(len(pixels), dtype=np.float32)
    place = flat[pixels].astype(np.intp)
    total = np.bincount(place, weights, len(pixels))
    change = np.bincount(place, weights * (values - given), len(pixels)) / np.maximum(total, 1)
    unsure = np.clip((deviation.reshape(-1)[pixels] - SURE) / (UNSURE - SURE), 0, 1)
    flat[pixels] = np.clip(given + unsure * change[place].astype(np.float32), 0, 1)


def _middle(weights: np.ndarray) -> np.ndarray:
    """Mean places, int64 (N,), of weights, int64 (N, 16), rounded; 8 where all are 0."""
    total = weights.sum(axis=1)
    moments = weights @ np.arange(PATCH_PX)
    return np.where(total > 0, (2 * moments + total) // np.maximum(2 * total, 1), PATCH_PX // 2)


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
