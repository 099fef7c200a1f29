"""Complementary fusion: in every region, the foreground net with the lower deviation counts more."""

import cv2
import numpy as np

SOFTNESS = 0.05  # regions whose deviations differ by this much weigh e : 1
DRAW = 6.0  # the lower alpha wins unless the other net is surer by DRAW * SOFTNESS = 0.3
REACH = 0.028  # of a region, of the root of the nets' area: which net is right is no matter of single pixels


def reach_px(height: int, width: int) -> int:
    """Pixels around a pixel of nets' size (height, width) whose deviations decide with it."""
    return round(REACH * (height * width) ** 0.5)


def fuse(
    alphas: list[np.ndarray],
    deviations: list[np.ndarray],
    alpha: np.ndarray,
    deviation: np.ndarray,
    doubt: np.ndarray,
) -> None:
    """Fills alpha and deviation with sum w_m alpha_m and sum w_m deviation_m, and doubt.

    alphas, deviations: one or two maps, all float32 (1, 1, h, w) in [0, 1]; w = softmax over m of -mean(deviation_m) /
    SOFTNESS - DRAW * alpha_m, the mean over the box of reach_px around each pixel. The second term settles a draw, or
    what is nearly one, for the background: half an alpha would leave a ghost of it in the picture. doubt: the deviation
    or, where that is more, how far the two mattes are apart: one of them is wrong there, however sure it may be.
    """
    if len(alphas) == 1:
        np.clip(alphas[0], 0, 1, out=alpha)
        np.clip(deviations[0], 0, 1, out=deviation)
        np.copyto(doubt, deviation)
        return
    reach = reach_px(*alpha.shape[2:])
    difference = cv2.blur(
        (deviations[0] - deviations[1])[0, 0], (2 * reach + 1, 2 * reach + 1), borderType=cv2.BORDER_REFLECT
    )
    np.subtract(alphas[0], alphas[1], out=doubt)
    # |difference| <= 1, so the exponent stays below 1 / SOFTNESS + DRAW
    weight = np.exp(difference / SOFTNESS + DRAW * doubt)
    weight += 1
    np.reciprocal(weight, out=weight)  # softmax of two is a sigmoid: the first map's weight
    for (a, b), out in ((alphas, alpha), (deviations, deviation)):
        np.subtract(a, b, out=out)
        out *= weight
        out += b
        np.clip(out, 0, 1, out=out)
    np.abs(doubt, out=doubt)
    np.maximum(doubt, deviation, out=doubt)
