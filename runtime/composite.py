"""Putting the foreground over another background without dragging the old background along.

At a soft edge a pixel shows I = alpha F + (1 - alpha) B. Blending I itself would carry the old B into the new
picture as a halo, so F is estimated first, by blur fusion (Forte, "Approximate Fast Foreground Colour Estimation",
ICIP 2021): F and B are guessed as alpha-weighted averages of their surroundings, first wide and then narrow, and F is
corrected so that the three agree with I. The averages are smooth and are made at a reduced size; the correction,
which carries the detail, is made at full size and only where alpha is neither 0 nor 1.

Beyond the paper, the averages weigh by powers of alpha, because a pixel of alpha 0.5 is half background and the purer
ones nearby know better. On synthetic edges and hair that takes a third off the error.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from vmfm.runtime.errors import FrameError
from vmfm.runtime.preprocess import check_frame, shrink

SOFT_LOW, SOFT_HIGH = 1 / 255, 254 / 255  # outside, blending would change no pixel by more than one level
_SOLID = 254  # SOFT_HIGH as _softness() tells it
WORK_PX = 400  # longer side of the reduced size, at most
PIECE = 2**16  # pixels corrected at a time
WIDE, NARROW = 0.04, 0.005  # radii of the two averages, of the longer side


def estimate_foreground(frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The foreground's own colours, uint8 (H, W, 3) RGB; equal to frame where alpha is 0 or 1.

    frame: uint8 (H, W, 3) RGB; alpha: float32 (H, W) in [0, 1]. Raises FrameError.
    """
    _check(frame, alpha)
    foreground = frame.copy()
    for pixels, _, colours in _soft_pieces(frame, alpha, _softness(alpha)):
        foreground.reshape(-1, 3)[pixels] = colours
    return foreground


