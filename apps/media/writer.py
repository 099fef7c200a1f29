"""Frames into a video, an image or numbered images; complete under the final name, or not there at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import av
import numpy as np
from vmfm.apps.media.atomic import filling, replacing
from vmfm.apps.media.encodings import Encoding, Storing, choose_encoding
from vmfm.apps.media.errors import write_errors
from vmfm.apps.media.frames import Frame, MediaInfo
from vmfm.apps.media.images import write_image
from vmfm.apps.media.kinds import WRITABLE_VIDEO_SUFFIXES, is_pattern, numbered
from vmfm.apps.media.sequences import files_of
from vmfm.apps.media.tracks import Tracks, copied_tracks
from vmfm.apps.media.video_joiner import VideoJoiner
from vmfm.apps.media.video_writer import VideoWriter

_CONTAINER_OPTIONS = {suffix: {"movflags": "+faststart"} for suffix in (".mp4", ".m4v", ".mov")}
_NUMBERED = "%06d.png"


class Writer(Protocol):
    @property
    def left_out(self) -> str:
        """What of the source its kind cannot hold, for people; empty where it holds all."""

    def write(self, image: np.ndarray, frame: Frame) -> None:
        """Add one picture, (height, width[, 3 or 4]) grey, RGB or RGBA, at the time of `frame`.

        uint8, or uint16 where that is what is stored, or float32 light for .exr.
        """


class Joiner(Protocol):
    @property
    def left_out(self) -> str:
        """As of a writer."""

    def append(self, part: Path, starts_at: int) -> None:
        """Add what open_part() made from the frame at `starts_at` on, as it is."""


@contextmanager
def open_writer(
    path: Path,
    info: MediaInfo,
    encoding: Encoding | None = None,
    *,
    tracks_from: Path | None = None,
    sound: bool = True,
) -> Iterator[Writer]:
    """A writer for pictures of the size in `info`.

    encoding: of a video; by default the usual one for pictures in a file of this name. Other paths name an image, where the
    source is one, or else numbered images: a pattern like frame_%04d.png, or a folder, which gets PNGs. tracks_from: the
    file whose subtitles are copied into a video, and whose sound if that is wanted.
    Raises WriteError where the system refuses, or the video's kind cannot hold the sound.
    """
    with (
        reserve(path, info) as partial,
        open_writer_into(partial, path, info, encoding, tracks_from=tracks_from, sound=sound) as writer,
    ):
        yield writer


@contextmanager
def reserve(path: Path, info: MediaInfo) -> Iterator[Path]:
    """Where to write what is to be `path`: it becomes that when the block ends well, and vanishes when it does not."""
    with write_errors(path):
        if path.suffix.lower() in WRITABLE_VIDEO_SUFFIXES or not info.is_video:
            with replacing(path) as partial:
                yield partial
        else:
            pattern = _pattern(path)
            old = files_of(pattern).values()
            with filling(path.parent, path.name, old) if is_pattern(path) else filling(path, old=old) as folder:
                yield folder / pattern.name


def _pattern(path: Path) -> Path:
    """Of the numbered images that a path which names no video and no image stands for."""
    return path if is_pattern(path) else path / _NUMBERED


@contextmanager
def open_writer_into(
    partial: Path,
    path: Path,
    info: MediaInfo,
    encoding: Encoding | None = None,
    *,
    tracks_from: Path | None = None,
    sound: bool = True,
) -> Iterator[Writer]:
    """What open_writer() gives, into the place that reserve() gave."""
    with write_errors(path):
        if path.suffix.lower() in WRITABLE_VIDEO_SUFFIXES:
            encoding = encoding or choose_encoding(path.suffix, "picture", Storing())
            with _open_video(partial, path, info, tracks_from, sound) as (container, tracks):
                writer = VideoWriter(container, path, info, encoding, tracks)
                yield writer
                writer.finish()
        else:
            yield FolderWriter(partial, path) if info.is_video else ImageWriter(partial, path)


@contextmanager
def open_joiner_into(
    partial: Path, path: Path, info: MediaInfo, *, tracks_from: Path | None = None, sound: bool = True
) -> Iterator[Joiner]:
    """Like open_writer_into(), of a video or numbered images that come in parts."""
    with write_errors(path):
        if path.suffix.lower() in WRITABLE_VIDEO_SUFFIXES:
            with _open_video(partial, path, info, tracks_from, sound) as (container, tracks):
                joiner = VideoJoiner(container, info, tracks)
                yield joiner
                joiner.finish()
        else:
            yield FolderWriter(partial, path)


@contextmanager
def open_part(part: Path, path: Path, info: MediaInfo, encoding: Encoding | None, starts_at: int) -> Iterator[Writer]:
    """A writer of frames, the first one at `starts_at`, into `part`, of which a joiner makes `path`."""
    with write_errors(part):
        if encoding is not None:
            with av.open(str(part), "w") as container:
                writer = VideoWriter(container, part, info, encoding, part_from=starts_at)
                yield writer
                writer.finish()
        else:
            part.mkdir()
            yield FolderWriter(part / _pattern(path).name, part)


@contextmanager
def _open_video(
    partial: Path, path: Path, info: MediaInfo, tracks_from: Path | None, sound: bool
) -> Iterator[tuple["av.container.OutputContainer", Tracks | None]]:
    with (
        av.open(str(partial), "w", options=_CONTAINER_OPTIONS.get(path.suffix.lower(), {})) as container,
        copied_tracks(tracks_from, container, path, info.span, sound=sound) as tracks,
    ):
        if info.timecode is not None:
            container.metadata["timecode"] = str(info.timecode)
        yield container, tracks


def check_tracks(path: Path, info: MediaInfo, tracks_from: Path | None, *, sound: bool) -> None:
    """Raises WriteError where the kind of video that `path` names cannot hold the sound."""
    with (
        TemporaryDirectory() as folder,
        av.open(str(Path(folder) / f"empty{path.suffix}"), "w") as container,
        copied_tracks(tracks_from, container, path, info.span, sound=sound),
    ):
        pass


class ImageWriter:
    """One image."""

    left_out = ""

    def __init__(self, path: Path, name: Path) -> None:
        """name: in errors."""
        self._path = path
        self._name = name

    def write(self, image: np.ndarray, frame: Frame) -> None:
        with write_errors(self._name):
            write_image(self._place(frame), image)

    def _place(self, frame: Frame) -> Path:
        return self._path


class FolderWriter(ImageWriter):
    """Images named by the frames' numbers, by a pattern in place of a path: 000000.png is a video's first frame. Takes parts, too."""

    def append(self, part: Path, starts_at: int) -> None:
        for file in part.iterdir():
            target = self._path.parent / file.name
            try:
                os.link(file, target)  # the part stays whole, for the case that this is interrupted
            except OSError:  # another file system, or one without links
                shutil.copyfile(file, target)

    def _place(self, frame: Frame) -> Path:
        return numbered(self._path, frame.index)
