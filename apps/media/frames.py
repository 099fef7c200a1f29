"""What readers hand over and writers take."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from vmfm.apps.media.colour import Colour


@dataclass(frozen=True)
class Frame:
    """One picture of a source, upright.

    image: (height, width, 3) uint8 RGB. index: 0 for the source's first frame.
    pts, duration: in units of the source's time_base. seconds: time since the source's first frame.
    """

    image: np.ndarray
    index: int = 0
    pts: int = 0
    duration: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class MediaInfo:
    """What a source says about itself. width, height: upright, in pixels. A still image has one frame and no clock."""

    width: int
    height: int
    frames: int | None = 1  # None where the file does not tell; an estimate in some containers
    fps: Fraction = Fraction(25)
    time_base: Fraction = Fraction(1, 25)
    sample_aspect: Fraction = Fraction(1)
    colour: Colour | None = None
    is_video: bool = False
