"""The window beside a call: what is sent, or the matte behind it; figures about it; and keys."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from vmfm.apps.effect import Done
from vmfm.apps.hud import draw_lines
from vmfm.apps.media.atomic import replacing
from vmfm.apps.media.errors import write_errors
from vmfm.apps.media.images import write_image
from vmfm.apps.media.window import Window
from vmfm.runtime import MediaError

TITLE = "vmfm webcam"
KEYS = "B background  E effect  V picture/alpha/deviation  M mirror  F figures  S snapshot  Q quit"
_VIEWS = ("picture", "alpha", "deviation")


class Preview:
    """A window with keys; `commands` are those that concern others, by key. closed: whether the user wants to end.

    tell: called with what became of a snapshot.
    """

    def __init__(self, commands: dict[str, Callable[[], None]], tell: Callable[[str], None]) -> None:
        """Raises WindowError."""
        self._tell = tell
        self._commands = {
            **commands,
            "v": self._next_view,
            "f": self._toggle_figures,
            "s": self._save_snapshot,
            "q": self._end,
        }
        self.closed = False
        self._view = 0
        self._figures = True
        self._sent: np.ndarray | None = None
        self._window = Window(TITLE)

    def show(self, picture: np.ndarray, done: Done | None, lines: Sequence[str]) -> None:
        """picture: what was sent, (H, W, 3) uint8 RGB; done: what it is part of, None for a background alone."""
        self._sent = picture
        matte = getattr(done, _VIEWS[self._view]) if done is not None and self._view else None
        shown = picture if matte is None else cv2.cvtColor(np.rint(matte * 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)
        self._window.show(draw_lines(shown, [*lines, KEYS]) if self._figures else shown)

    def hear(self) -> None:
        """Does what the keys say that were pressed."""
        while key := self._window.key():
            self._commands.get(key, lambda: None)()
            if self.closed:
                return

    def _next_view(self) -> None:
        self._view = (self._view + 1) % len(_VIEWS)

    def _toggle_figures(self) -> None:
        self._figures = not self._figures

    def _end(self) -> None:
        self.closed = True

    def _save_snapshot(self) -> None:
        if self._sent is None:
            return
        path = Path(f"vmfm-{datetime.now():%Y%m%d-%H%M%S-%f}"[:-3] + ".png")
        try:
            with write_errors(path), replacing(path) as partial:
                write_image(partial, self._sent)
        except MediaError as error:
            self._tell(str(error))
        else:
            self._tell(f"{path}: saved")

    def close(self) -> None:
        """May be called twice."""
        self._window.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
