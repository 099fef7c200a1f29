"""From arrays to the pictures that an encoder takes."""

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter


class PixelConverter:
    """To one pixel format, in one matrix. Y'CbCr comes out in the narrow range, RGB and grey in the full one.

    Colours are taken as 8 bits a channel; greys and alphas keep what they have up to what the format holds.
    """

    def __init__(self, pixel_format: str, matrix: Colorspace) -> None:
        self._format = pixel_format
        self._matrix = matrix
        self._reformatter = VideoReformatter()

    def convert(self, image: np.ndarray) -> "av.VideoFrame":
        """image: contiguous (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16."""
        if image.ndim == 2 and self._format.startswith("gray"):
            return av.VideoFrame.from_ndarray(image, self._format)
        if image.ndim == 2 and self._format.startswith("yuv"):
            return self._grey(image)
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        if self._format == "rgba64le":
            return av.VideoFrame.from_ndarray(image, self._format)
        eight = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(eight, "rgba" if image.shape[2] == 4 else "rgb24"),
            format=self._format,
            dst_colorspace=self._matrix,
            dst_color_range=ColorRange.MPEG,
        )
        if image.dtype == np.uint16 and image.shape[2] == 4:
            _pixels(frame, 3)[:] = np.rint(image[..., 3] * np.float32(1023 / 65535))
        return frame

    def _grey(self, image: np.ndarray) -> "av.VideoFrame":
        """Straight to Y': through RGB, libswscale would bring 16-bit white three levels too high."""
        frame = av.VideoFrame(image.shape[1], image.shape[0], self._format)
        level = 4 if "10" in self._format else 1
        scale = np.float32(219 * level / (255 if image.dtype == np.uint8 else 65535))
        _pixels(frame, 0)[:] = np.rint(image * scale + 16 * level)
        for plane in range(1, len(frame.planes)):
            _pixels(frame, plane)[:] = 128 * level
        frame.color_range = ColorRange.MPEG
        return frame


def _pixels(frame: "av.VideoFrame", plane: int) -> np.ndarray:
    """A view of one plane, (H, W)."""
    wanted = frame.planes[plane]
    values = np.frombuffer(wanted, np.uint16 if "10" in frame.format.name else np.uint8)
    return values.reshape(wanted.height, -1)[:, : wanted.width]
