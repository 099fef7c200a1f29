"""What goes behind the foreground: a colour, an image, a looped video, or the frame's own background blurred."""

import gc
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from vmfm.apps.media.cut import WHOLE, Cut
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.frames import Frame, MediaInfo
from vmfm.apps.media.images import read_image
from vmfm.apps.media.kinds import is_image
from vmfm.apps.media.reader import open_reader
from vmfm.runtime import MediaError, Over

_COLOUR = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
_FAR_SECONDS = 2.0  # that a video is run through rather than searched
_BACK_SECONDS = 0.25
_SLACK_SECONDS = 0.001  # Matroska tells times in whole milliseconds
_BLUR = re.compile(r"blur(?::(\d+(?:\.\d+)?))?")


class Background(ABC):
    """over: how a stream puts the foreground over it."""

    over = Over()

    @abstractmethod
    def behind(self, frame: Frame) -> np.ndarray | None:
        """The background to hand in with a frame: (H, W, 3) uint8 RGB of its size, to be read only; None for none.

        It is the same array as before if it is the same picture. Frames come in the order of their time; a time that
        goes back starts the background anew.
        """


@contextmanager
def open_background(text: str) -> Iterator[Background]:
    """`#RRGGBB`, `blur`, `blur:RADIUS` in pixels, or the path of an image or a video.

    Raises ReadError where the text is none of these or the file cannot be read.
    """
    if colour := _COLOUR.fullmatch(text):
        yield ColourBackground(tuple(int(part, 16) for part in colour.groups()))
    elif blur := _BLUR.fullmatch(text):
        yield BlurBackground(float(blur[1]) if blur[1] else None)
    elif text.startswith(("#", "blur:")):
        raise ReadError(f"background {text} is not understood: a colour is #RRGGBB, a blur is blur:RADIUS in pixels")
    elif is_image(Path(text)):
        yield ImageBackground(read_image(Path(text)))
    else:
        background = VideoBackground(Path(text))
        try:
            yield background
        finally:
            background.close()


class ColourBackground(Background):
    def __init__(self, rgb: tuple[int, ...]) -> None:
        self._still = np.array([[rgb]], np.uint8)

    def behind(self, frame: Frame) -> np.ndarray:
        if self._still.shape != frame.image.shape:
            self._still = np.full(frame.image.shape, self._still[0, 0], np.uint8)
        return self._still


class ImageBackground(Background):
    def __init__(self, image: np.ndarray) -> None:
        self._image = image
        self._fitted = image

    def behind(self, frame: Frame) -> np.ndarray:
        if self._fitted.shape != frame.image.shape:
            self._fitted = cover_fit(self._image, *frame.image.shape[:2])
        return self._fitted


class BlurBackground(Background):
    """The frame's own background, which the stream blurs. radius_px: None goes by the frame's height."""

    def __init__(self, radius_px: float | None = None) -> None:
        self.over = Over(blur=True, radius_px=radius_px)

    def behind(self, frame: Frame) -> None:
        return None


class VideoBackground(Background):
    """A video, looped, its frames chosen by time whatever its frame rate is. What is far is searched for, not run through."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failure: MediaError | None = None
        self._start(0.0)

    @cached_property
    def _length(self) -> float:
        return _length(self._path)

    def _start(self, seconds: float) -> None:
        self._frames = looped(self._path, seconds, self._length if seconds else math.inf)
        self._now_seconds, self._failure = seconds, None
        self._still = ImageBackground(next(self._frames)[1])
        self._due_seconds, self._upcoming = next(self._frames)

    def close(self) -> None:
        self._frames.close()

    def behind(self, frame: Frame) -> np.ndarray:
        """Raises ReadError where the video cannot be read, and again until the time goes back."""
        if self._failure is not None and frame.seconds >= self._now_seconds:
            raise self._failure
        try:
            if not self._now_seconds <= frame.seconds < self._due_seconds + _FAR_SECONDS:
                self.close()
                self._start(frame.seconds)
            self._now_seconds = frame.seconds
            while self._due_seconds <= frame.seconds + _SLACK_SECONDS:
                self._still = ImageBackground(self._upcoming)
                self._due_seconds, self._upcoming = next(self._frames)
        except MediaError as error:
            self._failure = error
            raise
        return self._still.behind(frame)


def looped(path: Path, start: float = 0.0, length: float = math.inf) -> Generator[tuple[float, np.ndarray], None, None]:
    """(the time it is due in seconds, picture) of a video's frames, over and over, from the one due at `start` on.

    length: of one loop in seconds; without it the search is in the first.
    """
    loop_start, cut = _place(path, start, length) if start else (0.0, WHOLE)
    while True:
        with open_reader(path, cut=cut) as reader:
            skipped = float(reader.info.skipped)
            for frame in reader:
                yield loop_start + skipped + frame.seconds, frame.image
            if frame.index == 0 and not skipped:  # a still: shown for ever
                yield math.inf, frame.image
            loop_start += _end(reader.info, frame)
        cut = WHOLE
        # The first frame refers to itself since its side data was looked at. Nothing else here makes garbage, so
        # that the collector would come by after hundreds of loops: gigabytes, for large pictures.
        gc.collect(0)


def _length(path: Path) -> float:
    """Seconds to the end of a video's last picture, as looped() counts them: what containers tell may be the sound's.

    Infinite where they tell nothing, or no end can be decoded.
    """
    with open_reader(path) as reader:
        told = float(reader.info.frames / reader.info.fps) if reader.info.frames else 0.0
    back = _FAR_SECONDS
    while told:
        cut = Cut(Fraction(told - back)) if back < told else WHOLE
        with suppress(ReadError), open_reader(path, cut=cut) as reader:  # there may be no picture so late
            for frame in reader:
                pass
            return _end(reader.info, frame)
        if cut is WHOLE:
            break
        back *= 4
    return math.inf


def _end(info: MediaInfo, frame: Frame) -> float:
    """When a frame's time is over, in seconds from the beginning of the whole video."""
    return float(info.skipped) + frame.seconds + float(frame.duration * info.time_base)


def _place(path: Path, seconds: float, length: float) -> tuple[float, Cut]:
    """When the loop begins that this time is in, and a cut of the video whose first frame is shown then or shortly before."""
    loop_start = seconds // length * length if length < math.inf else 0.0
    back = _BACK_SECONDS
    while back < seconds - loop_start:
        cut = Cut(Fraction(seconds - loop_start - back))
        with suppress(ReadError), open_reader(path, cut=cut) as reader:
            if float(reader.info.skipped) <= seconds - loop_start:
                return loop_start, cut
        back *= 4  # frames that are shown that long
    return loop_start, WHOLE


def cover_fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """`image` scaled to cover (height, width) and cropped around its centre."""
    scale = max(height / image.shape[0], width / image.shape[1])
    cut_height, cut_width = (max(1, round(side / scale)) for side in (height, width))
    top, left = (image.shape[0] - cut_height) // 2, (image.shape[1] - cut_width) // 2
    cut = image[max(0, top) : top + cut_height, max(0, left) : left + cut_width]
    return cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
