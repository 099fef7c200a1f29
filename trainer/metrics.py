"""How far a predicted alpha is from the truth: the matting metrics, and those for human-object masks.

Every function takes alphas or masks of one shape (H, W): float in [0, 1], uint8 0..255, or bool. Predictions are
rounded to 8 bits before anything is measured, as everybody scores saved PNGs. ``region`` is a bool mask (H, W) that
restricts the measurement; None is the whole frame. A metric over no pixel at all is None, never 0.
"""

from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
from vmfm.trainer.errors import TrainerError

GRADIENT_SIGMA_PX = 1.4
GRADIENT_EPSILON = 1e-2  # where the Gaussian's tail is cut; with the sigma it gives a 9 x 9 filter
CONNECTIVITY_STEP = 0.1
CONNECTIVITY_THETA = 0.15
OBJECT_EROSION_PX = 2
LEAK_DISTANCE_PX = 15
BORDER_BAND_PX = 5


def as_alpha(image: np.ndarray, what: str = "alpha") -> np.ndarray:
    """``image`` (H, W) of float [0, 1], uint8 or bool as float64 in [0, 1]. Raises TrainerError on anything else."""
    image = np.asarray(image)
    if image.ndim != 2 or image.size == 0:
        raise TrainerError(f"{what} has shape {image.shape}; a metric needs one non-empty plane (height, width)")
    if image.dtype == np.uint8:
        return image / 255.0
    if image.dtype != bool and not np.issubdtype(image.dtype, np.floating):
        raise TrainerError(f"{what} is {image.dtype}; give bool, uint8 (0..255) or float in [0, 1]")
    alpha = image.astype(np.float64)
    if not (np.isfinite(alpha).all() and alpha.min() >= -1e-6 and alpha.max() <= 1 + 1e-6):
        raise TrainerError(f"{what} spans {alpha.min()} to {alpha.max()}; an alpha lies in [0, 1]")
    return alpha.clip(0, 1)


def quantize(alpha: np.ndarray) -> np.ndarray:
    """The prediction as an 8-bit file would hold it: float64 multiples of 1/255."""
    return np.round(as_alpha(alpha, "the prediction") * 255) / 255


