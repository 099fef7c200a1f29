"""The camera that other programs see, through pyvirtualcam."""

import platform
import sys
from pathlib import Path
from typing import Self

import numpy as np
import pyvirtualcam
from vmfm.runtime import MediaError

_LOAD = "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=VMFM"
_INSTALL = {  # by the ids of os-release
    "debian": "sudo apt install v4l2loopback-dkms",
    "ubuntu": "sudo apt install v4l2loopback-dkms",
    "fedora": "sudo dnf install akmod-v4l2loopback (from RPM Fusion)",
    "rhel": "sudo dnf install akmod-v4l2loopback (from RPM Fusion)",
    "arch": "sudo pacman -S v4l2loopback-dkms",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
    "opensuse": "sudo zypper install v4l2loopback-kmp-default",
}
_ELSEWHERE = {
    "win32": "install OBS Studio (obsproject.com), whose virtual camera this uses; Unity Capture works as well",
    "darwin": "install OBS Studio 30 or newer (obsproject.com), click Start Virtual Camera in it once, allow the "
    "extension in System Settings, then click Stop Virtual Camera and quit OBS",
}


class VirtualCameraError(MediaError):
    """No virtual camera can be opened, or one takes no pictures any more. advice: what to do about it."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}: {advice}")
        self.reason, self.advice = reason, advice


class VirtualCamera:
    """Takes RGB pictures of one size, and shows them to whatever program opens it. A context manager."""

    def __init__(self, size: tuple[int, int], fps: float, device: str | None = None) -> None:
        """size: (H, W). device: such as /dev/video10; None takes the first that is free.

        Raises VirtualCameraError with every backend's reason.
        """
        try:
            self._camera = pyvirtualcam.Camera(width=size[1], height=size[0], fps=fps, device=device)
        except RuntimeError as error:
            reasons = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
            raise VirtualCameraError(f"no virtual camera ({reasons})", advice()) from error
        self.device: str = self._camera.device
        self.name = f"{self.device} ({self._camera.backend})"

    def send(self, picture: np.ndarray) -> None:
        """picture: (H, W, 3) uint8 RGB, free to be written over afterwards. Raises VirtualCameraError."""
        try:
            self._camera.send(picture)
        except (RuntimeError, OSError) as error:
            raise VirtualCameraError(f"{self.name} takes no pictures ({error})", advice()) from error

    def close(self) -> None:
        """May be called twice."""
        self._camera.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def advice() -> str:
    """What to do on this system to have a virtual camera."""
    return _ELSEWHERE.get(sys.platform) or _linux_advice()


def _linux_advice() -> str:
    if Path("/sys/module/v4l2loopback").exists():
        return (
            "v4l2loopback is loaded, but each device serves one program, and needs the group video: close what else "
            f"sends to it, or `sudo modprobe -r v4l2loopback && {_LOAD}`"
        )
    if any(Path("/lib/modules", platform.release()).rglob("v4l2loopback.ko*")):
        return f"v4l2loopback is installed, not loaded: `{_LOAD}`"
    return f"install v4l2loopback, `{_install_command()}`, then `{_LOAD}`; in a container, on its host"


def _install_command() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    ids = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((_INSTALL[name] for name in ids if name in _INSTALL), "the package v4l2loopback of this system")
