"""A window on the screen, through OpenCV."""

import os
import subprocess
import sys

import cv2
import numpy as np
from vmfm.runtime import VmfmError

_ESCAPE = 27
_ANSWER_SECONDS = 30  # OpenCV is loaded meanwhile


class WindowError(VmfmError):
    """No window can be opened."""


class Window:
    """Shows RGB pictures and hears keys; to be used from the main thread, and to be closed."""

    def __init__(self, title: str) -> None:
        """Raises WindowError."""
        if sys.platform == "linux" and not _display_answers():
            raise WindowError(
                "there is no X display to open a window on: run this on a desktop, under Wayland with XWayland, or without "
                "--preview"
            )
        os.environ.setdefault("QT_LOGGING_RULES", "*=false")  # it complains of fonts that nothing here needs
        self._title = title
        self._size: tuple[int, ...] | None = None
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:  # the headless build
            raise WindowError(
                f"OpenCV cannot open a window ({error.err}): pip install --force-reinstall opencv-python"
            ) from error

    def show(self, picture: np.ndarray) -> None:
        """picture: (H, W, 3) uint8 RGB. The window takes its size, and people may change that."""
        if picture.shape != self._size:
            self._size = picture.shape
            cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
        cv2.imshow(self._title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def key(self) -> str:
        """The key that was pressed since the last call, "" for none; "q" for Escape and for a window that was closed."""
        pressed = cv2.waitKeyEx(1) & 0xFFFF  # above, some systems tell of Shift and the like
        if pressed == _ESCAPE or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        # arrows and other keys without a letter have large numbers, whose low byte would be that of one
        return chr(pressed).lower() if pressed < 0x80 else ""

    def close(self) -> None:
        """May be called twice."""
        if cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 0:
            cv2.destroyWindow(self._title)


def _display_answers() -> bool:
    """Tried by another process: where no display answers, OpenCV's Qt aborts the one that asks."""
    asking = [sys.executable, "-c", "import cv2; cv2.namedWindow('vmfm')"]
    try:
        return subprocess.run(asking, check=False, capture_output=True, timeout=_ANSWER_SECONDS).returncode >= 0
    except subprocess.TimeoutExpired:
        return False
