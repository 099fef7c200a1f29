"""A video that is written: encoded picture by picture, or joined from parts that were."""

from pathlib import Path

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange
from vmfm.apps.media.colour import Colour
from vmfm.apps.media.encodings import Encoding
from vmfm.apps.media.frames import Frame, MediaInfo
from vmfm.apps.media.pixels import PixelConverter
from vmfm.apps.media.tracks import Tracks

_RGB_MATRIX = 0  # of ITU-T H.273
# Their length is the sum of what packets last in the order of decoding, in which the last picture may come early. And
# where they begin is told in milliseconds alone.
_ISO = ("mp4", "mov", "ipod")


class VideoWriter:
    """Encodes pictures at their own times.

    4:2:0 video has even sides: an odd picture gets its last column or row once more, so nothing is cut off.
    """

    def __init__(
        self,
        container: "av.container.OutputContainer",
        info: MediaInfo,
        encoding: Encoding,
        tracks: Tracks | None = None,
        *,
        part_from: int | None = None,
    ) -> None:
        """part_from: of a part, to be joined by append(), the time of its first frame."""
        self._container = container
        self._tracks = tracks
        self._time_base = info.time_base
        self._is_iso = container.format.name in _ISO
        self._zero = (part_from or 0) if self._is_iso else 0
        self._end = 0
        self._lag: int | None = None  # from when the first picture is decoded to when it is shown
        self._last_dts: int | None = None
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
        self._mux(self._stream.encode(encoded))
        self._end = frame.pts - self._zero + frame.duration
        self._copy_tracks_until(frame.pts)

    def append(self, part: Path, starts_at: int) -> None:
        """Add what a writer of the same encoding made as a part from `starts_at` on; nothing is encoded again."""
        self._container.start_encoding()
        shift = starts_at if self._is_iso else 0
        with av.open(str(part)) as source:
            track = source.streams.video[0]
            shift = round(shift * self._time_base / track.time_base)
            for packet in source.demux(track):
                if packet.size:
                    self._place(packet, shift)
                    packet.stream = self._stream
                    self._container.mux(packet)
                    self._copy_tracks_until(round(packet.pts * packet.time_base / self._time_base))

    def finish(self) -> None:
        if self._last_dts is None:
            self._mux(self._stream.encode(), last=True)
        if self._tracks is not None:
            self._tracks.copy_until()

    def _place(self, packet: "av.Packet", shift: int) -> None:
        """Puts a packet of a part behind those before it.

        Each part counts the order of decoding anew, so its first packets may be due before the last ones of the part
        before; Matroska does not tell that order at all for the first ones. A packet later than its time to be shown
        cannot come of it: as many pictures are waited for in each part.
        """
        packet.pts += shift
        if self._last_dts is None:
            self._last_dts = packet.pts - _MOST_LAG if packet.dts is None else packet.dts + shift - 1
        dts = self._last_dts + 1 if packet.dts is None else max(packet.dts + shift, self._last_dts + 1)
        packet.dts = self._last_dts = min(dts, packet.pts)

    def _copy_tracks_until(self, pts: int) -> None:
        if self._tracks is not None:
            self._tracks.copy_until(pts * self._time_base)

    def _mux(self, packets: "list[av.Packet]", *, last: bool = False) -> None:
        if packets and self._lag is None:
            self._lag = packets[0].pts - packets[0].dts
        if packets and last and self._is_iso:
            packets[-1].duration = max(packets[-1].duration, self._end - (self._lag or 0) - packets[-1].dts)
        self._container.mux(packets)

    def _even(self, image: np.ndarray) -> np.ndarray:
        below, right = self._height - image.shape[0], self._width - image.shape[1]
        if not below and not right:
            return np.ascontiguousarray(image)
        return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)


_MOST_LAG = 16  # pictures that a decoder has to hold, at most
_HALVED = (("420", "422", "nv12", "p010"), ("420", "nv12", "p010"))  # formats whose chroma has half the columns, rows
