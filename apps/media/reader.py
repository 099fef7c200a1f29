"""Frames out of a video, an image or a sequence of images, upright, in RGB, each with its time."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from vmfm.apps.media.cut import WHOLE, Cut
from vmfm.apps.media.errors import check_is_file
from vmfm.apps.media.frames import Frame, Mark, MediaInfo
from vmfm.apps.media.images import read_image
from vmfm.apps.media.kinds import is_image, is_pattern
from vmfm.apps.media.sequences import SequenceReader
from vmfm.apps.media.video_reader import VideoReader

USUAL_FPS = Fraction(25)  # of image sequences, which do not tell


class Reader(Protocol):
    """A source of frames. One pass over it; open it again for another."""

    info: MediaInfo

    @property
    def damage(self) -> str:
        """What was found broken so far, empty where nothing was."""

    @property
    def note(self) -> str:
        """What is to be known about how it is read, for people; mostly empty."""

    def __iter__(self) -> Iterator[Frame]: ...

    def frames_from(self, mark: Mark) -> Iterator[Frame]:
        """The marked frame, which an earlier reader of this source gave, and all after it. Raises ReadError."""


@contextmanager
def open_reader(
    path: Path,
    *,
    cut: Cut = WHOLE,
    fps: Fraction = USUAL_FPS,
    salvage: bool = False,
    hardware: bool = False,
    sequence: bool = False,
) -> Iterator[Reader]:
    """A reader of the video or image at `path`, or of the images that the pattern `path`, frame_%04d.png, stands for.

    cut: which part of a video or sequence. fps: of sequences. salvage: step over damage, noting it in `damage`, where the
    default raises ReadError. hardware: decode on a GPU where one can. sequence: a folder is one.
    Raises ReadError where the file is missing, of no known kind, empty or damaged.
    """
    if is_pattern(path) or (sequence and path.is_dir()):
        yield SequenceReader(path, fps=fps, cut=cut, salvage=salvage)
        return
    check_is_file(path)
    if is_image(path):
        yield ImageReader(path)
        return
    with closing(VideoReader(path, cut=cut, salvage=salvage, hardware=hardware)) as reader:
        yield reader


class ImageReader:
    """A source of one frame."""

    damage = note = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._image = read_image(path)
        self.info = MediaInfo(width=self._image.shape[1], height=self._image.shape[0])

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(self._image)

    def frames_from(self, mark: Mark) -> Iterator[Frame]:
        yield mark.check(Frame(self._image), self._path)
