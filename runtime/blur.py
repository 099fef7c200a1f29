"""The frame's own background, blurred, for the foreground to be put over.

A Gaussian of what is not foreground, so that the person does not glow into it. A wide blur has no detail to lose: done
on a smaller picture, it costs the same for every radius.
"""

import cv2
import numpy as np

DEFAULT_RADIUS = 1 / 36  # of the frame's height: 20 px at 720p
LEAST_RADIUS_PX = 0.5  # below, the background is the frame as it is
WORK_RADIUS_PX = 4  # radius on the smaller picture
PURE_BACKGROUND = 0.05  # alpha up to which a pixel shows the background alone
FAINT = np.float32(1e-3)  # weight of every pixel, for where there is nothing but foreground to blur


def blur_radius(height: int, radius_px: float | None) -> float:
    """The radius that is meant, in pixels of a frame of that height."""
    return height * DEFAULT_RADIUS if radius_px is None else radius_px


def blur_work(size: tuple[int, int], radius: float) -> tuple[tuple[int, int], float]:
    """The size (h, w) at which frames of size (H, W) are blurred by a radius, and the Gaussian's sigma there."""
    scale = min(1.0, WORK_RADIUS_PX / max(radius, LEAST_RADIUS_PX))
    height, width = (max(1, round(side * scale)) for side in size)
    return (height, width), radius * scale / 2


def blur_background(
    frame: np.ndarray, alpha: np.ndarray, background: np.ndarray, radius_px: float | None = None
) -> None:
    """Fills background, uint8 (H, W, 3) RGB, with what is behind the foreground of frame, the same, blurred.

    alpha: float32 (H, W) in [0, 1]. radius_px: in pixels of the frame; None takes DEFAULT_RADIUS.
    """
    radius = blur_radius(frame.shape[0], radius_px)
    if radius < LEAST_RADIUS_PX:
        np.copyto(background, frame)
        return
    (height, width), sigma = blur_work(alpha.shape, radius)
    size = width, height
    pure = cv2.inRange(alpha, -1.0, PURE_BACKGROUND)
    # In float, since where little is pure a level of its colour is less than a level of the mean.
    weight = cv2.resize(pure.astype(np.float32), size, interpolation=cv2.INTER_AREA) / 255
    small = cv2.resize(cv2.copyTo(frame, pure).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    # Far inside the foreground there is nothing else to blur than the frame itself.
    small += FAINT * cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    weight += FAINT
    blurred = cv2.GaussianBlur(small, (0, 0), sigma)
    blurred /= cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    small_background = np.clip(np.rint(blurred), 0, 255).astype(np.uint8)
    cv2.resize(small_background, frame.shape[1::-1], dst=background, interpolation=cv2.INTER_LINEAR)
