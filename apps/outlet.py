"""The way out to other programs, which comes back by itself after it was lost."""

import time
from collections.abc import Callable
from typing import Self

import numpy as np
from vmfm.apps.media.virtual_camera import VirtualCamera, VirtualCameraError

RETRY_SECONDS = 1.0


class Outlet:
    """Sends pictures to a virtual camera. problem: why none are taken just now, for people; empty while they are."""

    def __init__(
        self, open_virtual_camera: Callable[[str | None], VirtualCamera], device: str | None, *, required: bool = True
    ) -> None:
        """open_virtual_camera: opens the given device, or with None any; once open, that one is wanted again.

        required: whether it is an error that there is none to begin with. Raises VirtualCameraError.
        """
        self._open = open_virtual_camera
        self._camera: VirtualCamera | None = None
        self._device = device
        self._retry_at = 0.0
        self.problem = self.name = ""
        try:
            self._reopen()
        except VirtualCameraError as error:
            if required:
                raise
            self._lose(error)

    def send(self, picture: np.ndarray) -> None:
        """picture: (H, W, 3) uint8 RGB. Where nobody takes it, it is passed over."""
        if self._camera is None and time.monotonic() < self._retry_at:
            return
        try:
            camera = self._camera or self._reopen()
            camera.send(picture)
        except VirtualCameraError as error:
            self._lose(error)
        else:
            self.problem = ""

    def _reopen(self) -> VirtualCamera:
        self._camera = self._open(self._device)
        self._device, self.name = self._camera.device, self._camera.name
        return self._camera

    def _lose(self, error: VirtualCameraError) -> None:
        self.problem = str(error)
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self.close()

    def close(self) -> None:
        """May be called twice."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
