"""SMPTE timecode: what editors call a frame by, and find its like in other files by."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

_WRITTEN = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d{2,3})")
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class Timecode:
    """Counts frames at a whole rate; drop: in step with the clock at 30000/1001 or 60000/1001 frames a second, for which
    two (four) numbers, no frames, are left out each minute but every tenth."""

    frames: int  # since 00:00:00:00
    rate: int  # frames that a second counts
    drop: bool = False

    @classmethod
    def parse(cls, text: str, fps: Fraction) -> Self | None:
        """From HH:MM:SS:FF, or with a ; before the frames where numbers are dropped; None for anything else."""
        rate = round(fps)
        if not (found := _WRITTEN.fullmatch(text.strip())) or rate < 1:
            return None
        hours, minutes, seconds, number = (int(found[group]) for group in (1, 2, 3, 5))
        if minutes > 59 or seconds > 59 or number >= rate:
            return None
        drop = found[4] != ":" and rate % 30 == 0 and fps.denominator != 1
        code = cls(0, rate, drop)
        passed = hours * 60 + minutes
        counted = (passed * 60 + seconds) * rate + number
        return cls(counted - code._dropped * (passed - passed // 10), rate, drop)

    def later(self, frames: int) -> Self:
        """That of the frame so many frames later."""
        return type(self)(self.frames + frames, self.rate, self.drop)

    def __str__(self) -> str:
        minute = 60 * self.rate - self._dropped
        tens, rest = divmod(self.frames % self._day, 10 * minute + self._dropped)
        # the first minute of ten is whole
        dropped = self._dropped * (9 * tens + max(0, (rest - self._dropped) // minute))
        seconds, number = divmod(self.frames % self._day + dropped, self.rate)
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{';' if self.drop else ':'}{number:02}"

    @property
    def _dropped(self) -> int:
        """Numbers that a minute leaves out."""
        return self.rate // 15 if self.drop else 0

    @property
    def _day(self) -> int:
        return _DAY_MINUTES * 60 * self.rate - self._dropped * (_DAY_MINUTES - _DAY_MINUTES // 10)
