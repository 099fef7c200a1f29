"""NV12, the layout of video decoders and encoders, to RGB and back: what the kernels of that name have to compute."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Coding:
    """How RGB is coded: weights of red and blue in luma, and whether levels are 16 to 235 (240) or 0 to 255."""

    red: float = 0.2126
    blue: float = 0.0722
    full_range: bool = False

    @property
    def levels(self) -> tuple[float, float, float]:
        """Coded black, and the factors from coded luma and chroma to 0 to 255."""
        return (0.0, 1.0, 1.0) if self.full_range else (16.0, 255 / 219, 255 / 224)


BT709 = Coding()
BT601 = Coding(0.299, 0.114)


def nv12_to_rgb(luma: np.ndarray, chroma: np.ndarray, coding: Coding = BT709) -> np.ndarray:
    """uint8 (H, W, 3) RGB from luma, uint8 (H, W), and chroma, uint8 (ceil(H / 2), ceil(W / 2), 2), blue first."""
    black, gain, chroma_gain = coding.levels
    height, width = luma.shape
    light = (luma - np.float32(black)) * np.float32(gain)
    at_pixels = chroma.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] - np.float32(128)
    red = light + 2 * (1 - coding.red) * chroma_gain * at_pixels[..., 1]
    blue = light + 2 * (1 - coding.blue) * chroma_gain * at_pixels[..., 0]
    green = (light - coding.red * red - coding.blue * blue) / (1 - coding.red - coding.blue)
    return _levels(np.stack([red, green, blue], axis=-1))


def rgb_to_nv12(frame: np.ndarray, coding: Coding = BT709) -> tuple[np.ndarray, np.ndarray]:
    """(luma, chroma) of a frame, uint8 (H, W, 3) RGB; chroma is that of the average of each 2x2 pixels."""
    black, gain, chroma_gain = coding.levels
    weights = np.array([coding.red, 1 - coding.red - coding.blue, coding.blue], np.float32)
    light = frame.astype(np.float32) @ weights
    even = [(0, side % 2) for side in light.shape]  # an odd last row or column counts twice, which leaves averages
    blue, red = (np.pad(frame[..., channel] - light, even, mode="edge") for channel in (2, 0))
    blue, red = (x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean(axis=(1, 3)) for x in (blue, red))
    chroma = [128 + blue / (2 * (1 - coding.blue) * chroma_gain), 128 + red / (2 * (1 - coding.red) * chroma_gain)]
    return _levels(black + light / gain), _levels(np.stack(chroma, axis=-1))


def _levels(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)
