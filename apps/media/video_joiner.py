"""A video that is put together of parts, without encoding anything again."""

from pathlib import Path

import av
from vmfm.apps.media.frames import MediaInfo
from vmfm.apps.media.tracks import Tracks
from vmfm.apps.media.video_writer import zero_of_part

_MOST_LAG = 16  # pictures that a decoder has to hold, at most


class VideoJoiner:
    """Takes parts that a VideoWriter made in a file of the same kind."""

    def __init__(
        self, container: "av.container.OutputContainer", info: MediaInfo, tracks: Tracks | None = None
    ) -> None:
        self._container = container
        self._info = info
        self._tracks = tracks
        self._stream: av.VideoStream | None = None
        self._last_dts: int | None = None

    @property
    def left_out(self) -> str:
        return self._tracks.left_out if self._tracks is not None else ""

    def append(self, part: Path, starts_at: int) -> None:
        with av.open(str(part)) as source:
            track = source.streams.video[0]
            if self._stream is None:
                # opaque: by its name alone, libav would look for an encoder called like the decoder that it would choose
                self._stream = self._container.add_stream_from_template(track, opaque=True)
                self._stream.codec_context.codec_tag = track.codec_context.codec_tag  # tells the kinds of ProRes apart
                # of ProRes the file alone knows it
                self._stream.codec_context.sample_aspect_ratio = self._info.sample_aspect
                if "alpha_mode" in track.metadata:  # without it, players show a cut-out in WebM opaque
                    self._stream.metadata["alpha_mode"] = track.metadata["alpha_mode"]
                # for a timecode; else each tick counts as a frame
                self._stream.codec_context.framerate = self._info.fps
                self._stream.time_base = track.time_base
            shift = round(zero_of_part(source, starts_at) * self._info.time_base / track.time_base)
            for packet in source.demux(track):
                if packet.size:
                    self._place(packet, shift)
                    packet.stream = self._stream
                    self._container.mux(packet)
                    if self._tracks is not None:
                        self._tracks.copy_until(packet.pts * packet.time_base)

    def finish(self) -> None:
        if self._tracks is not None:
            self._tracks.copy_until()

    def _place(self, packet: "av.Packet", shift: int) -> None:
        """Puts a packet of a part behind those before it.

        Each part counts the order of decoding anew, so its first packets may be due before the last ones of the part
        before; Matroska does not tell that order at all for the first ones. None comes later than it is to be shown,
        because every part waits for as many pictures before it shows one.
        """
        packet.pts += shift
        if self._last_dts is None:
            self._last_dts = packet.pts - _MOST_LAG if packet.dts is None else packet.dts + shift - 1
        due = self._last_dts + 1 if packet.dts is None else max(packet.dts + shift, self._last_dts + 1)
        packet.dts = self._last_dts = min(due, packet.pts)
