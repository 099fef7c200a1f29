"""From a matte to the array that a writer takes."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from vmfm.apps.media.encodings import Content
from vmfm.runtime import Matte, Result, estimate_foreground
from vmfm.runtime.composite import srgb_to_linear

Samples = Literal["8 bits", "16 bits", "light"]  # uint8, uint16, float32 as OpenEXR wants it
Paint = Callable[[Matte], np.ndarray]


def painter(result: Result, content: Content, samples: Samples, *, premultiplied: bool = False) -> Paint:
    """How to make (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA of a matte.

    result: what is shown of it; content: as what. In cut-outs, colours are the foreground's own; premultiplied ones are
    alpha times that. Light is linear, and its cut-outs are premultiplied whatever is asked for, as OpenEXR defines.
    """
    if content == "matte":
        return lambda matte: _grey(matte.results[result], samples)
    if content == "picture":
        return lambda matte: _colours(matte.picture, samples)
    return partial(_cut_out, samples=samples, premultiplied=premultiplied or samples == "light")


def _cut_out(matte: Matte, samples: Samples, premultiplied: bool) -> np.ndarray:
    colours = _colours(estimate_foreground(matte.frame, matte.alpha), samples)
    if premultiplied:
        product = colours * matte.alpha[..., None]
        colours = product if samples == "light" else np.rint(product).astype(colours.dtype)
    return np.dstack([colours, _grey(matte.alpha, samples)])


def _grey(values: np.ndarray, samples: Samples) -> np.ndarray:
    """From [0, 1]."""
    if samples == "light":
        return values
    top, dtype = (255, np.uint8) if samples == "8 bits" else (65535, np.uint16)
    return np.rint(values * np.float32(top)).astype(dtype)


def _colours(image: np.ndarray, samples: Samples) -> np.ndarray:
    if samples == "8 bits":
        return image
    return _LIGHT[image] if samples == "light" else image.astype(np.uint16) * 257


_LIGHT = srgb_to_linear(np.arange(256) / 255).astype(np.float32)  # of sRGB levels
