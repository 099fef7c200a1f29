"""Frames into a video, an image or a folder of images; complete under the final name, or not there at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange, VideoReformatter
from vmfm.apps.media.atomic import filling, replacing
from vmfm.apps.media.colour import Colour
from vmfm.apps.media.errors import WriteError, write_errors
from vmfm.apps.media.frames import Frame, MediaInfo
from vmfm.apps.media.images import write_image
from vmfm.apps.media.kinds import TRANSPARENT_VIDEO_SUFFIXES, WRITABLE_VIDEO_SUFFIXES
from vmfm.apps.media.tracks import Tracks, copied_tracks


class Writer(Protocol):
    @property
    def left_out(self) -> str:
        """What of the source its kind cannot hold, for people; empty where it holds all."""

    def write(self, image: np.ndarray, frame: Frame) -> None:
        """Add one picture, (height, width[, 3 or 4]) uint8 grey, RGB or RGBA, at the time of `frame`."""


@dataclass(frozen=True)
class _Encoding:
    codec: str
    pixel_format: str
    options: dict[str, str]


_H264 = _Encoding("libx264", "yuv420p", {"crf": "18", "preset": "veryfast"})
_VP9 = _Encoding(
    "libvpx-vp9", "yuv420p", {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}
)
_PRORES_ALPHA = _Encoding("prores_ks", "yuva444p10le", {"profile": "4444"})
_VP9_ALPHA = replace(_VP9, pixel_format="yuva420p", options={**_VP9.options, "auto-alt-ref": "0"})
# Their length is the sum of what packets last in the order of decoding, in which the last picture may come early.
_LASTS_BY_DECODING = ("mp4", "mov", "ipod")
_CONTAINER_OPTIONS = {suffix: {"movflags": "+faststart"} for suffix in (".mp4", ".m4v", ".mov")}


@contextmanager
def open_writer(
    path: Path, info: MediaInfo, *, tracks_from: Path | None = None, sound: bool = True, transparent: bool = False
) -> Iterator[Writer]:
    """A writer for pictures of the size in `info`.

    A video extension gives a video, an image extension one image, anything else a folder of numbered PNGs.
    tracks_from: the file whose subtitles are copied into a video, and whose sound if that is wanted. transparent:
    pictures are RGBA and the video keeps their alpha.
    Raises WriteError where the kind is not writable or the system refuses.
    """
    with write_errors(path):
        if path.suffix.lower() in WRITABLE_VIDEO_SUFFIXES:
            with (
                replacing(path) as partial,
                _open_video(partial, path, info, tracks_from, sound, transparent) as writer,
            ):
                yield writer
        elif not info.is_video:
            with replacing(path) as partial:
                yield ImageWriter(partial)
        else:
            with filling(path) as folder:
                yield FolderWriter(folder)


class ImageWriter:
    """One image."""

    left_out = ""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, image: np.ndarray, frame: Frame) -> None:
        write_image(self._path, image)


class FolderWriter:
    """8-bit PNGs named by frame number: 000000.png is the source's first frame."""

    left_out = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, image: np.ndarray, frame: Frame) -> None:
        write_image(self._folder / f"{frame.index:06d}.png", image)


class VideoWriter:
    """Encodes pictures at their own times.

    4:2:0 video has even sides: an odd picture gets its last column or row once more, so nothing is cut off.
    """

    def __init__(
        self, container: "av.container.OutputContainer", info: MediaInfo, encoding: _Encoding, tracks: Tracks | None
    ) -> None:
        self._container = container
        self._tracks = tracks
        self._time_base = info.time_base
        self._end = 0
        self._lag: int | None = None  # from when the first picture is decoded to when it is shown
        self._reformatter = VideoReformatter()
        self._pixel_format = encoding.pixel_format
        step = 2 if "420" in encoding.pixel_format else 1
        self._width, self._height = (-(-side // step) * step for side in (info.width, info.height))
        self._colour = info.colour or Colour.assumed(info.width, info.height)
        self._stream = stream = container.add_stream(encoding.codec, rate=info.fps, options=encoding.options)
        stream.width, stream.height = self._width, self._height
        stream.pix_fmt = encoding.pixel_format
        stream.codec_context.flags |= Flags.frame_duration  # packets last as long as their pictures
        stream.time_base = stream.codec_context.time_base = info.time_base
        stream.codec_context.sample_aspect_ratio = info.sample_aspect
        stream.codec_context.color_range = ColorRange.MPEG
        stream.codec_context.colorspace = self._colour.matrix
        stream.codec_context.color_primaries = self._colour.primaries
        stream.codec_context.color_trc = self._colour.transfer

    def write(self, image: np.ndarray, frame: Frame) -> None:
        picture = av.VideoFrame.from_ndarray(
            self._even(_to_colour(image)), "rgba" if image.shape[2:] == (4,) else "rgb24"
        )
        encoded = self._reformatter.reformat(
            picture,
            format=self._pixel_format,
            dst_colorspace=self._colour.swscale_matrix,
            dst_color_range=ColorRange.MPEG,
        )
        encoded.pts, encoded.duration, encoded.time_base = frame.pts, frame.duration, self._time_base
        encoded.pict_type = 0  # the encoder chooses
        self._mux(self._stream.encode(encoded))
        self._end = frame.pts + frame.duration
        if self._tracks is not None:
            self._tracks.copy_until(frame.pts * self._time_base)

    def finish(self) -> None:
        self._mux(self._stream.encode(), last=True)
        if self._tracks is not None:
            self._tracks.copy_until()

    @property
    def left_out(self) -> str:
        return self._tracks.left_out if self._tracks is not None else ""

    def _mux(self, packets: "list[av.Packet]", *, last: bool = False) -> None:
        if packets and self._lag is None:
            self._lag = packets[0].pts - packets[0].dts
        if packets and last and self._container.format.name in _LASTS_BY_DECODING:
            packets[-1].duration = max(packets[-1].duration, self._end - (self._lag or 0) - packets[-1].dts)
        self._container.mux(packets)

    def _even(self, image: np.ndarray) -> np.ndarray:
        below, right = self._height - image.shape[0], self._width - image.shape[1]
        if not below and not right:
            return np.ascontiguousarray(image)
        return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)


@contextmanager
def _open_video(
    partial: Path, path: Path, info: MediaInfo, tracks_from: Path | None, sound: bool, transparent: bool
) -> Iterator[VideoWriter]:
    suffix = path.suffix.lower()
    if transparent and suffix not in TRANSPARENT_VIDEO_SUFFIXES:
        raise WriteError(f"{suffix} videos hold no transparency: give --background, or name the output .mov or .webm")
    if suffix == ".webm":
        encoding = _VP9_ALPHA if transparent else _VP9
    else:
        encoding = _PRORES_ALPHA if transparent else _H264
    with (
        av.open(str(partial), "w", options=_CONTAINER_OPTIONS.get(suffix, {})) as container,
        copied_tracks(tracks_from, container, path, sound=sound) as tracks,
    ):
        writer = VideoWriter(container, info, encoding, tracks)
        yield writer
        writer.finish()


def _to_colour(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image
