"""Cameras, through OpenCV; and a clip in place of one, for those who have none at hand or want to rehearse."""

import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from vmfm.apps.media.backgrounds import looped
from vmfm.apps.media.kinds import is_image
from vmfm.runtime import MediaError

_APIS = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
_RAW_PIXELS = 640 * 480  # of larger pictures, USB 2 carries too few a second unless they are compressed
_FIRST_PICTURE_SECONDS = 3.0
_PROBED = 5
_LINUX_NODES = Path("/sys/class/video4linux")


class CameraError(MediaError):
    """A camera cannot be opened, or does not give pictures any more."""


class Camera(Protocol):
    """A source of live pictures. Used by one thread at a time."""

    name: str

    def read(self) -> np.ndarray:
        """Waits for the next picture, (H, W, 3) uint8 RGB; the array is the caller's. Raises CameraError."""

    def close(self) -> None:
        """Lets others have the camera."""


def open_camera(text: str, size: tuple[int, int], fps: float) -> Camera:
    """A camera by number, by path (/dev/video0) or by address (rtsp://...); or a video file, played in a loop.

    size: (H, W), and fps, are what it is asked for; what it gives may differ. Raises CameraError, ReadError.
    """
    if Path(text).is_file():
        return ClipCamera(Path(text))
    return DeviceCamera(text, size, fps)


class DeviceCamera:
    def __init__(self, text: str, size: tuple[int, int], fps: float) -> None:
        self.name = text if not text.isdecimal() else f"camera {text}"
        api = cv2.CAP_ANY if "://" in text else _APIS.get(sys.platform, cv2.CAP_ANY)
        self._capture = cv2.VideoCapture(int(text) if text.isdecimal() else text, api)
        try:
            if not self._capture.isOpened():
                raise CameraError(f"{self.name} cannot be opened: {_advice(text)}")
            self._ask_for(size, fps)
            self._wait_for_pictures()
        except BaseException:
            self.close()
            raise

    def read(self) -> np.ndarray:
        came, picture = self._capture.read()
        if not came:
            raise CameraError(f"{self.name} gives no pictures any more: plug it in again, or close what else uses it")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        self._capture.release()

    def _ask_for(self, size: tuple[int, int], fps: float) -> None:
        height, width = size
        if height * width > _RAW_PIXELS:  # before the size: drivers offer sizes by format
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        self._capture.set(cv2.CAP_PROP_FPS, fps)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _wait_for_pictures(self) -> None:
        """Some cameras open before they can give a picture."""
        deadline = time.monotonic() + _FIRST_PICTURE_SECONDS
        while not self._capture.read()[0]:
            if time.monotonic() > deadline:
                raise CameraError(
                    f"{self.name} opens and gives no picture: close what else uses it, or try another size"
                )
            time.sleep(0.05)


class ClipCamera:
    """A video file that plays at its own speed, over and over."""

    def __init__(self, path: Path) -> None:
        if is_image(path):
            raise CameraError(f"{path} is an image: a camera, or a video in place of one, was wanted")
        self.name = str(path)
        self._pictures = looped(path)
        self._started = time.monotonic()

    def read(self) -> np.ndarray:
        due_seconds, picture = next(self._pictures)
        if math.isinf(due_seconds):
            raise CameraError(f"{self.name} holds a single frame: a video that moves was wanted")
        time.sleep(max(0.0, self._started + due_seconds - time.monotonic()))
        return picture

    def close(self) -> None:
        self._pictures.close()


def list_cameras() -> list[tuple[str, str]]:
    """(what to call it by, what it is) of the cameras here."""
    if sys.platform == "linux":
        return list(_linux_cameras())
    return list(_probed_cameras())


def _linux_cameras() -> Iterator[tuple[str, str]]:
    for node in sorted(_LINUX_NODES.glob("video*"), key=lambda node: int(node.name[5:])):
        try:
            if (node / "index").read_text().strip() == "0":  # the others of a camera carry no pictures
                yield f"/dev/{node.name}", (node / "name").read_text().strip()
        except OSError:  # unplugged just now
            continue


def _probed_cameras() -> Iterator[tuple[str, str]]:
    for number in range(_PROBED):
        capture = cv2.VideoCapture(number, _APIS.get(sys.platform, cv2.CAP_ANY))
        if capture.isOpened():
            width, height = (capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            yield str(number), f"gives {width:.0f}x{height:.0f}"
        capture.release()


def _advice(text: str) -> str:
    """What to do about a camera that does not open, here."""
    if "://" in text:
        return "check its address, and that this computer reaches it"
    if sys.platform == "darwin":
        return "allow this terminal the camera in System Settings > Privacy & Security > Camera, or try another number"
    if sys.platform == "win32":
        return (
            "let desktop apps have the camera in Settings > Privacy > Camera, close what uses it, or try another number"
        )
    node = Path(f"/dev/video{text}" if text.isdecimal() else text)
    if node.exists():
        if not os.access(node, os.R_OK | os.W_OK):
            return f"{node} is not yours to read: `sudo usermod -aG video $USER`, then log in again"
        return "it takes one program at a time, so close what else uses it; some nodes of a camera carry no pictures"
    here = ", ".join(f"{name} ({what})" for name, what in list_cameras())
    return f"there is no {node}; " + (f"here are {here}" if here else "plug a camera in, or pass it to the container")
