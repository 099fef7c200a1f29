"""Frames of a video: upright, in 8-bit RGB, from the part of it that is wanted."""

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter
from vmfm.apps.media.colour import SDR, Colour
from vmfm.apps.media.cut import WHOLE, Cut
from vmfm.apps.media.decoder import Decoder
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.frames import Frame, Mark, MediaInfo
from vmfm.apps.media.hdr import to_sdr
from vmfm.apps.media.timecode import Timecode

_UNSPECIFIED_MATRIX = 2


class VideoReader:
    """Rotation and mirroring told by the file are applied; matrix and range are honoured; HDR is mapped to SDR; every
    frame has the size of the first. Times are the decoder's, or count from the first frame of a cut that starts later.
    """

    def __init__(self, path: Path, *, cut: Cut = WHOLE, salvage: bool = False, hardware: bool = False) -> None:
        self._decoder = decoder = Decoder(path, salvage=salvage, hardware=hardware)
        try:
            first = decoder.first
            self._width, self._height = first.width, first.height
            self._orientation = _orientation(first)
            self._reformatter = VideoReformatter()
            self._colour = Colour.of(first)
            self._frames = decoder.frames()
            self._ahead: list[tuple[av.VideoFrame, int]] = []
            self._find_start(cut)
            self.info = self._describe(cut)
        except BaseException:
            decoder.close()
            raise

    @property
    def damage(self) -> str:
        return self._decoder.damage

    @property
    def note(self) -> str:
        return self._decoder.note

    def close(self) -> None:
        self._decoder.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._from(self._origin, 0)

    def frames_from(self, mark: Mark) -> Iterator[Frame]:
        if frames := self._searched(mark):
            yield from frames
            return
        self._decoder.restart()
        self._ahead, self._frames = [], self._decoder.frames()
        frames = self._from(self._origin, 0)
        yield mark.check(next((frame for frame in frames if frame.index == mark.index), None), self._decoder.path)
        yield from frames

    def _searched(self, mark: Mark) -> Iterator[Frame] | None:
        """By the file's index; None where that does not lead to the marked frame."""
        if not self._decoder.search(mark.pts + self._shift):
            return None
        self._ahead, self._frames = [], self._decoder.frames()
        frames = self._from(mark.pts + self._shift, mark.index)
        with suppress(ReadError):
            if (first := next(frames, None)) is not None and Mark.of(first) == mark:
                return _with_first(first, frames)
        return None

    def _find_start(self, cut: Cut) -> None:
        """Goes to the first frame of the cut, and notes what its times count from and where it ends."""
        decoder = self._decoder
        begins = 0 if decoder.first.pts is None else decoder.first.pts - decoder.clock.zero
        wanted = begins + math.ceil(cut.first / decoder.time_base)
        if cut.first:
            if not decoder.search(wanted):
                decoder.restart()
            self._frames = decoder.frames()
        self._end = None if cut.end is None else begins + math.ceil(cut.end / decoder.time_base)
        found = next((item for item in self._frames if item[1] >= wanted), None)
        if found is None or (self._end is not None and found[1] >= self._end):
            until = "on" if cut.end is None else f"to {float(cut.start + (cut.duration or 0)):g} s"
            raise ReadError(f"{decoder.path} has no frame from {float(cut.start):g} s {until}")
        self._ahead = [found]
        self._origin, self._skipped = found[1], found[1] - begins
        self._shift = self._origin if cut.first else 0

    def _timed(self, earliest: int) -> Iterator[tuple["av.VideoFrame", int]]:
        while self._ahead:
            yield self._ahead.pop()  # the only reference, so that it can go
        for decoded, pts in self._frames:
            if pts >= earliest:
                yield decoded, pts

    def _from(self, earliest: int, first_index: int) -> Iterator[Frame]:
        time_base = self.info.time_base
        timed = self._timed(earliest)
        current = next(timed, None)
        for index in count(first_index):
            if current is None or (self._end is not None and current[1] >= self._end):
                return
            decoded, pts = current
            current = next(timed, None)
            duration = current[1] - pts if current else self._decoder.last_duration(decoded, pts)
            seconds = float((pts - self._origin) * time_base)
            yield Frame(self._to_rgb(decoded), index, pts - self._shift, duration, seconds)

    def _describe(self, cut: Cut) -> MediaInfo:
        decoder = self._decoder
        turned = self._orientation[0]
        aspect = Fraction(decoder.stream.sample_aspect_ratio or 1) or Fraction(1)
        frames = decoder.estimate_frames()
        if frames is not None:
            frames = max(1, frames - math.floor(cut.first * decoder.fps))
            if cut.duration is not None:
                frames = max(1, min(frames, round(cut.duration * decoder.fps)))
        time_base = decoder.time_base
        return MediaInfo(
            width=self._height if turned else self._width,
            height=self._width if turned else self._height,
            frames=frames,
            fps=decoder.fps,
            time_base=time_base,
            sample_aspect=1 / aspect if turned else aspect,
            colour=SDR if self._colour.is_hdr else self._colour,
            is_video=True,
            span=(self._shift * time_base, None if self._end is None else self._end * time_base),
            skipped=self._skipped * time_base,
            timecode=self._timecode(),
            was_hdr=self._colour.is_hdr,
        )

    def _timecode(self) -> Timecode | None:
        """That of the first frame that is in, where the file tells one."""
        told = Timecode.parse(self._decoder.timecode, self._decoder.fps)
        return told and told.later(round(self._skipped * self._decoder.time_base * self._decoder.fps))

    def _to_rgb(self, decoded: "av.VideoFrame") -> np.ndarray:
        matrix = self._colour.swscale_matrix if decoded.colorspace == _UNSPECIFIED_MATRIX else None
        pixels = "rgb48le" if self._colour.is_hdr else "rgb24"
        rgb = self._reformatter.reformat(decoded, self._width, self._height, pixels, src_colorspace=matrix)
        turned, flip_x, flip_y = self._orientation
        image = rgb.to_ndarray()
        if self._colour.is_hdr:
            image = to_sdr(image, self._colour.transfer, self._colour.primaries)
        if turned:
            image = image.transpose(1, 0, 2)
        return np.ascontiguousarray(image[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def _with_first(first: Frame, frames: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    del first
    yield from frames


def _orientation(frame: "av.VideoFrame") -> tuple[bool, bool, bool]:
    """(transpose, then mirror in x, then mirror in y) that brings the stored picture upright."""
    side_data = frame.side_data.get(Type.DISPLAYMATRIX)
    if side_data is None:
        return False, False, False
    a, b, _, c, d = (int(v) for v in np.frombuffer(bytes(side_data), np.int32)[:5])
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    return (True, c < 0, b < 0) if turned else (False, a < 0, d < 0)
