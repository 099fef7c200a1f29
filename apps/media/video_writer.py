"""A video that is encoded picture by picture."""

from pathlib import Path

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange
from vmfm.apps.media.colour import Colour
from vmfm.apps.media.encodings import Encoding
from vmfm.apps.media.errors import write_errors
from vmfm.apps.media.frames import Frame, MediaInfo
from vmfm.apps.media.pixels import PixelConverter
from vmfm.apps.media.tracks import Tracks

_RGB_MATRIX = 0  # of ITU-T H.273
# Their length is the sum of what packets last in the order of decoding, in which the last picture may come early.
_ISO = {"mp4", "mov", "ipod"}
_HALVED = (("420", "422", "nv12", "p010"), ("420", "nv12", "p010"))  # formats whose chroma has half the columns, rows


class VideoWriter:
    """Encodes pictures at their own times.

    4:2:0 video has even sides: an odd picture gets its last column or row once more, so nothing is cut off.
    """

    def __init__(
        self,
        container: "av.container.OutputContainer",
        name: Path,
        info: MediaInfo,
        encoding: Encoding,
        tracks: Tracks | None = None,
        *,
        part_from: int | None = None,
    ) -> None:
        """name: in errors. part_from: of a part, to be joined with others, the time of its first frame."""
        self._container = container
        self._name = name
        self._tracks = tracks
        self._time_base = info.time_base
        self._zero = zero_of_part(container, part_from or 0)
        self._end = 0
        self._lag: int | None = None  # from when the first picture is decoded to when it is shown
        wide, high = (2 if any(kind in encoding.pixel_format for kind in kinds) else 1 for kinds in _HALVED)
        self._width, self._height = -(-info.width // wide) * wide, -(-info.height // high) * high
        colour = info.colour or Colour.assumed(info.width, info.height)
        self._converter = PixelConverter(encoding.pixel_format, colour.swscale_matrix)
        self._stream = stream = container.add_stream(encoding.encoder, rate=info.fps, options=encoding.options)
        stream.width, stream.height = self._width, self._height
        stream.pix_fmt = encoding.pixel_format
        if encoding.tag:
            stream.codec_context.codec_tag = encoding.tag
        stream.codec_context.flags |= Flags.frame_duration  # packets last as long as their pictures
        stream.time_base = stream.codec_context.time_base = info.time_base
        stream.codec_context.sample_aspect_ratio = info.sample_aspect
        full = encoding.is_rgb or encoding.is_grey
        stream.codec_context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        stream.codec_context.colorspace = _RGB_MATRIX if encoding.is_rgb else colour.matrix
        stream.codec_context.color_primaries = colour.primaries
        stream.codec_context.color_trc = colour.transfer

    @property
    def left_out(self) -> str:
        return self._tracks.left_out if self._tracks is not None else ""

    def write(self, image: np.ndarray, frame: Frame) -> None:
        encoded = self._converter.convert(self._even(image))
        encoded.pts, encoded.duration, encoded.time_base = frame.pts - self._zero, frame.duration, self._time_base
        encoded.pict_type = 0  # the encoder chooses
        self._end = frame.pts - self._zero + frame.duration
        with write_errors(self._name):
            self._mux(self._stream.encode(encoded))
            if self._tracks is not None:
                self._tracks.copy_until(frame.pts * self._time_base)

    def finish(self) -> None:
        self._mux(self._stream.encode(), last=True)
        if self._tracks is not None:
            self._tracks.copy_until()

    def _mux(self, packets: "list[av.Packet]", *, last: bool = False) -> None:
        if packets and self._lag is None:
            self._lag = packets[0].pts - packets[0].dts
        if packets and last and self._container.format.name in _ISO:
            packets[-1].duration = max(packets[-1].duration, self._end - (self._lag or 0) - packets[-1].dts)
        self._container.mux(packets)

    def _even(self, image: np.ndarray) -> np.ndarray:
        below, right = self._height - image.shape[0], self._width - image.shape[1]
        if not below and not right:
            return np.ascontiguousarray(image)
        return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)


def zero_of_part(container: "av.container.Container", starts_at: int) -> int:
    """What the times in a part count from that has its first frame at `starts_at`.

    MP4 and MOV tell in whole milliseconds when a track begins, and else exactly; Matroska tells all in milliseconds, and
    so best tells what it will be told in the end.
    """
    return starts_at if _ISO & set(container.format.name.split(",")) else 0
