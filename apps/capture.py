"""A camera on a thread of its own, which keeps the newest picture only and opens the camera again when it is lost."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from vmfm.apps.live import Newest, Worker
from vmfm.apps.media.backgrounds import cover_fit
from vmfm.apps.media.camera import Camera
from vmfm.runtime import MediaError

RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Shot:
    """A picture of the camera, (H, W, 3) uint8 RGB, and when it arrived, on the clock of time.perf_counter."""

    image: np.ndarray
    seconds: float


class Capture(Worker):
    """shots: where the newest picture is. size: (H, W) of all of them, which is that of the camera's first one."""

    def __init__(self, open_camera: Callable[[], Camera], *, mirrored: bool = False) -> None:
        super().__init__("capture")
        self.shots: Newest[Shot] = Newest()
        self._mirrored = mirrored
        self._open = open_camera

    def __enter__(self) -> Self:
        """Opens the camera here, so that one that cannot be had at all is told at once. Raises MediaError."""
        self._camera: Camera | None = self._open()
        try:
            self.name = self._camera.name
            self.size = self._camera.read().shape[:2]
            return super().__enter__()
        except BaseException:
            self._camera.close()
            raise

    def toggle_mirror(self) -> None:
        """Left and right as in a mirror, or back again."""
        self._mirrored = not self._mirrored

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._pass_on()
                except MediaError as error:
                    self.problem = str(error)
                    self._close()
                    self._stop.wait(RETRY_SECONDS)
        finally:
            self._close()

    def _pass_on(self) -> None:
        if self._camera is None:
            self._camera = self._open()
        picture = self._camera.read()
        seconds = time.perf_counter()
        if picture.shape[:2] != self.size:  # another camera took the place of the first one
            picture = cover_fit(picture, *self.size)
        if self._mirrored:
            picture = np.ascontiguousarray(picture[:, ::-1])
        self.shots.put(Shot(picture, seconds))
        self.problem = ""

    def _close(self) -> None:
        if self._camera is not None:
            self._camera.close()
        self._camera = None