def composite(
    frame: np.ndarray,
    alpha: np.ndarray,
    background: np.ndarray,
    *,
    linear: bool = False,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The foreground of frame over background, uint8 (H, W, 3) RGB, with its colours decontaminated.

    frame, background: uint8 (H, W, 3) RGB of the same size; alpha: float32 (H, W) in [0, 1].
    linear: blend light instead of sRGB values. Light is what a lens mixes, so blur against bright backgrounds looks
    more natural; sRGB values are what most editors and the training data mix, and the default. out: C-contiguous, where
    the result is to be written. Raises FrameError.
    """
    _check(frame, alpha)
    check_background(background, frame)
    out = np.empty(frame.shape, np.uint8) if out is None else out
    np.copyto(out, background)
    softness = _softness(alpha)
    cv2.copyTo(frame, cv2.inRange(softness, _SOLID, 255), out)
    for pixels, a, foreground in _soft_pieces(frame, alpha, softness):
        behind = out.reshape(-1, 3).take(pixels, axis=0)
        out.reshape(-1, 3)[pixels] = _blend(foreground, a, behind, linear)
    return out


def check_background(background: np.ndarray, frame: np.ndarray) -> None:
    """Raises FrameError unless background is uint8 (H, W, 3) of the frame's size."""
    check_frame(background, "background")
    if background.shape != frame.shape:
        raise FrameError(
            f"background is {_size(background)} and the frame {_size(frame)}: resize the background to the frame"
        )


def work_size(size: tuple[int, ...]) -> tuple[int, int]:
    """The reduced size (h, w) at which the colours around soft edges of frames of a size (H, W) are averaged."""
    height, width = size
    while max(height, width) > WORK_PX:  # by halves, which shrink() does fastest
        height, width = (height + 1) // 2, (width + 1) // 2
    return height, width


def average_radii(size: tuple[int, int]) -> tuple[int, int]:
    """The radii of the wide and the narrow average at a reduced size (h, w), in its pixels."""
    wide, narrow = (max(1, round(radius * max(size))) for radius in (WIDE, NARROW))
    return wide, narrow


def _blend(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray, linear: bool) -> np.ndarray:
    """uint8 (N, 3) from uint8, float32 and uint8, all (N, 3)."""
    over, under = (_LINEAR[x] if linear else x.astype(np.float32) for x in (foreground, background))
    mixed = under + alpha * (over - under)
    return _to_uint8(_linear_to_srgb(mixed) if linear else mixed)


def _softness(alpha: np.ndarray) -> np.ndarray:
    """uint8 (H, W): 0 up to SOFT_LOW, _SOLID and more from SOFT_HIGH on. A quarter of the bytes for all that looks at it."""
    return cv2.convertScaleAbs(alpha, alpha=255, beta=-0.5)


def _soft_pieces(
    frame: np.ndarray, alpha: np.ndarray, softness: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The pixels whose alpha is neither 0 nor 1, PIECE at a time, so that memory stays small however many there are.

    Each piece: flat indices (N,), alpha float32 (N, 3), the same in every channel, and F uint8 (N, 3).
    """
    frame, alpha = np.ascontiguousarray(frame), np.ascontiguousarray(alpha)
    soft = np.flatnonzero(softness - np.uint8(1) < _SOLID - 1)  # below 0 it begins again at 255
    if not len(soft):
        return
    surroundings = _surrounding_colours(frame, alpha)
    for start in range(0, len(soft), PIECE):
        pixels = soft[start : start + PIECE]
        a = np.repeat(alpha.take(pixels), 3).reshape(-1, 3)
        foreground, background = _sample(surroundings, pixels, alpha.shape)
        seen = frame.reshape(-1, 3).take(pixels, axis=0)
        yield pixels, a, _to_uint8(_agree(foreground, background, a, seen))


def _sample(
    pictures: tuple[np.ndarray, np.ndarray], pixels: np.ndarray, full_size: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear colours, float32 (N, 3) each, of two reduced uint8 pictures at flat pixel indices of the full-size one."""
    columns = 1024  # remap wants a picture, and one not wider than 32767
    at = np.zeros((2, -(-len(pixels) // columns), columns), np.float32)  # rows and columns of the pictures
    places = np.divmod(pixels.astype(np.int32), np.int32(full_size[1]))
    for place, whole, small_side, full_side in zip(places, at, pictures[0].shape, full_size, strict=False):
        scale = np.float32(small_side / full_side)
        np.multiply(place, scale, out=whole.reshape(-1)[: len(pixels)], casting="unsafe")
        whole += scale / 2 - np.float32(0.5)

    def sample(picture: np.ndarray) -> np.ndarray:
        colours = cv2.remap(picture, at[1], at[0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return colours.reshape(-1, 3)[: len(pixels)].astype(np.float32)

    return sample(pictures[0]), sample(pictures[1])


def _agree(foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The foreground moved so that alpha F + (1 - alpha) B comes closer to what is seen."""
    return foreground + alpha * (seen - background - alpha * (foreground - background))


def _surrounding_colours(frame: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The averages of F and B after both passes, uint8 (h, w, 3) each, at the reduced size."""
    size = work_size(alpha.shape)
    # Planes, (3, h, w): NumPy is several times faster on them than on interleaved colours.
    image = np.ascontiguousarray(shrink(frame, size).transpose(2, 0, 1)).astype(np.float32)
    a = shrink(alpha, size)
    wide, narrow = average_radii(size)
    foreground = _weighted_average(image, _power(a, 8), wide)
    background = _weighted_average(image, _power(1 - a, 8), wide)
    foreground, background = (
        _weighted_average(np.clip(_agree(foreground, background, a, image), 0, 255), _power(a, 4), narrow),
        _weighted_average(np.clip(_agree(background, foreground, 1 - a, image), 0, 255), _power(1 - a, 4), narrow),
    )
    return cv2.merge(list(_to_uint8(foreground))), cv2.merge(list(_to_uint8(background)))


def _weighted_average(planes: np.ndarray, weight: np.ndarray, radius: int) -> np.ndarray:
    """Averages of planes (3, h, w) over a box, weighted by weight (h, w); unweighted where nothing weighs."""
    side = (2 * radius + 1, 2 * radius + 1)
    weight = weight + np.float32(1e-5)
    total = cv2.blur(weight, side, borderType=cv2.BORDER_REFLECT)
    products = planes * weight
    return np.stack([cv2.blur(plane, side, borderType=cv2.BORDER_REFLECT) for plane in products]) / total


def _power(x: np.ndarray, exponent: int) -> np.ndarray:
    """x to a power of two."""
    while exponent > 1:
        x, exponent = x * x, exponent // 2
    return x


def _to_uint8(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def srgb_to_linear(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _linear_to_srgb(x: np.ndarray) -> np.ndarray:
    """0 to 1 light to 0 to 255 sRGB values."""
    return 255 * np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0) ** (1 / 2.4) - 0.055)


_LINEAR = srgb_to_linear(np.arange(256, dtype=np.float32) / 255).astype(np.float32)


def _check(frame: np.ndarray, alpha: np.ndarray) -> None:
    check_frame(frame)
    if not isinstance(alpha, np.ndarray) or alpha.shape != frame.shape[:2] or alpha.dtype != np.float32:
        got = f"{alpha.dtype} {alpha.shape}" if isinstance(alpha, np.ndarray) else type(alpha).__name__
        raise FrameError(
            f"alpha is {got}; wanted float32 {frame.shape[:2]} in [0, 1], one value per pixel of the frame"
        )


def _size(frame: np.ndarray) -> str:
    return f"{frame.shape[1]}x{frame.shape[0]}"
