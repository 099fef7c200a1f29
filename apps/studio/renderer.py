"""From a frame to the packed pictures that a page shows: the nets where they are needed, the background every time."""

import time
from contextlib import ExitStack
from typing import Any

from vmfm.apps.hud import Meter
from vmfm.apps.media.backgrounds import Background
from vmfm.apps.media.frames import Frame
from vmfm.apps.studio.backdrops import open_backdrop, put_over
from vmfm.apps.studio.events import Emit
from vmfm.apps.studio.nets import Nets, OpenStream
from vmfm.apps.studio.views import pack
from vmfm.apps.studio.wish import Wish
from vmfm.runtime import Matte


class Renderer:
    """Used by one thread, and to be closed."""

    def __init__(self, open_stream: OpenStream, emit: Emit) -> None:
        self._emit = emit
        self._nets = Nets(open_stream)
        self._frame: Frame | None = None
        self._made: tuple[object, Matte] | None = None  # what the matte was made with, and the matte
        self._shown: tuple[object, ...] = ()  # what, beside the frame, the last pictures depend on
        self._held = ExitStack()
        self._background: Background | None = None
        self._background_text = ""
        self._meter = Meter()

    def cut(self) -> None:
        """The next frame does not follow on the last one."""
        self._nets.forget()
        self.start_figures()

    def start_figures(self) -> None:
        """The frames per second are of what comes from now on."""
        self._meter = Meter()

    def show(self, frame: Frame, wish: Wish) -> None:
        """Emits pictures of a frame where they are not what was emitted last. Raises VmfmError.

        Where the nets have to be opened first, the input is emitted at once.
        """
        shown = wish.background, wish.choice, wish.views, wish.width
        if frame is self._frame and shown == self._shown:
            return
        self._shown = shown
        started = time.perf_counter()
        background = self._behind(wish.background)
        opening = not self._nets.are_ready(wish.choice)
        if opening:
            self._emit({"type": "busy", "text": "Readying the nets …"})
            self._emit(pack({**self._facts(frame, wish), "early": True}, {"input": lambda: frame.image}, wish.width))
        is_new = frame is not self._frame
        try:
            matte = self._matte(frame, wish)
        finally:
            if opening:
                self._emit({"type": "busy", "text": ""})
                self._emit({"type": "engine", "text": self._nets.engine})
        pictures = {
            "input": lambda: frame.image,
            "composite": lambda: put_over(frame, matte.alpha, background),
            "alpha": lambda: matte.alpha,
            "deviation": lambda: matte.deviation,
        }
        wanted = {view: picture for view, picture in pictures.items() if view in wish.views}
        self._emit(pack(self._facts(frame, wish), wanted, wish.width))
        if is_new and not opening:
            self._meter.add(started)

    def fail(self) -> None:
        """After an error: the nets are opened anew when they are needed next."""
        self._nets.close()
        self._made, self._shown = None, ()

    def close(self) -> None:
        """May be called twice."""
        self._nets.close()
        self._held.close()

    def _matte(self, frame: Frame, wish: Wish) -> Matte:
        if self._made is None or frame is not self._frame or self._made[0] != wish.choice:
            self._frame = frame
            self._made = wish.choice, self._nets.matte(frame.image, wish.choice)
        return self._made[1]

    def _behind(self, text: str) -> Background:
        """The one there was stays where a new one cannot be had."""
        if self._background is None or text != self._background_text:
            self._background_text = text
            with ExitStack() as stack:
                self._background = stack.enter_context(open_backdrop(text))
                self._held.close()
                self._held = stack.pop_all()
        return self._background

    def _facts(self, frame: Frame, wish: Wish) -> dict[str, Any]:
        return {
            "seconds": round(frame.seconds, 4),
            "camera": wish.camera,
            "patches": wish.choice.patches,
            "steady": wish.choice.steady,
            "detail": wish.choice.detail,
            "fps": round(self._meter.fps, 1),
            "ms": round(self._meter.latency_ms),
        }
