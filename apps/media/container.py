"""Files of pictures and sound, as libav opens them."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from vmfm.apps.media.errors import ReadError

_LEAP_SECONDS = 1


@contextmanager
def open_container(
    path: Path, accelerator: "av.codec.hwaccel.HWAccel | None" = None
) -> Iterator["av.container.InputContainer"]:
    """accelerator: what is to decode, if not the CPU. Raises ReadError where it cannot be opened."""
    try:
        # Absolute, because libav takes `concat:x.mp4` for an address.
        container = av.open(str(path.absolute()), metadata_errors="replace", hwaccel=accelerator)
    except (OSError, av.FFmpegError) as error:
        raise ReadError(f"{path} cannot be read as a video: {error.strerror or error}") from error
    with container:
        yield container


def packets_of(container: "av.container.InputContainer", streams: "list[av.stream.Stream]") -> Iterator["av.Packet"]:
    """The packets of these tracks, and at the end an empty one of each."""
    try:
        yield from container.demux(streams)
    except IndexError:  # at the end, PyAV also counts tracks that came up on the way, which it does not have
        return


def start_of(container: "av.container.InputContainer") -> Fraction:
    """When the file begins, by its own clock, in seconds."""
    return max(Fraction(0), Fraction(container.start_time or 0, av.time_base))


class Clock:
    """Puts the times of one track in order, in units of its time base.

    They count from where the file begins: broadcasts and camcorders count from when they were switched on, so that hours
    of nothing would come first. Tracks that begin before zero, as sound does that has to be warmed up, stay there. They
    grow, and go on where a recorder that was started anew leaps back.
    """

    def __init__(self, container: "av.container.InputContainer", time_base: Fraction) -> None:
        self.zero = round(start_of(container) / time_base)  # what the file calls the time 0
        self._leap = round(_LEAP_SECONDS / time_base)
        self._last: int | None = None
        self._next = 0

    def place(self, told: int | None, duration: int) -> int:
        """The time of what comes next. told: by the file, if it does. duration: of that."""
        at = self._next if told is None else told - self.zero
        if self._last is not None and at < self._last - self._leap:
            self.zero -= self._next - at
            at = self._next
        self._last = at if self._last is None else max(at, self._last + 1)
        self._next = self._last + duration
        return self._last
