"""Putting the foreground over another background without dragging the old background along.

At a soft edge a pixel shows I = alpha F + (1 - alpha) B. Blending I itself would carry the old B into the new
picture as a halo, so F is estimated first, by blur fusion (Forte, "Approximate Fast Foreground Colour Estimation",
ICIP 2021): F and B are guessed as alpha-weighted averages of their surroundings, first wide and then narrow, and F is
corrected so that the three agree with I. The averages are smooth and are made at a reduced size; the correction, which
carries the detail, is made at full size and only where alpha is neither 0 nor 1.
"""

import cv2
import numpy as np
from vmfm.runtime.errors import FrameError
from vmfm.runtime.preprocess import check_frame

SOFT_LOW, SOFT_HIGH = 1 / 255, 254 / 255  # outside, blending would change no pixel by more than one level
WORK_PX = 384  # longer side of the reduced size
WIDE, NARROW = 0.07, 0.005  # radii of the two averages, of the longer side


def estimate_foreground(frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The foreground's own colours, uint8 (H, W, 3) RGB; equal to frame where alpha is 0 or 1.

    frame: uint8 (H, W, 3) RGB; alpha: float32 (H, W) in [0, 1]. Raises FrameError.
    """
    _check(frame, alpha)
    foreground = frame.copy()
    pixels = _soft_pixels(alpha)
    if len(pixels):
        foreground.reshape(-1, 3)[pixels] = _foreground_at(pixels, frame, alpha)
    return foreground


def composite(frame: np.ndarray, alpha: np.ndarray, background: np.ndarray, *, linear: bool = False) -> np.ndarray:
    """The foreground of frame over background, uint8 (H, W, 3) RGB, with its colours decontaminated.

    frame, background: uint8 (H, W, 3) RGB of the same size; alpha: float32 (H, W) in [0, 1].
    linear: blend light instead of sRGB values. Light is what a lens mixes, so blur against bright backgrounds looks
    more natural; sRGB values are what most editors and the training data mix, and the default. Raises FrameError.
    """
    _check(frame, alpha)
    check_frame(background, "background")
    if background.shape != frame.shape:
        raise FrameError(
            f"background is {_size(background)} and the frame {_size(frame)}: resize the background to the frame"
        )
    out = background.copy()
    cv2.copyTo(frame, cv2.inRange(alpha, SOFT_HIGH, np.inf), out)
    pixels = _soft_pixels(alpha)
    if len(pixels):
        foreground = _foreground_at(pixels, frame, alpha)
        behind = background.reshape(-1, 3)[pixels]
        out.reshape(-1, 3)[pixels] = _blend(foreground, alpha.ravel()[pixels, None], behind, linear)
    return out


def _blend(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray, linear: bool) -> np.ndarray:
    """uint8 (N, 3) from uint8 (N, 3), float32 (N, 1) and uint8 (N, 3)."""
    to_blend = _LINEAR if linear else _IDENTITY
    under = to_blend[background]
    mixed = under + alpha * (to_blend[foreground] - under)
    return _to_uint8(_linear_to_srgb(mixed) if linear else mixed)


def _soft_pixels(alpha: np.ndarray) -> np.ndarray:
    """Flat indices of the pixels whose alpha is neither 0 nor 1."""
    return np.flatnonzero((alpha > SOFT_LOW) & (alpha < SOFT_HIGH))


def _foreground_at(pixels: np.ndarray, frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """F, uint8 (N, 3), at flat pixel indices."""
    height, width = alpha.shape
    guess = _sample(_surrounding_colours(frame, alpha), pixels, (height, width))
    foreground, background = guess[:, :3], guess[:, 3:]
    a = alpha.ravel()[pixels, None]
    seen = frame.reshape(-1, 3)[pixels]
    return _to_uint8(foreground + a * (seen - background - a * (foreground - background)))


def _surrounding_colours(frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The two averages after both passes, float32 (h, w, 6): F then B, of the values 0 to 255, at the reduced size."""
    height, width = alpha.shape
    scale = min(1.0, WORK_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    a = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[..., None]
    side = max(size)
    wide, narrow = max(1, round(WIDE * side)), max(1, round(NARROW * side))
    foreground = _weighted_average(image, a, wide)
    background = _weighted_average(image, 1 - a, wide)
    corrected = foreground + a * (image - background - a * (foreground - background))
    np.clip(corrected, 0, 255, out=corrected)
    foreground = _weighted_average(corrected, a, narrow)
    background = _weighted_average(background, 1 - a, narrow)
    return np.concatenate([foreground, background], axis=2)


def _weighted_average(image: np.ndarray, weight: np.ndarray, radius: int) -> np.ndarray:
    """Average of image (h, w, 3) over a box, weighted by weight (h, w, 1); the image itself where nothing weighs."""
    weight = weight + np.float32(1e-4)
    packed = np.concatenate([image * weight, weight], axis=2)
    side = 2 * radius + 1
    packed = cv2.blur(packed, (side, side), borderType=cv2.BORDER_REFLECT)
    return packed[..., :3] / packed[..., 3:]


def _sample(image: np.ndarray, pixels: np.ndarray, full_size: tuple[int, int]) -> np.ndarray:
    """Bilinear values (N, C) of a reduced image at flat pixel indices of the full one."""
    y, x = np.divmod(pixels, full_size[1])
    columns = 1024  # remap wants a picture, and one not wider than 32767
    rows = -(-len(pixels) // columns)
    at = np.zeros((2, rows * columns), np.float32)
    at[0, : len(pixels)] = (x + 0.5) * (image.shape[1] / full_size[1]) - 0.5
    at[1, : len(pixels)] = (y + 0.5) * (image.shape[0] / full_size[0]) - 0.5
    map_x, map_y = at.reshape(2, rows, columns)
    halves = [
        cv2.remap(half, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for half in (image[..., :3].copy(), image[..., 3:].copy())
    ]
    return np.concatenate([half.reshape(-1, 3)[: len(pixels)] for half in halves], axis=1)


def _to_uint8(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def _srgb_to_linear(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _linear_to_srgb(x: np.ndarray) -> np.ndarray:
    """0 to 1 light to 0 to 255 sRGB values."""
    return 255 * np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0) ** (1 / 2.4) - 0.055)


_IDENTITY = np.arange(256, dtype=np.float32)
_LINEAR = _srgb_to_linear(_IDENTITY / 255).astype(np.float32)


def _check(frame: np.ndarray, alpha: np.ndarray) -> None:
    check_frame(frame)
    if not isinstance(alpha, np.ndarray) or alpha.shape != frame.shape[:2] or alpha.dtype != np.float32:
        got = f"{alpha.dtype} {alpha.shape}" if isinstance(alpha, np.ndarray) else type(alpha).__name__
        raise FrameError(
            f"alpha is {got}; wanted float32 {frame.shape[:2]} in [0, 1], one value per pixel of the frame"
        )


def _size(frame: np.ndarray) -> str:
    return f"{frame.shape[1]}x{frame.shape[0]}"
