"""At how many pixels the nets may look at a live picture: the finest detail that keeps up."""

import time
from collections import deque
from collections.abc import Callable

import numpy as np
from vmfm.runtime import Detail
from vmfm.runtime.bundle import DETAILS

ENOUGH_FPS = 20  # a call looks smooth, and a finer matte is worth more than further pictures
_FRAMES = 15  # that are timed before anything is changed
_HEADROOM = 0.85  # of the time there is, for a finer detail that is only expected to keep up
_PAUSE_SECONDS = 60.0  # before what did not keep up is tried again


class Pace:
    """detail: what to use now. Tell it by `add` how long each picture took; it begins fast, and becomes finer where it can."""

    def __init__(
        self, detail: Detail | None = None, camera_fps: float = ENOUGH_FPS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """detail: one to stay at, whatever happens; None chooses."""
        self.detail: Detail = detail or "fast"
        self._stays = detail is not None
        self._seconds = 1 / min(camera_fps, ENOUGH_FPS)
        self._clock = clock
        self._recent: deque[float] = deque(maxlen=_FRAMES)
        self._not_before: dict[Detail, float] = {}

    def add(self, seconds: float) -> None:
        """How long the nets and all around them took for one picture at the present detail."""
        self._recent.append(seconds)
        if self._stays or len(self._recent) < _FRAMES:
            return
        usual = float(np.median(self._recent))
        if usual > self._seconds:
            self.back_off()
            return
        # rows that do not depend on the detail make this too high, never too low
        per_share, now = usual / DETAILS[self.detail], self._clock()
        for finer in [d for d, share in DETAILS.items() if share > DETAILS[self.detail]][::-1]:
            if per_share * DETAILS[finer] < _HEADROOM * self._seconds and now >= self._not_before.get(finer, now):
                self._change(finer)
                return

    def back_off(self) -> None:
        """To the next coarser detail, if there is one: this one does not keep up, or does not work."""
        coarser = [d for d, share in DETAILS.items() if share < DETAILS[self.detail]]
        if coarser and not self._stays:
            self._not_before[self.detail] = self._clock() + _PAUSE_SECONDS
            self._change(coarser[-1])

    def _change(self, detail: Detail) -> None:
        self.detail = detail
        self._recent.clear()
