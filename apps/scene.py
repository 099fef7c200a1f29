"""What is behind the person just now: one of the backgrounds a command names, or, with the effect off, the room itself."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from vmfm.apps.media.backgrounds import Background, ColourBackground, open_background
from vmfm.apps.media.frames import Frame
from vmfm.runtime import MediaError, Over

NONE = "none"
COVER = (48, 48, 48)  # stands where there is nothing else to show: a blur has no picture without the room
_LONGEST_STEP_SECONDS = 1.0  # a video goes on after a pause, it does not make up for it


@dataclass(frozen=True)
class Backdrop:
    """What goes behind one frame. effect: False where the frame is to be shown as it is.

    over: how the stream puts the foreground over it. image: as Background.behind gives it.
    """

    effect: bool
    over: Over
    image: np.ndarray | None


class Scene:
    """The choice among backgrounds, and their clock. May be used from several threads.

    problem: why a background is not shown any more, for people.
    """

    def __init__(
        self, backgrounds: Sequence[Background], *, effect: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """backgrounds: at least one, which belong to the caller. effect: whether to begin with it on."""
        self._backgrounds = list(backgrounds)
        self._cover = ColourBackground(COVER)
        self._chosen = 0
        self._effect = effect
        self._clock = clock
        self._last_tick = clock()
        self._seconds = 0.0
        self._lock = threading.Lock()
        self.problem = ""

    @property
    def effect(self) -> bool:
        return self._effect

    def toggle(self) -> None:
        """The effect off, or on again."""
        with self._lock:
            self._effect = not self._effect

    def next_background(self) -> None:
        """The next one, and the effect on."""
        with self._lock:
            self._chosen = (self._chosen + 1) % len(self._backgrounds)
            self._effect = True

    def behind(self, frame: np.ndarray) -> Backdrop:
        """For a frame, (H, W, 3) uint8 RGB."""
        with self._lock:
            if not self._effect:
                return Backdrop(False, Over(), None)
            image = self._picture(frame)
            return Backdrop(True, self._backgrounds[self._chosen].over, image)

    def cover(self, frame: np.ndarray) -> np.ndarray:
        """The background alone, of the frame's size; nothing of the frame is in it."""
        with self._lock:
            picture = self._picture(frame) if self._effect else None
            return self._cover.behind(Frame(frame)) if picture is None else picture

    def _picture(self, frame: np.ndarray) -> np.ndarray | None:
        now = self._clock()
        self._seconds += min(now - self._last_tick, _LONGEST_STEP_SECONDS)
        self._last_tick = now
        try:
            return self._backgrounds[self._chosen].behind(Frame(frame, seconds=self._seconds))
        except MediaError as error:  # a video that cannot be read any more
            self.problem = str(error)
            self._backgrounds[self._chosen] = self._cover
            return self._cover.behind(Frame(frame))


@contextmanager
def open_scene(texts: Sequence[str]) -> Iterator[Scene]:
    """texts: backgrounds as open_background takes them; "none" among them begins with the effect off.

    Raises ReadError.
    """
    with ExitStack() as stack:
        named = [text for text in texts if text != NONE] or ["blur"]
        backgrounds = [stack.enter_context(open_background(text)) for text in named]
        yield Scene(backgrounds, effect=NONE not in texts)
