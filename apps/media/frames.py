"""What readers hand over and writers take."""

import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np
from vmfm.apps.media.colour import Colour
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.timecode import Timecode


@dataclass(frozen=True)
class Frame:
    """One picture of a source, upright.

    image: (height, width, 3) uint8 RGB. index: 0 for the first frame of a video, the file's number in a sequence of images.
    pts, duration: in units of the source's time_base. seconds: time since the source's first frame.
    """

    image: np.ndarray
    index: int = 0
    pts: int = 0
    duration: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Mark:
    """A frame by which to find the place again in a source, and to notice that it is not the same source any more."""

    index: int
    pts: int
    checksum: int

    @classmethod
    def of(cls, frame: Frame) -> Self:
        return cls(frame.index, frame.pts, zlib.crc32(np.ascontiguousarray(frame.image).data))

    def check(self, frame: Frame | None, path: Path) -> Frame:
        """The frame, if it is the marked one. Raises ReadError."""
        if frame is None or Mark.of(frame) != self:
            raise ReadError(f"{path} is not what it was when the work on it began: run again without --resume")
        return frame


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
    span: tuple[Fraction, Fraction | None] = (Fraction(0), None)  # of the source's clock in seconds: what is in of it
    skipped: Fraction = Fraction(0)  # seconds of the source that a cut leaves out before the first frame
    timecode: Timecode | None = None  # of the first frame
    was_hdr: bool = False  # its colours were mapped to those of an ordinary screen
