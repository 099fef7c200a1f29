"""Frames out of a video or an image, upright, in RGB, each with its time."""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter
from vmfm.apps.media.colour import Colour
from vmfm.apps.media.container import Clock, open_container
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.frames import Frame, MediaInfo
from vmfm.apps.media.images import read_image
from vmfm.apps.media.kinds import is_image

_UNSPECIFIED_MATRIX = 2


class Reader(Protocol):
    """A source of frames. One pass over it; open it again for another."""

    info: MediaInfo
    damage: str  # what was found broken so far, empty where nothing was

    def __iter__(self) -> Iterator[Frame]: ...


@contextmanager
def open_reader(path: Path, *, salvage: bool = False) -> Iterator[Reader]:
    """A reader of the video or image at `path`.

    salvage: step over damage, noting it in `damage`, where the default raises ReadError.
    Raises ReadError where the file is missing, of no known kind, empty or damaged.
    """
    if not path.exists():
        raise ReadError(f"{path} does not exist")
    if path.is_dir():
        raise ReadError(f"{path} is a folder, where one video or image was wanted")
    if is_image(path):
        yield ImageReader(path)
        return
    with open_container(path) as container:
        yield VideoReader(path, container, salvage=salvage)


class ImageReader:
    """A source of one frame."""

    def __init__(self, path: Path) -> None:
        self._image = read_image(path)
        self.info = MediaInfo(width=self._image.shape[1], height=self._image.shape[0])
        self.damage = ""

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(self._image)


