"""From a user's frame to what the nets read, with a check of everything a user can get wrong about a frame."""

import cv2
import numpy as np
from vmfm.runtime.errors import FrameError

MAX_SIDE_PX = 32_766  # OpenCV's resampling counts in 16 bits
MAX_PIXELS = 2**26  # 8192 x 8192: beyond, one frame in flight takes several GB


def check_frame(frame: np.ndarray, what: str = "frame") -> None:
    """Raises FrameError unless frame is uint8 (H, W, 3), 1 <= H, W, and not larger than can be worked on."""
    if not isinstance(frame, np.ndarray):
        raise FrameError(f"{what} is a {type(frame).__name__}; wanted a numpy array, uint8 (H, W, 3) in RGB order")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise FrameError(f"{what} is {frame.dtype} {frame.shape}; wanted uint8 (H, W, 3) in RGB order")
    height, width = frame.shape[:2]
    if height < 1 or width < 1:
        raise FrameError(f"{what} is empty: {width}x{height} pixels")
    if max(height, width) > MAX_SIDE_PX or height * width > MAX_PIXELS:
        raise FrameError(
            f"{what} is {width}x{height}; at most {MAX_SIDE_PX} px a side and {MAX_PIXELS / 1e6:.0f} megapixels "
            "can be matted: scale it down first"
        )


def preprocess(frame: np.ndarray, image: np.ndarray) -> None:
    """Fills image, float32 (1, 3, h, w) in [0, 1], with frame, uint8 (H, W, 3), resized to it. Both are RGB.

    Shrinking averages areas, so that thin objects leave a trace; enlarging is bilinear.
    """
    small = shrink(frame, image.shape[2:])
    np.multiply(small.transpose(2, 0, 1), np.float32(1 / 255), out=image[0], casting="unsafe")


def shrink(picture: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """picture, uint8 or float32 (H, W) or (H, W, 3), resized to size (h, w): area average, or bilinear to enlarge."""
    height, width = size
    if picture.shape[0] < height or picture.shape[1] < width:
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    # Exact halving is ten times faster than a fractional area average, and the average of averages is the same one.
    for _ in range(halvings(picture.shape, size)):
        half = picture.shape[1] // 2, picture.shape[0] // 2
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def halvings(size: tuple[int, ...], target: tuple[int, ...]) -> int:
    """How many times shrink() halves a picture of size (H, W) on its way to target (h, w)."""
    height, width, count = size[0], size[1], 0
    while height % 2 == width % 2 == 0 and height >= 2 * target[0] and width >= 2 * target[1]:
        height, width, count = height // 2, width // 2, count + 1
    return count
