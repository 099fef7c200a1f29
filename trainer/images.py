"""Pictures as files, both ways."""

from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer.errors import TrainerError


def read(path: Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """uint8 (H, W, 3) RGB; by OpenCV's flags also (H, W, 4) RGBA or (H, W) grey. Raises TrainerError."""
    image = cv2.imread(str(path), flags)
    if image is None:
        what = "no readable image" if path.exists() else "missing"
        raise TrainerError(f"{path} is {what}; `vmfm data check` looks through a whole data folder")
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return image


def read_grey(path: Path) -> np.ndarray:
    """uint8 (H, W). Raises TrainerError."""
    return read(path, cv2.IMREAD_GRAYSCALE)


def read_mask(path: Path) -> np.ndarray:
    """A grey image as a bool mask (H, W). Raises TrainerError."""
    return read_grey(path) >= 128


def encode(picture: np.ndarray, suffix: str, quality: int = 88) -> bytes:
    """A picture (H, W, 3) RGB or (H, W) grey, uint8, as the bytes of an image file; quality is that of a JPEG."""
    if suffix.lower() not in {".jpg", ".jpeg", ".png"}:
        raise TrainerError(f"cannot write pictures as {suffix or 'a file without suffix'!r}; use .jpg or .png")
    options = [] if suffix.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(suffix, picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    return data.tobytes()
