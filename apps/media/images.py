"""Still images: any depth and channel count in, 8-bit RGB out, and back at the depth that is handed in."""

import math
import re
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from vmfm.apps.media.errors import ReadError, WriteError, check_is_file

_MOST_PIXELS = 2**28  # 16384 x 16384: a file of some kB can claim many times that, and would be unpacked
_PNG_SIZE = re.compile(rb"\x89PNG\r\n\x1a\n....IHDR(.{4})(.{4})", re.DOTALL)
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def read_image(path: Path) -> np.ndarray:
    """(height, width, 3) uint8 RGB, upright by EXIF. Grey, RGBA, 16-bit and CMYK are converted; alpha is dropped.

    Raises ReadError where the file is missing, cut short or not an image.
    """
    check_is_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise ReadError(f"{path} is empty")
    png = _PNG_SIZE.match(data)
    if png and math.prod(int.from_bytes(side) for side in png.groups()) > _MOST_PIXELS:
        raise ReadError(f"{path} is larger than {_MOST_PIXELS / 1e6:.0f} megapixels: scale it down first")
    if _is_cut_jpeg(data):
        raise ReadError(f"{path} is cut short: the JPEG ends before its picture does")
    try:
        # From bytes, because OpenCV's own reader refuses non-ASCII paths on some systems.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ReadError(f"{path} cannot be read as an image: {error.err}") from error
    if image is None:
        raise ReadError(f"{path} is damaged or of a kind that cannot be read; PNG, JPEG, WebP, TIFF and BMP can")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write (height, width) or (height, width, 3 or 4) grey / RGB / RGBA in the format that `path` names.

    image: uint8; uint16 for the formats that have 16 bits; float32 for .exr alone, light rather than code values.
    Raises WriteError where the format cannot hold it, OSError where the system refuses.
    """
    if path.suffix.lower() == ".exr":
        path.write_bytes(_as_exr(image))
        return
    conversion = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[image.shape[2] if image.ndim == 3 else 2]
    ordered = image if conversion is None else cv2.cvtColor(image, conversion)
    height, width = image.shape[:2]
    try:
        done, data = cv2.imencode(path.suffix.lower(), ordered)
    except cv2.error as error:
        raise WriteError(f"cannot make a {width}x{height} {path.suffix} image: {error.err}") from error
    if not done:
        raise WriteError(f"cannot make a {width}x{height} {path.suffix} image: name it .png, which may be larger")
    path.write_bytes(data.tobytes())


def _as_exr(image: np.ndarray) -> bytes:
    """By FFmpeg's encoder: OpenCV's is switched off as it comes. Half floats, which tell 8-bit levels well apart."""
    height, width, *channels = image.shape
    pixel_format = {(): "grayf32le", (3,): "gbrpf32le", (4,): "gbrapf32le"}[tuple(channels)]
    encoder = av.CodecContext.create("exr", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, pixel_format
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"compression": "zip16", "format": "half"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), pixel_format)
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


def _is_cut_jpeg(data: bytes) -> bool:
    """Whether a JPEG lacks its end marker. The decoder only warns, and paints the missing rows grey."""
    if not data.startswith(b"\xff\xd8"):
        return False
    at = 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xD9:
            return False
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # the entropy-coded data of a scan runs to the next real marker
            end = _JPEG_SCAN_END.search(data, at)
            if end is None:
                return True
            at = end.start()
            if data[at + 1] == 0xD9:
                return False
    return True
