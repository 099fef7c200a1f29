"""Soft mattes with clean foreground colours, made from binary masks of real photos.

A mask says which side of an outline a pixel is on; a cut-out that is to be pasted over another background needs more:
how much of each outline pixel is foreground, and which colour that foreground has without the old background in it.
Per photo: a trimap from the mask (a narrow unknown band, wider round the hair), closed-form matting inside the band
with the mask as a weak prior, multi-level foreground estimation, and a check of the result against the mask. Photos
whose matte strays from the mask keep a feathered mask instead, and the index says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from vmfm.trainer.errors import TrainerError


class SoftenError(TrainerError):
    """A photo, its mask or the folder of them cannot be softened."""


@dataclass(frozen=True)
class SoftenConfig:
    """How far to trust a mask. Lengths are in pixels of a photo whose longer side is 512 and scale with it."""

    inner_px: float = 3.0  # the outline's band reaches this far into the mask ...
    outer_px: float = 3.0  # ... and this far out of it
    hair_inner_px: float = 5.0
    hair_outer_px: float = 9.0
    hair_height: float = 0.2  # hair is looked for in this top part of each person's box ...
    hair_fade: float = 0.12  # ... and the band narrows to the outline's over this further part of it
    epsilon: float = 1e-5  # regularisation of the colour-line model; above closed-form's 1e-7 since JPEG is noisy
    prior: float = 1e-2  # weight of the mask as a guess inside the band ...
    prior_reach_px: float = 2.0  # ... twice that at this distance from the outline, growing as its square
    haze: float = 0.07  # alphas this near to 0 or 1 are taken for 0 or 1
    smallest_px: int = 30  # holes and islands of the mask with a smaller area are labelling noise
    feather_px: float = 0.8  # sigma of the feathered mask that stands in for a failed matte
    min_iou: float = 0.97  # of the matte cut at 0.5 with the mask
    max_band_change: float = 0.25  # mean |matte - mask| inside the band


@dataclass(frozen=True)
class SoftMatte:
    """alpha (H, W) float32 in [0, 1]; foreground (H, W, 3) uint8 RGB; agreement with the mask; feathered if it fell back."""

    alpha: np.ndarray
    foreground: np.ndarray
    iou: float
    band_change: float
    feathered: bool


def hair_weight(person: np.ndarray, config: SoftenConfig = SoftenConfig()) -> np.ndarray:
    """Where hair is likely: (H, W) float32, 1 in the top part of each person's box, fading to 0 below it.

    person: (H, W) bool, the people without what they hold. Boxes are those of the connected components.
    """
    weight = np.zeros(person.shape, np.float32)
    rows = np.arange(person.shape[0], dtype=np.float32)
    count, _, boxes, _ = cv2.connectedComponentsWithStats(person.astype(np.uint8), connectivity=8)
    for left, top, width, height, _ in boxes[1:count]:
        if height < 0.1 * person.shape[0]:  # a crumb of a mask has no head
            continue
        down = (rows - top) / height
        fade = np.clip(1 - (down - config.hair_height) / config.hair_fade, 0, 1)
        margin = max(width // 8, 8)
        columns = slice(max(left - margin, 0), left + width + margin)
        weight[:, columns] = np.maximum(weight[:, columns], np.where(down > -0.1, fade, 0)[:, None])
    return weight


def _distance(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels, (H, W) float32, of each mask pixel to the nearest pixel outside the mask; 0 outside it."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)


def mend_mask(mask: np.ndarray, config: SoftenConfig = SoftenConfig()) -> np.ndarray:
    """The mask without pin-holes and crumbs: (H, W) bool. Pieces of labelling noise, not of the person."""
    smallest = config.smallest_px * (max(mask.shape) / 512) ** 2
    mended = mask.copy()
    for value in (False, True):
        count, labels, boxes, _ = cv2.connectedComponentsWithStats((mended == value).astype(np.uint8), connectivity=4)
        small = np.flatnonzero(boxes[:count, cv2.CC_STAT_AREA] < smallest)
        mended[np.isin(labels, small[small > 0])] = not value
    return mended


def trimap_from_mask(mask: np.ndarray, person: np.ndarray, config: SoftenConfig = SoftenConfig()) -> np.ndarray:
    """Trimap (H, W) uint8: 0 background, 128 unknown, 255 foreground.

    mask: (H, W) bool, people and what they hold; person: (H, W) bool, people alone (finds the hair).
    """
    scale = max(mask.shape) / 512
    hair = hair_weight(person, config)
    inside, outside = _distance(mask), _distance(~mask)
    inner = scale * (config.inner_px + (config.hair_inner_px - config.inner_px) * hair)
    outer = scale * (config.outer_px + (config.hair_outer_px - config.outer_px) * hair)
    trimap = np.full(mask.shape, 128, np.uint8)
    trimap[mask & (inside > inner)] = 255
    trimap[~mask & (outside > outer)] = 0
    return trimap


def solve_alpha(
    image: np.ndarray, trimap: np.ndarray, mask: np.ndarray, config: SoftenConfig = SoftenConfig()
) -> np.ndarray:
    """Closed-form matting of the unknown pixels alone: alpha (H, W) float32 in [0, 1].

    image: (H, W, 3) uint8; trimap: (H, W) uint8 as `trimap_from_mask` makes it; mask: (H, W) bool, what a pixel is taken
    for where the colours say nothing, the more so the further it lies from the outline.
    """
    from pymatting import cg, ichol
    from pymatting.laplacian.cf_laplacian import cf_laplacian

    alpha = (trimap == 255).astype(np.float64)
    unknown = trimap == 128
    if not unknown.any():
        return alpha.astype(np.float32)
    # Only the windows that hold an unknown pixel count, so the box of the band, two pixels wider, is all that is needed.
    rows, columns = np.flatnonzero(unknown.any(1)), np.flatnonzero(unknown.any(0))
    crop = slice(max(rows[0] - 2, 0), rows[-1] + 3), slice(max(columns[0] - 2, 0), columns[-1] + 3)
    free = unknown[crop].ravel()
    distance = (_distance(mask) + _distance(~mask))[crop].ravel()[free] * 512 / max(mask.shape)
    prior = config.prior * (1 + (distance / config.prior_reach_px) ** 2)
    guess = mask[crop].ravel()[free].astype(np.float64)
    known_alpha = alpha[crop].ravel()
    laplacian = cf_laplacian(image[crop] / 255.0, epsilon=config.epsilon, radius=1, is_known=~free)
    band_rows = laplacian[free]
    system = band_rows[:, free]
    system.setdiag(system.diagonal() + prior)
    target = prior * guess - band_rows[:, ~free] @ known_alpha[~free]
    system = system.tocsc()
    system.sum_duplicates()
    solved = cg(system, target, x0=guess, M=ichol(system), rtol=1e-4, maxiter=500)
    # Closed-form leaves a faint haze where fore- and background look alike; stretching the contrast clears it.
    alpha[unknown] = np.clip((solved - config.haze) / (1 - 2 * config.haze), 0, 1)
    return alpha.astype(np.float32)


def soften(image: np.ndarray, mask: np.ndarray, person: np.ndarray, config: SoftenConfig = SoftenConfig()) -> SoftMatte:
    """The soft matte and clean foreground of one photo.

    image: (H, W, 3) uint8 RGB; mask, person: (H, W) bool. Raises SoftenError where they do not fit together.
    """
    from pymatting import estimate_foreground_ml

    if image.shape[:2] != mask.shape or mask.shape != person.shape:
        raise SoftenError(f"photo {image.shape[:2]}, mask {mask.shape} and person mask {person.shape} differ in size")
    if not mask.any():
        raise SoftenError("the mask is empty")
    mask = mend_mask(mask, config)
    trimap = trimap_from_mask(mask, person, config)
    feathered = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), config.feather_px * max(mask.shape) / 512)
    alpha = solve_alpha(image, trimap, mask, config)
    cut = alpha >= 0.5
    iou = float((cut & mask).sum() / max((cut | mask).sum(), 1))
    band = trimap == 128
    change = float(np.abs(alpha - mask)[band].mean()) if band.any() else 0.0
    failed = iou < config.min_iou or change > config.max_band_change
    if failed:
        alpha = feathered
    foreground = estimate_foreground_ml(image / 255.0, alpha.astype(np.float64))
    return SoftMatte(alpha, np.rint(np.clip(foreground, 0, 1) * 255).astype(np.uint8), iou, change, failed)
