"""The sound, subtitles and chapters of a file; sound and subtitles are passed on packet by packet, never decoded."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
from vmfm.apps.media.chapters import copy_chapters, tells_chapters
from vmfm.apps.media.container import Clock, open_container, packets_of
from vmfm.apps.media.errors import ReadError, WriteError

Span = tuple[Fraction, Fraction | None]  # in seconds from where the file begins; None: to its end
_KEPT_WORDS = ("language", "title", "handler_name")


class Tracks:
    """Copies tracks of one open container to another.

    It reads on its own, apart from the pictures, so that nothing piles up in memory while frames are slow.
    """

    def __init__(
        self,
        source: "av.container.InputContainer",
        streams: "list[av.stream.Stream]",
        target: "av.container.OutputContainer",
        lost: list[str],
        span: Span,
    ) -> None:
        """lost: what of the source is not among the streams, for people."""
        self._lost = lost
        self._target = target
        self._streams = {stream.index: _add_like(stream, target) for stream in streams}
        self._clocks = {stream.index: Clock(source, Fraction(stream.time_base)) for stream in streams}
        self._begin, self._end = span
        self._packets = self._read(source, streams) if streams else iter(())
        self._held: av.Packet | None = None

    @property
    def left_out(self) -> str:
        """What could not be passed on, for people; empty where all could."""
        return " and ".join(dict.fromkeys(self._lost))

    def copy_until(self, seconds: Fraction | None = None) -> None:
        """Pass on the packets up to the given time, which counts from where the span begins, or all the rest."""
        while (packet := self._held or next(self._packets, None)) is not None:
            self._held = None
            if seconds is not None and packet.dts * packet.time_base > seconds:
                self._held = packet
                return
            packet.stream = self._streams[packet.stream.index]
            try:
                self._target.mux(packet)
            except (av.error.InvalidDataError, av.error.ArgumentError, av.error.PatchWelcomeError):
                self._lost.append("damaged pieces of its sound and subtitles")

    def _read(self, source: "av.container.InputContainer", streams: "list[av.stream.Stream]") -> Iterator["av.Packet"]:
        """The packets of the span, with times that a file can hold: known ones, which grow by track."""
        running = {stream.index for stream in streams}
        try:
            if self._begin:
                self._search(source)
            for packet in packets_of(source, streams):
                if packet.size:
                    lag = packet.pts - packet.dts if packet.pts is not None and packet.dts is not None else 0
                    told = packet.dts if packet.dts is not None else packet.pts
                    dts = self._clocks[packet.stream.index].place(told, packet.duration or 0)
                    packet.dts = dts - round(self._begin / packet.time_base)
                    packet.pts = packet.dts + lag
                    if self._end is not None and dts * packet.time_base >= self._end:
                        running.discard(packet.stream.index)
                        if not running:
                            return
                    elif not self._begin or dts * packet.time_base >= self._begin:
                        if self._end is not None and packet.duration and packet.stream.type == "subtitle":
                            packet.duration = min(packet.duration, max(1, int(self._end / packet.time_base) - dts))
                        yield packet
        except (OSError, av.FFmpegError):  # the pictures come by it, too: it is for their reader to judge
            self._lost.append("its sound and subtitles behind the damage")

    def _search(self, source: "av.container.InputContainer") -> None:
        """Spares reading what is before the span, where the file lets itself be searched."""
        with suppress(OSError, av.FFmpegError):
            source.seek(int(self._begin * av.time_base) + max(0, source.start_time or 0))


@contextmanager
def copied_tracks(
    source: Path | None, target: "av.container.OutputContainer", name: Path, span: Span, *, sound: bool
) -> Iterator[Tracks | None]:
    """The copier from `source` to `target`, called `name` in errors; None where there is no source.

    span: what is wanted of the source, cut between packets. sound: whether to copy that, too, and not the subtitles alone.
    Subtitles that the target cannot hold are left out.
    Raises WriteError for sound that the target cannot hold.
    """
    if source is None:
        yield None
        return
    with open_container(source) as container:
        lost = []
        heard = list(container.streams.audio) if sound else []
        for stream in heard:
            if stream.codec_context is None:
                raise ReadError(f"{source} has sound of an unknown kind: pass --no-audio to go without it")
            if not _fits(stream, target):
                other = "name the output .mkv, or " if _mkv_holds(stream) else ""
                raise WriteError(
                    f"{name.suffix} files cannot hold the {_kind(stream)} sound of {source}: {other}pass --no-audio"
                )
            if not stream.codec_context.sample_rate:  # its packets are damaged or missing
                lost.append("sound that tells nothing of itself")
        subtitles = [stream for stream in container.streams.subtitles if not tells_chapters(stream, container)]
        read = [stream for stream in subtitles if _fits(stream, target)]
        lost += [_missed(stream) for stream in subtitles if stream not in read]
        copy_chapters(container, target, *span)
        lost += _copy_attachments(container, target)
        if any(stream.disposition & stream.disposition.attached_pic for stream in container.streams.video):
            lost.append("its cover picture")
        streams = [*(stream for stream in heard if stream.codec_context.sample_rate), *read]
        yield Tracks(container, streams, target, lost, span)


def _copy_attachments(source: "av.container.InputContainer", target: "av.container.OutputContainer") -> list[str]:
    """Mostly fonts of subtitles; tells what is lost where the target cannot hold any."""
    if source.streams.attachments and target.format.name != "matroska":
        return ["its attached files, which .mkv can hold"]
    for file in source.streams.attachments:
        target.add_attachment(file.name or "", file.mimetype or "", file.data)
    return []


def _kind(stream: "av.stream.Stream") -> str:
    return stream.codec_context.codec.canonical_name if stream.codec_context is not None else "unknown"


def _missed(stream: "av.stream.Stream") -> str:
    return f"its {_kind(stream)} subtitles" + (", which .mkv can hold" if _mkv_holds(stream) else "")


def _fits(stream: "av.stream.Stream", target: "av.container.OutputContainer") -> bool:
    if stream.codec_context is None:
        return False
    codec = stream.codec_context.codec  # some go by another name than what they read: dca reads dts
    return bool({codec.name, codec.canonical_name} & target.supported_codecs)


def _mkv_holds(stream: "av.stream.Stream") -> bool:
    with av.open(BytesIO(), "w", format="matroska") as container:
        return _fits(stream, container)


def _add_like(stream: "av.stream.Stream", target: "av.container.OutputContainer") -> "av.stream.Stream":
    added = target.add_stream_from_template(stream)
    added.metadata.update({word: stream.metadata[word] for word in _KEPT_WORDS if word in stream.metadata})
    added.disposition = stream.disposition
    return added
