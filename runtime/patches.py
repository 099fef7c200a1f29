"""Top-K refinement patches: where to refine, cutting the patches out, putting the refined ones back.

A patch must not show, nor may the matte jump when patches come, go or move from one frame to the next. So a patch sits
where its cell's deviation lies rather than on its highest pixel, it fades out with the distance from there, it counts less
the nearer its cell is to being left out, and it changes the matte only as far as that is in doubt: a little more or less
deviation changes the matte a little.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from vmfm.runtime.graph import PATCH_PX

LEAST_DEVIATION = 0.02  # a cell whose peak is below this is not worth a patch
FADE = 0.03  # a cell whose peak is this much above the best one left out counts in full
# Deviation: up to SURE a pixel keeps its alpha, from UNSURE on it takes the refined one.
SURE, UNSURE = LEAST_DEVIATION, 0.15
LEVELS = 256  # of deviation, as a patch's place sees it: whole numbers, whose sums no rounding can change
MIDDLE = (PATCH_PX - 1) / 2  # of a cell or a patch, from its first pixel


def select(deviation: np.ndarray, places: np.ndarray) -> None:
    """Fills places, float32 (K, 3) as (y, x, weight), with where to refine, least sure first.

    deviation: float32 (H, W) in [0, 1]. The frame is divided into cells of 16x16 from its top left (the last row and
    column may be cut). A cell's score is its highest deviation; the K highest cells win, earlier cells first among
    equals (row by row). A patch's place is the middle of its cell's deviation, the mean place of the cell's pixels weighed
    by the fourth power of their deviation in LEVELS. Its weight in [0, 1] rises over FADE from 0 at the score of the best
    cell left out. If there are fewer cells than K, or cells below LEAST_DEVIATION, the last places are all 0.
    """
    height, width = deviation.shape
    rows, columns = np.arange(0, height, PATCH_PX), np.arange(0, width, PATCH_PX)
    scores = _highest_per_cell(deviation).ravel()
    ranked = np.argsort(-scores, kind="stable")
    best = ranked[: len(places)]
    best = best[scores[best] >= LEAST_DEVIATION]
    left_out = ranked[len(best) : len(best) + 1]
    bar = scores[left_out].max(initial=np.float32(LEAST_DEVIATION))
    top, left = rows[best // len(columns)], columns[best % len(columns)]
    inside = np.arange(PATCH_PX)
    y, x = top[:, None] + inside, left[:, None] + inside
    cells = deviation[np.minimum(y, height - 1)[:, :, None], np.minimum(x, width - 1)[:, None, :]]
    weights = (cells * LEVELS).astype(np.int64) ** 4 * ((y < height)[:, :, None] & (x < width)[:, None, :])
    places[: len(best), 0] = top + _middle(weights.sum(axis=2))
    places[: len(best), 1] = left + _middle(weights.sum(axis=1))
    places[: len(best), 2] = np.clip((scores[best] - bar) / np.float32(FADE), 0, 1)
    places[len(best) :] = 0


def gather(frame: np.ndarray, alpha: np.ndarray, places: np.ndarray, patches: np.ndarray) -> None:
    """Fills patches, float32 (K, 4, 16, 16) in [0, 1], with alpha and RGB around places.

    frame: uint8 (H, W, 3) RGB; alpha: float32 (H, W). A patch lies as near to its place as whole pixels allow, and inside
    the frame. Where the frame is smaller than a patch its last row and column repeat.
    """
    y, x = _corners(places, alpha.shape).T
    frame, alpha = _at_least_a_patch(frame), _at_least_a_patch(alpha)
    patches[:, 0] = sliding_window_view(alpha, (PATCH_PX, PATCH_PX))[y, x]
    colours = sliding_window_view(frame, (PATCH_PX, PATCH_PX), axis=(0, 1))[y, x]  # (K, 3, 16, 16)
    np.multiply(colours, np.float32(1 / 255), out=patches[:, 1:])


def scatter(alpha: np.ndarray, deviation: np.ndarray, refined: np.ndarray, places: np.ndarray) -> None:
    """Moves alpha, float32 (H, W), towards refined, float32 (K, 1, 16, 16), in the patches around places, in place.

    By the place's weight, by the cosine of the way from there down and across, 0 from 8 pixels on, and by how unsure
    deviation, float32 (H, W), is of the pixel. Where patches overlap and their weights sum up to more than 1, they share it;
    pixels of a patch that lie outside the frame are dropped.
    """
    height, width = alpha.shape
    counts = places[:, 2] > 0
    places, refined = places[counts], refined[counts]
    ys, xs = (corners[:, None] + np.arange(PATCH_PX) for corners in _corners(places, alpha.shape).T)
    windows = places[:, 2, None] * _window(ys - places[:, 0, None]), _window(xs - places[:, 1, None])
    pixels = (ys[:, :, None] * width + xs[:, None, :]).ravel()
    weights = (windows[0][:, :, None] * windows[1][:, None, :]).ravel()
    values = np.clip(refined, 0, 1).ravel()
    if height < PATCH_PX or width < PATCH_PX:
        kept = ((ys < height)[:, :, None] & (xs < width)[:, None, :]).ravel()
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


def _corners(places: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Top-left corners, int64 (K, 2), of the patches around places in a frame of size (H, W)."""
    corners = np.rint(places[:, :2] - np.float32(MIDDLE)).astype(np.int64)
    return np.clip(corners, 0, np.maximum(np.array(size) - PATCH_PX, 0))


def _window(way: np.ndarray) -> np.ndarray:
    """A patch's weight by the way from its place, in pixels. At 8 it is 0: there a patch may end when its place moves."""
    return np.cos(np.minimum(np.abs(way), PATCH_PX / 2) * np.float32(np.pi / PATCH_PX))


def _middle(weights: np.ndarray) -> np.ndarray:
    """Mean places, float64 (N,), of weights, int64 (N, 16); MIDDLE where all are 0."""
    total = weights.sum(axis=1)
    return np.where(total > 0, weights @ np.arange(PATCH_PX) / np.maximum(total, 1), MIDDLE)


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
