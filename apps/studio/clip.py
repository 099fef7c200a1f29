"""A video or an image whose frames can be had in any order."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.frames import Frame
from vmfm.apps.media.reader import open_reader

_NEAR_SECONDS = 1.0  # so far ahead it is quicker to decode on than to start anew
_EPSILON = 1e-6


class Clip:
    """frame: the one it stands at, at first its first. Used by one thread, and to be closed."""

    def __init__(self, path: Path) -> None:
        """Raises ReadError. What is damaged is stepped over."""
        self.path = path
        self._stack = ExitStack()
        self._start()
        self.info = self._reader.info

    @property
    def description(self) -> dict[str, object]:
        """For the page. seconds: how long it is, an estimate in some containers; an image has neither that nor fps."""
        info, damage = self.info, self._reader.damage
        fps = float(info.fps) if info.is_video else 0.0
        return {
            "width": info.width,
            "height": info.height,
            "fps": round(fps, 3),
            "seconds": round((info.frames or 0) / fps, 3) if fps else 0.0,
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
            self._start(seconds)
        while self._next is not None and self._next.seconds <= seconds + _EPSILON:
            self.step()
        return self.frame

    def step_back(self) -> Frame:
        """Goes to the frame before, or stays at the first one."""
        now = self.frame.seconds
        self._start(now - _NEAR_SECONDS)
        while self._next is not None and self._next.seconds < now - _EPSILON:
            self.step()
        return self.frame

    def close(self) -> None:
        """May be called twice."""
        self._stack.close()

    def _start(self, seconds: float = 0.0) -> None:
        """Opens it anew, at or before a time."""
        self.close()
        try:
            self._reader = self._stack.enter_context(open_reader(self.path, salvage=True))
            self._frames: Iterator[Frame] = iter(self._reader)
            first = next(self._frames, None)
            if first is None:
                raise ReadError(f"{self.path} holds no frame that can be decoded")
            self.frame = first
            self._next: Frame | None = next(self._frames, None)
        except BaseException:
            self.close()
            raise