class VideoReader:
    """The first real video stream of a container (cover pictures of music files do not count).

    Rotation and mirroring told by the file are applied; matrix and range are honoured; every frame has the
    size of the first. Time stamps are the file's own, counted from where it begins, and made strictly increasing where
    they are not.
    """

    def __init__(self, path: Path, container: "av.container.InputContainer", *, salvage: bool = False) -> None:
        self.path = path
        self.damage = ""
        self._salvage = salvage
        self._container = container
        self._stream = self._choose_stream()
        self._stream.thread_type = "AUTO"
        self._reformatter = VideoReformatter()
        self._fps = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        self._check_all_bytes_there()
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise ReadError(f"{path} holds no frame that can be decoded")
        self._first = [first]
        self._width, self._height = first.width, first.height
        self._orientation = _orientation(first)
        self.info = self._describe(first)
        self._usual_duration = max(1, round(1 / (self._fps * self.info.time_base)))
        self._clock = Clock(container, self.info.time_base)

    def __iter__(self) -> Iterator[Frame]:
        time_base = self.info.time_base
        timed = self._timed()
        decoded, pts = next(timed)
        start = pts
        for index in count():
            following = next(timed, None)
            duration = following[1] - pts if following else self._last_duration(decoded, pts)
            yield Frame(self._to_rgb(decoded), index, pts, duration, float((pts - start) * time_base))
            if following is None:
                return
            decoded, pts = following

    def _timed(self) -> Iterator[tuple["av.VideoFrame", int]]:
        decoded: av.VideoFrame | None = self._first.pop()  # the only reference, so that it can go
        while decoded is not None:
            yield decoded, self._clock.place(decoded.pts, self._usual_duration)
            decoded = next(self._decoded, None)

    def _last_duration(self, decoded: "av.VideoFrame", pts: int) -> int:
        """In MP4 and MOV, packets tell how long they are decoded, not shown: the track's own end is to be trusted."""
        stream = self._stream
        if stream.duration and not self.damage and "mp4" in self._container.format.name:
            return max(0, (stream.start_time or 0) + stream.duration - self._clock.zero - pts) or self._usual_duration
        return decoded.duration or self._usual_duration

    def _choose_stream(self) -> "av.VideoStream":
        streams = [s for s in self._container.streams.video if not s.disposition & s.disposition.attached_pic]
        # libav takes any text for a terminal recording.
        if not streams or self._container.format.name == "tty":
            raise ReadError(f"{self.path} is not a video")
        return streams[0]

    def _describe(self, first: "av.VideoFrame") -> MediaInfo:
        stream = self._stream
        frames = stream.frames or None
        if frames is None and (stream.duration or self._container.duration):
            seconds = (
                stream.duration * stream.time_base
                if stream.duration
                else Fraction(self._container.duration, av.time_base)
            )
            frames = max(1, round(seconds * self._fps))
        turned = self._orientation[0]
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        return MediaInfo(
            width=first.height if turned else first.width,
            height=first.width if turned else first.height,
            frames=frames,
            fps=self._fps,
            time_base=Fraction(stream.time_base),
            sample_aspect=1 / aspect if turned else aspect,
            colour=Colour.of(first),
            is_video=True,
        )

    def _to_rgb(self, decoded: "av.VideoFrame") -> np.ndarray:
        matrix = None
        if decoded.colorspace == _UNSPECIFIED_MATRIX and self.info.colour is not None:
            matrix = self.info.colour.swscale_matrix
        rgb = self._reformatter.reformat(decoded, self._width, self._height, "rgb24", src_colorspace=matrix)
        turned, flip_x, flip_y = self._orientation
        image = rgb.to_ndarray()
        if turned:
            image = image.transpose(1, 0, 2)
        return np.ascontiguousarray(image[:: -1 if flip_y else 1, :: -1 if flip_x else 1])

    def _decode(self) -> Iterator["av.VideoFrame"]:
        end: Fraction | None = None
        shown: deque[int | None] = deque()
        packets = self._container.demux(self._stream)
        number = 0
        while True:
            try:
                packet = next(packets, None)
            except (OSError, av.FFmpegError) as error:
                self._found_damage(f"after frame {number}", error)
                break
            if packet is None:
                break
            shown.append(packet.dts)
            try:
                for frame in packet.decode():
                    number += 1
                    if self._container.format.name == "avi":  # it tells no more than when the nth picture is shown
                        frame.pts = shown.popleft() if shown else None
                    if frame.pts is not None:
                        end = (frame.pts + (frame.duration or 0)) * Fraction(self._stream.time_base)
                    yield frame
            except (OSError, av.FFmpegError) as error:
                self._found_damage(f"after frame {number}", error)
        self._check_reached_end(end, number)

    def _found_damage(self, where: str, error: Exception | None = None) -> None:
        self.damage = self.damage or f"{self.path} is damaged {where}"
        if not self._salvage:
            raise ReadError(f"{self.damage}; --salvage keeps the frames that can be decoded") from error

    def _check_all_bytes_there(self) -> None:
        """MP4, MOV and AVI carry an index of their packets: one that lies behind the file's end tells a cut file."""
        size = os.path.getsize(self.path)
        cut = next((n for n, entry in enumerate(self._stream.index_entries) if entry.pos + entry.size > size), None)
        if cut is not None:
            self._found_damage(f"or cut short: its index names bytes behind the end, from packet {cut} on")

    def _check_reached_end(self, end: Fraction | None, count: int) -> None:
        """Matroska and WebM carry each track's duration: frames that end more than a second before it tell a cut file."""
        told = self._stream.metadata.get("DURATION", "")
        try:
            hours, minutes, seconds = told.split(":")
            duration = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds.strip("\0"))
        except ValueError:
            return
        if end is not None and duration - end > 1 + 2 / self._fps:
            self._found_damage(f"or cut short: its {count} frames end at {float(end):.1f} s of {float(duration):.1f} s")


def _orientation(frame: "av.VideoFrame") -> tuple[bool, bool, bool]:
    """(transpose, then mirror in x, then mirror in y) that brings the stored picture upright."""
    side_data = frame.side_data.get(Type.DISPLAYMATRIX)
    if side_data is None:
        return False, False, False
    a, b, _, c, d = (int(v) for v in np.frombuffer(bytes(side_data), np.int32)[:5])
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    return (True, c < 0, b < 0) if turned else (False, a < 0, d < 0)
