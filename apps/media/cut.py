"""Which part of a source is wanted, and how people say so."""

import re
from dataclasses import dataclass
from fractions import Fraction

from vmfm.apps.media.errors import ReadError

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")
_SLACK_SECONDS = Fraction(1, 1000)  # people write times with three decimals


@dataclass(frozen=True)
class Cut:
    """From the first frame that is shown at `start` or later up to, and without, the one at the end.

    start, duration: seconds, from the source's first frame on; duration None goes on to the source's end.
    """

    start: Fraction = Fraction(0)
    duration: Fraction | None = None

    @property
    def first(self) -> Fraction:
        """The earliest time of a frame that is in."""
        return max(Fraction(0), self.start - _SLACK_SECONDS)

    @property
    def end(self) -> Fraction | None:
        """The earliest time of a frame that is not in any more; None: all are."""
        return None if self.duration is None else self.start + self.duration - _SLACK_SECONDS

    @classmethod
    def parse(cls, start: str | None, duration: str | None) -> "Cut":
        """From texts like 90, 90.5, 1:30 or 00:01:30.500. Raises ReadError."""
        cut = cls(parse_seconds(start or "0"), None if duration is None else parse_seconds(duration))
        if cut.duration == 0:
            raise ReadError(f"a duration of {duration} holds no frame")
        return cut


WHOLE = Cut()


def parse_seconds(text: str) -> Fraction:
    """Raises ReadError."""
    if not (parts := _TIME.fullmatch(text.strip())):
        raise ReadError(f"{text!r} is no time: wanted seconds (90.5) or HH:MM:SS (00:01:30.5)")
    hours, minutes, seconds = parts.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds)


def parse_fps(text: str) -> Fraction:
    """Pictures per second from 25, 23.976 or 24000/1001. Raises ReadError."""
    try:
        fps = Fraction(text).limit_denominator(1001)  # 23.976023976 is 24000/1001; libav counts in 32 bits
    except (ValueError, ZeroDivisionError):
        fps = Fraction(0)
    if not 0 < fps <= 1000:
        raise ReadError(f"{text!r} is no frame rate: wanted pictures per second, such as 25 or 24000/1001")
    return fps
