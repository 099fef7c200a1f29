"""The sound of a file, passed on packet by packet, never decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from vmfm.apps.media.errors import ReadError, WriteError


class AudioTracks:
    """Copies all audio tracks of one open container to another.

    It reads on its own, apart from the pictures, so that nothing piles up in memory while frames are slow.
    """

    def __init__(self, source: "av.container.InputContainer", target: "av.container.OutputContainer") -> None:
        self._target = target
        self._streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams.audio}
        self._packets = source.demux(source.streams.audio) if self._streams else iter(())
        self._held: av.Packet | None = None

    def copy_until(self, seconds: Fraction | None = None) -> None:
        """Pass on the packets up to the given time of the file, or all the rest."""
        while (packet := self._held or next(self._packets, None)) is not None:
            self._held = None
            if not packet.size:
                continue
            stamp = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and stamp is not None and stamp * packet.time_base > seconds:
                self._held = packet
                return
            packet.stream = self._streams[packet.stream.index]
            self._target.mux(packet)


@contextmanager
def audio_tracks(
    source: Path | None, target: "av.container.OutputContainer", name: Path
) -> Iterator[AudioTracks | None]:
    """The copier from `source` to `target`, called `name` in errors; None where there is nothing to copy."""
    if source is None:
        yield None
        return
    with av.open(str(source), metadata_errors="replace") as container:
        if not container.streams.audio:
            yield None
            return
        for stream in container.streams.audio:
            if stream.codec_context is None:
                raise ReadError(f"{source} has sound of an unknown kind: pass --no-audio to go without it")
            if stream.codec_context.codec.canonical_name not in target.supported_codecs:
                raise WriteError(
                    f"{name.suffix} files cannot hold the {stream.codec_context.codec.canonical_name} sound "
                    f"of {source}: name the output .mkv, or pass --no-audio"
                )
        yield AudioTracks(container, target)
