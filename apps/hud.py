"""Figures about a live picture, and how they are written into it."""

import textwrap
import time
from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

_LINE_PX = 18
_LETTER_PX = 7  # wide enough for most
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42
_WINDOW_FRAMES = 60  # what the figures of the moment are made of
_KEPT_FRAMES = 10_000  # what those of the end are made of


class Meter:
    """Frames per second, and the time from capture to send, of pictures."""

    def __init__(self) -> None:
        self.frames = 0
        self._started = time.perf_counter()
        self._recent: deque[float] = deque(maxlen=_WINDOW_FRAMES)
        self._latencies: deque[float] = deque(maxlen=_KEPT_FRAMES)

    def add(self, captured_seconds: float) -> float:
        """Counts a picture that was sent just now, captured at a time of time.perf_counter. Returns its latency in seconds."""
        now = time.perf_counter()
        self.frames += 1
        self._recent.append(now)
        self._latencies.append(now - captured_seconds)
        return now - captured_seconds

    @property
    def fps(self) -> float:
        """Of the last frames; 0 before there are two."""
        return (len(self._recent) - 1) / (self._recent[-1] - self._recent[0]) if len(self._recent) > 1 else 0.0

    @property
    def latency_ms(self) -> float:
        """The median of the last frames; 0 before there are any."""
        return 1000 * float(np.median(list(self._latencies)[-_WINDOW_FRAMES:])) if self._latencies else 0.0

    def summary(self, dropped: int) -> str:
        """One line for people."""
        seconds = time.perf_counter() - self._started
        line = f"{self.frames} frames in {seconds:.1f} s ({self.frames / seconds:.1f} fps), {dropped} dropped"
        if not self._latencies:
            return line
        median, late = np.percentile(self._latencies, (50, 95)) * 1000
        return f"{line}; from capture to send {median:.0f} ms (95 %: {late:.0f} ms)"


def draw_lines(picture: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """A copy of a picture, (H, W, 3) uint8 RGB, with lines of text on a darkened band at its top."""
    fitting = [part for line in lines for part in textwrap.wrap(line, picture.shape[1] // _LETTER_PX)]
    drawn = picture.copy()
    band = drawn[: _LINE_PX * len(fitting) + 8]
    band //= 3
    for number, line in enumerate(fitting, 1):
        readable = line.encode("ascii", "replace").decode()  # OpenCV's fonts hold no more
        cv2.putText(drawn, readable, (8, _LINE_PX * number), _FONT, _FONT_SCALE, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn
