"""Complementary fusion: per pixel, the foreground net with the lower deviation counts more."""

import numpy as np

SOFTNESS = 0.05  # deviations that differ by this much weigh e : 1
DRAW = 2.0  # where both are as sure but one says foreground and one background, the lower alpha weighs e^DRAW : 1


def fuse(alphas: list[np.ndarray], deviations: list[np.ndarray], alpha: np.ndarray, deviation: np.ndarray) -> None:
    """Fills alpha and deviation, float32 (1, 1, h, w), with sum w_m alpha_m and sum w_m deviation_m.

    alphas, deviations: one or two maps (1, 1, h, w) in [0, 1]; w = softmax over m of -deviation_m / SOFTNESS - DRAW * alpha_m.
    The second term settles a draw: half an alpha would leave a ghost of the background in the picture.
    """
    if len(alphas) == 1:
        np.clip(alphas[0], 0, 1, out=alpha)
        np.clip(deviations[0], 0, 1, out=deviation)
        return
    first, second = deviations
    # |difference| <= 1, so the exponent stays below 1 / SOFTNESS + DRAW
    weight = np.exp((first - second) / SOFTNESS + DRAW * (alphas[0] - alphas[1]))
    weight += 1
    np.reciprocal(weight, out=weight)  # softmax of two is a sigmoid: the first map's weight
    for (a, b), out in ((alphas, alpha), (deviations, deviation)):
        np.subtract(a, b, out=out)
        out *= weight
        out += b
        np.clip(out, 0, 1, out=out)
