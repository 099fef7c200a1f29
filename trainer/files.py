"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer.errors import TrainerError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says as a TrainerError where the disk is full, or read-only, or what else keeps a file from being written."""
    try:
        yield
    except OSError as error:
        raise TrainerError(f"cannot write {path}: {error.strerror}") from error


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that it is either whole or as it was before."""
    partial = path.with_name(f".{path.name}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def encode(picture: np.ndarray, suffix: str, quality: int = 88) -> bytes:
    """A picture (H, W, 3) RGB or (H, W) grey, uint8, as the bytes of an image file; quality is that of a JPEG."""
    if suffix.lower() not in {".jpg", ".jpeg", ".png"}:
        raise TrainerError(f"cannot write pictures as {suffix or 'a file without suffix'!r}; use .jpg or .png")
    options = [] if suffix.lower() == ".png" else [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(suffix, picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    return data.tobytes()