def sad(prediction: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """Sum of absolute differences / 1000."""
    return float(np.abs(_error(prediction, truth, region)).sum() / 1000)


def mse(prediction: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float | None:
    """Mean squared error x 1000."""
    return _mean(_error(prediction, truth, region) ** 2, 1e3)


def mad(prediction: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float | None:
    """Mean absolute difference x 1000."""
    return _mean(np.abs(_error(prediction, truth, region)), 1e3)


def gradient_error(prediction: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """Sum of squared differences of the two gradient magnitudes (Gaussian derivative, sigma 1.4 px) / 1000.

    Other evaluators first stretch each alpha to span [0, 1]; we do not, because that forgives a pale matte.
    """
    prediction, truth = _pair(prediction, truth)
    error = _gradient_magnitude(prediction) - _gradient_magnitude(truth)
    return float((error[_selection(region, truth.shape)] ** 2).sum() / 1000)


def connectivity_error(prediction: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """Sum of differences in how firmly each pixel hangs on the common foreground / 1000 (Rhemann et al., CVPR 2009).

    The common foreground at a threshold is the largest 4-connected part of the pixels where both alphas reach it.
    """
    prediction, truth = _pair(prediction, truth)
    connected_up_to = np.full(truth.shape, -1.0)  # highest threshold at which the pixel is still connected
    steps = round(1 / CONNECTIVITY_STEP)
    for step in range(1, steps + 1):
        # one part in a million below, so that 8-bit values equal to the threshold count whatever the rounding
        threshold = step / steps - 1e-6
        lost = ~_largest_part((prediction >= threshold) & (truth >= threshold)) & (connected_up_to < 0)
        connected_up_to[lost] = (step - 1) / steps
    connected_up_to[connected_up_to < 0] = 1

    def connectedness(alpha: np.ndarray) -> np.ndarray:
        gap = alpha - connected_up_to
        return 1 - gap * (gap >= CONNECTIVITY_THETA)

    error = np.abs(connectedness(prediction) - connectedness(truth))
    return float(error[_selection(region, truth.shape)].sum() / 1000)


def dtssd_pair(
    previous_prediction: np.ndarray, prediction: np.ndarray, previous_truth: np.ndarray, truth: np.ndarray
) -> float:
    """Flicker between two successive frames: root mean square of (change of prediction - change of truth) x 100."""
    now, before = _error(prediction, truth), _error(previous_prediction, previous_truth)
    if now.shape != before.shape:
        raise TrainerError(f"the clip changes size from {before.shape} to {now.shape} values; dtSSD needs one size")
    return float(np.sqrt(np.mean((now - before) ** 2)) * 100)


def dtssd(predictions: Iterable[np.ndarray], truths: Iterable[np.ndarray]) -> float | None:
    """Mean of `dtssd_pair` over a clip. Holds two frames at a time; None for a clip of fewer than two frames."""
    frames = pairwise(zip(predictions, truths, strict=True))
    return mean_of([dtssd_pair(p0, p1, t0, t1) for (p0, t0), (p1, t1) in frames])


def iou(prediction: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of (alpha >= 0.5) and a mask; 1 where both are empty."""
    prediction, truth = _pair(prediction, mask)
    ours, theirs = prediction >= 0.5, truth >= 0.5
    union = np.count_nonzero(ours | theirs)
    return np.count_nonzero(ours & theirs) / union if union else 1.0


def recall(prediction: np.ndarray, mask: np.ndarray) -> float | None:
    """Mean alpha over the mask; None where the mask is empty."""
    prediction, truth = _pair(prediction, mask)
    return _mean(prediction[truth >= 0.5])


def object_recall(prediction: np.ndarray, person_object: np.ndarray, person: np.ndarray) -> float | None:
    """Mean alpha over the objects, (person_object minus person) eroded by 2 px; None where nothing is left of them."""
    return recall(prediction, object_core(person_object, person))


def object_core(person_object: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Bool (H, W): the pixels that are surely object, more than 2 px from anything else."""
    person_object, person = _pair(person_object, person)
    return _distance_inside((person_object >= 0.5) & (person < 0.5)) > OBJECT_EROSION_PX


def leak(prediction: np.ndarray, person_object: np.ndarray, region: np.ndarray | None = None) -> float | None:
    """Mean alpha x 1000 over pixels more than 15 px from person_object; None where there is no such pixel."""
    prediction, truth = _pair(prediction, person_object)
    far = _distance_inside(truth < 0.5) > LEAK_DISTANCE_PX
    return _mean(prediction[far & _selection(region, truth.shape)], 1e3)


def mad_outside_border(prediction: np.ndarray, mask: np.ndarray, region: np.ndarray | None = None) -> float | None:
    """`mad` against a mask, leaving out the pixels within 5 px of its border, where hand-drawn labels are coarse."""
    inside = as_alpha(mask, "the mask") >= 0.5
    sure = np.maximum(_distance_inside(inside), _distance_inside(~inside)) > BORDER_BAND_PX
    return mad(prediction, inside, sure & _selection(region, inside.shape))


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of the values there are; None if there are none."""
    return _mean(np.array([value for value in values if value is not None], np.float64))


def _pair(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    prediction, truth = quantize(prediction), as_alpha(truth, "the truth")
    if prediction.shape != truth.shape:
        raise TrainerError(f"the prediction is {prediction.shape} and the truth {truth.shape}; they must match")
    return prediction, truth


def _selection(region: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    if region is None:
        return np.ones(shape, bool)
    if region.shape != shape or region.dtype != bool:
        raise TrainerError(f"the region is {region.dtype} {region.shape}; it must be bool {shape}")
    return region


def _error(prediction: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> np.ndarray:
    prediction, truth = _pair(prediction, truth)
    return (prediction - truth)[_selection(region, truth.shape)]


def _mean(values: np.ndarray, scale: float = 1.0) -> float | None:
    return float(values.mean() * scale) if values.size else None


def _gradient_magnitude(alpha: np.ndarray) -> np.ndarray:
    sigma = GRADIENT_SIGMA_PX
    radius = int(np.ceil(sigma * np.sqrt(-2 * np.log(np.sqrt(2 * np.pi) * sigma * GRADIENT_EPSILON))))
    x = np.arange(-radius, radius + 1)
    smooth = np.exp(-(x**2) / (2 * sigma**2))
    slope = x * smooth
    # the two-dimensional filter has unit energy, and is separable: each factor is given unit energy
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    dx = cv2.sepFilter2D(alpha, cv2.CV_64F, slope, smooth, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.sepFilter2D(alpha, cv2.CV_64F, smooth, slope, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(dx, dy)


def _largest_part(mask: np.ndarray) -> np.ndarray:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count == 1:
        return np.zeros(mask.shape, bool)
    return labels == 1 + np.argmax(statistics[1:, cv2.CC_STAT_AREA])


def _distance_inside(mask: np.ndarray) -> np.ndarray:
    """Distance in px of every pixel of a bool mask to the nearest pixel outside it; 0 outside, inf if there is none."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
