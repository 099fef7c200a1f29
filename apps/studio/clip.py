"""A video or an image whose frames can be had in any order."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from vmfm.apps.media.cut import WHOLE, Cut
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.frames import Frame
from vmfm.apps.media.reader import open_reader

_NEAR_SECONDS = 0.5  # so far ahead it is quicker to decode on than to search
_MARGINS_SECONDS = (0.1, 1.0, 10.0, 60.0)  # how long before a time the frame may begin that is shown then
_EPSILON = 1e-6


class Clip:
    """frame: the one it stands at, at first its first; its index tells nothing. Used by one thread, and to be closed."""

    def __init__(self, path: Path) -> None:
        """Raises ReadError. What is damaged is stepped over."""
        self._path = path
        self._stack = ExitStack()
        self._zero = Fraction(0)
        self._next: Frame | None = None
        self._open(WHOLE)
        self.info = self._reader.info
        # Of a clip whose sound begins earlier, the pictures do not begin at 0 of its clock.
        self._zero = self.frame.pts * self.info.time_base

    @property
    def description(self) -> dict[str, object]:
        """For the page. seconds: how long it is, an estimate in some containers, 0 where these do not tell; fps: 0 of an image."""
        info, damage = self.info, self._reader.damage
        return {
            "width": info.width,
            "height": info.height,
            "fps": round(float(info.fps), 3) if info.is_video else 0,
            "seconds": round(float((info.frames or 0) / info.fps), 3) if info.is_video else 0,
            "notice": f"{damage}: what can be decoded of it is shown" if damage else "",
        }

    @property
    def next_seconds(self) -> float | None:
        """When the next frame is due; None at the end."""
        return None if self._next is None else self._next.seconds

    def step(self) -> Frame | None:
        """Goes on to the next frame; None at the end."""
        if self._next is None:
            return None
        self.frame, self._next = self._next, next(self._frames, None)
        return self.frame

    def go_to(self, seconds: float) -> Frame:
        """Goes to the frame that is shown at a time, or to the first or last one."""
        if not self.frame.seconds - _EPSILON <= seconds <= self.frame.seconds + _NEAR_SECONDS:
            self._open_at_or_before(seconds)
        while self._next is not None and self._next.seconds <= seconds + _EPSILON:
            self.step()
        return self.frame

    def step_back(self) -> Frame:
        """Goes to the frame before, or stays at the first one."""
        now = self.frame.seconds
        self._open_at_or_before(now - 2 * _EPSILON)
        while self._next is not None and self._next.seconds < now - _EPSILON:
            self.step()
        return self.frame

    def close(self) -> None:
        """May be called twice."""
        self._stack.close()

    def _open_at_or_before(self, seconds: float) -> None:
        for margin in _MARGINS_SECONDS:
            if seconds > margin:
                with suppress(ReadError):  # there may be no frame after it
                    self._open(Cut(Fraction(seconds - margin)))
                    if self.frame.seconds <= seconds:
                        return
        self._open(WHOLE)

    def _open(self, cut: Cut) -> None:
        """Opens it anew, at the first frame of the cut."""
        self.close()
        try:
            self._reader = self._stack.enter_context(open_reader(self._path, cut=cut, salvage=True))
            self._frames = self._timed(float(self._reader.info.span[0] - self._zero) if cut is not WHOLE else 0.0)
            first = next(self._frames, None)
            if first is None:
                raise ReadError(f"{self._path} holds no frame that can be decoded")
            self.frame = first
            self._next = next(self._frames, None)
        except BaseException:
            self.close()
            raise

    def _timed(self, starts_seconds: float) -> Iterator[Frame]:
        for frame in self._reader:
            yield replace(frame, seconds=starts_seconds + frame.seconds)
