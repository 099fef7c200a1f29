"""The pictures of a video, as libav decodes them, each with its time."""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from vmfm.apps.media.container import Clock, open_container, packets_of
from vmfm.apps.media.errors import ReadError

_MOST_PIXELS = 2**26  # 8192 x 8192: a header of some bytes can claim many times that
_GPUS = ("cuda", "videotoolbox", "d3d11va", "vaapi", "qsv")  # by libav's names, the first that works


class Decoder:
    """The first real video stream of a file (cover pictures of music files do not count).

    Time stamps are the file's own, counted from where it begins, and made strictly increasing where they are not.
    damage: what was found broken so far, empty where nothing was. note: for people, what decodes where a GPU was asked
    for; else empty.
    """

    def __init__(self, path: Path, *, salvage: bool = False, hardware: bool = False) -> None:
        """salvage: step over damage, where the default raises ReadError. hardware: decode on a GPU where one can."""
        self.path = path
        self.damage = ""
        self.note = ""
        self._salvage = salvage
        self._stack = ExitStack()
        self._gpu: str | None = None
        try:
            if not (hardware and self._open_on_gpu()):
                self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._stack.close()

    def frames(self) -> Iterator[tuple["av.VideoFrame", int]]:
        """(picture, its time in units of time_base) from where the file was opened or searched last."""
        while (decoded := self._ahead.pop() if self._ahead else next(self._decoded, None)) is not None:
            yield decoded, self.clock.place(decoded.pts, self.usual_duration)

    def search(self, pts: int) -> bool:
        """Make frames() go on at this time or before. False where the file does not let itself be searched: restart()."""
        if self.container.format.name == "avi" and self.stream.codec_context.has_b_frames:
            return False  # which picture its key frame's time is that of, only those before it tell
        damage = self.damage
        try:
            self.clock = Clock(self.container, self.time_base)
            self.container.seek(pts + self.clock.zero, stream=self.stream)
            self._start()
        except (OSError, av.FFmpegError, ReadError):
            self.damage = damage
            return False
        at = self._ahead[0].pts
        return at is not None and at - self.clock.zero <= pts

    def restart(self) -> None:
        """Make frames() begin anew."""
        self.damage = ""
        self._open()

    def last_duration(self, decoded: "av.VideoFrame", pts: int) -> int:
        """In MP4 and MOV, packets tell how long they are decoded, not shown: the track's own end is to be trusted."""
        stream = self.stream
        if stream.duration and not self.damage and "mp4" in self.container.format.name:
            return max(0, (stream.start_time or 0) + stream.duration - self.clock.zero - pts) or self.usual_duration
        return decoded.duration or self.usual_duration

    def estimate_frames(self) -> int | None:
        """How many there are, where the file tells or its length does."""
        stream = self.stream
        if stream.frames:
            return stream.frames
        if stream.duration:
            return max(1, round(stream.duration * self.time_base * self.fps))
        if self.container.duration:
            return max(1, round(Fraction(self.container.duration, av.time_base) * self.fps))
        return None

    @property
    def timecode(self) -> str:
        """Of the first frame, as the file writes it: on a track, or on the whole. Empty where it does not."""
        told = (
            self.stream.metadata,
            *(track.metadata for track in self.container.streams.data),
            self.container.metadata,
        )
        return next((found[key] for found in told for key in ("timecode", "TIMECODE") if key in found), "")

    def _open_on_gpu(self) -> bool:
        failures = []
        for name in (name for name in _GPUS if name in hwdevices_available()):
            self._gpu = name
            try:
                self._open()
                self.note = f"decoded by {name}"
                return True
            except (OSError, av.FFmpegError, ReadError, RuntimeError, NotImplementedError) as error:
                cause = error.__cause__ or error
                failures.append(f"{name}: {getattr(cause, 'strerror', None) or cause}")
        self._gpu, self.damage = None, ""
        self.note = f"decoded on the CPU ({'; '.join(failures) or 'no GPU that libav knows here'})"
        return False

    def _open(self) -> None:
        self._stack.close()
        accelerator = HWAccel(device_type=self._gpu, allow_software_fallback=False) if self._gpu else None
        self.container = self._stack.enter_context(open_container(self.path, accelerator))
        self.stream = self._choose_stream()
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}  # of pictures that grow on the way
        self.time_base = Fraction(self.stream.time_base)
        self.fps = Fraction(self.stream.average_rate or self.stream.guessed_rate or 25)
        self.usual_duration = max(1, round(1 / (self.fps * self.time_base)))
        self.clock = Clock(self.container, self.time_base)
        self._check_all_bytes_there()
        self._start()

    def _start(self) -> None:
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise ReadError(f"{self.path} holds no frame that can be decoded")
        self._ahead = [first]

    @property
    def first(self) -> "av.VideoFrame":
        """The picture that frames() gives next, right after the file was opened."""
        return self._ahead[0]

    def _choose_stream(self) -> "av.VideoStream":
        streams = [s for s in self.container.streams.video if not s.disposition & s.disposition.attached_pic]
        # libav takes any text for a terminal recording.
        if not streams or self.container.format.name == "tty":
            raise ReadError(f"{self.path} is not a video")
        if streams[0].codec_context is None:
            raise ReadError(f"{self.path} is of a kind that cannot be decoded")
        width, height = streams[0].width, streams[0].height
        if width * height > _MOST_PIXELS:
            raise ReadError(f"{self.path} says that it is {width}x{height}: scale it down first")
        return streams[0]

    def _decode(self) -> Iterator["av.VideoFrame"]:
        end: Fraction | None = None
        shown: deque[int | None] = deque()
        packets = packets_of(self.container, [self.stream])
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
                    if self.container.format.name == "avi":  # it tells no more than when the nth picture is shown
                        frame.pts = shown.popleft() if shown else None
                    if frame.pts is not None:
                        end = (frame.pts + (frame.duration or 0)) * self.time_base
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
        cut = next((n for n, entry in enumerate(self.stream.index_entries) if entry.pos + entry.size > size), None)
        if cut is not None:
            self._found_damage(f"or cut short: its index names bytes behind the end, from packet {cut} on")

    def _check_reached_end(self, end: Fraction | None, count: int) -> None:
        """Matroska and WebM carry each track's duration: frames that end more than a second before it tell a cut file."""
        told = self.stream.metadata.get("DURATION", "")
        with suppress(ValueError):
            hours, minutes, seconds = told.split(":")
            duration = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds.strip("\0"))
            if end is not None and duration - end > 1 + 2 / self.fps:
                where = f"its {count} frames end at {float(end):.1f} s of {float(duration):.1f} s"
                self._found_damage(f"or cut short: {where}")
