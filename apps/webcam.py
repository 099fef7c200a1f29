"""`vmfm webcam`: camera | nets | virtual camera, each on a thread, and only ever the newest picture between them.

Whatever happens, other programs see a finished picture or the background alone, never the room; unless the effect is
off, which only the user can do.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
from vmfm.apps.capture import Capture
from vmfm.apps.effect import Done, Effect
from vmfm.apps.hud import Meter
from vmfm.apps.live import POLL_SECONDS
from vmfm.apps.media.camera import open_camera
from vmfm.apps.media.logs import silence_codecs
from vmfm.apps.media.virtual_camera import VirtualCamera
from vmfm.apps.outlet import Outlet
from vmfm.apps.pace import Pace
from vmfm.apps.preview import Preview
from vmfm.apps.scene import Scene, open_scene
from vmfm.runtime import Bundle, Detail, MattingStream, Over, Result

# What fails is told and covered at once. This is for what hangs, and longer than the slowest nets take for a picture.
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Settings:
    """camera: see open_camera. size, (H, W), and fps: what to ask the camera for. backgrounds: see open_scene.

    detail: None takes the finest that keeps up. device: the virtual camera to send to; None takes the first that is
    free. preview: whether to open a window, which is also needed to go on where there is no virtual camera.
    """

    camera: str = "0"
    size: tuple[int, int] = (720, 1280)
    fps: float = 30
    backgrounds: tuple[str, ...] = ("blur",)
    mirror: bool = False
    bundle: str = "lite"
    detail: Detail | None = None
    backend: str = "auto"
    device: str | None = None
    preview: bool = False


def run_webcam(
    settings: Settings, tell: Callable[[str], None], on_picture: Callable[[float], None] = lambda latency_seconds: None
) -> str:
    """Runs until Ctrl-C, or until the preview is closed. Returns a summary, one line for people.

    tell: called with what people should know meanwhile. on_picture: called for every picture that is more than a background.
    Raises MediaError for cameras and backgrounds, BundleError and BackendError for nets that do not start.
    """
    silence_codecs()
    bundle = Bundle.open(settings.bundle)
    deliver: tuple[Result, ...] = ("picture", "alpha", "deviation") if settings.preview else ("picture",)

    def open_stream(over: Over) -> MattingStream:
        return MattingStream(bundle, backend=settings.backend, deliver=deliver, over=over, slots=1)

    camera = partial(open_camera, settings.camera, settings.size, settings.fps)
    with ExitStack() as stack:
        scene = stack.enter_context(open_scene(settings.backgrounds))
        capture = stack.enter_context(Capture(camera, mirrored=settings.mirror))
        virtual_camera = partial(VirtualCamera, capture.size, settings.fps)
        outlet = stack.enter_context(Outlet(virtual_camera, settings.device, required=not settings.preview))
        keys = {"b": scene.next_background, "e": scene.toggle, "m": capture.toggle_mirror}
        preview = stack.enter_context(Preview(keys, tell)) if settings.preview else None
        effect = stack.enter_context(Effect(capture.shots, scene, open_stream, Pace(settings.detail, settings.fps)))
        webcam = Webcam(scene, capture, effect, outlet, preview, tell, on_picture)
        tell(f"{capture.name}, {capture.size[1]}x{capture.size[0]} -> {outlet.name or 'preview'}; Ctrl-C ends")
        try:
            while preview is None or not preview.closed:
                webcam.turn(1 / settings.fps)
        except KeyboardInterrupt:
            pass
        return webcam.summary


class Webcam:
    """Passes on what the parts have made, and tells what becomes of them."""

    def __init__(
        self,
        scene: Scene,
        capture: Capture,
        effect: Effect,
        outlet: Outlet,
        preview: Preview | None,
        tell: Callable[[str], None],
        on_picture: Callable[[float], None],
    ) -> None:
        self._meter = Meter()
        self._scene, self._capture, self._effect, self._outlet, self._preview = scene, capture, effect, outlet, preview
        self._tell, self._on_picture = tell, on_picture
        self._told: dict[str, str] = {}
        self._nothing = np.zeros((*capture.size, 3), np.uint8)
        self._last: Done | None = None
        self._last_seconds = 0.0

    def turn(self, wait_seconds: float) -> None:
        """One picture sent, if there is one in time. Raises what ended a part."""
        self._capture.check()
        self._effect.check()
        done = self._effect.pictures.take(min(wait_seconds, POLL_SECONDS))
        if done is not None and not self._shows_room(done):
            self._last, self._last_seconds = done, time.monotonic()
            self._outlet.send(done.picture)
            self._on_picture(self._meter.add(done.shot.seconds))
            self._show(done.picture, done)
        elif not self._may_stay():
            cover = self._scene.cover(self._nothing)
            self._outlet.send(cover)
            self._show(cover, None)
        if self._preview is not None:
            self._preview.hear()
        self._tell_changes()

    @property
    def summary(self) -> str:
        """One line for people about all that was sent."""
        return self._meter.summary(self._dropped)

    @property
    def _dropped(self) -> int:
        """Pictures that were replaced by newer ones, before the nets or after them."""
        return self._capture.shots.dropped + self._effect.pictures.dropped

    def _show(self, picture: np.ndarray, done: Done | None) -> None:
        if self._preview is not None:
            self._preview.show(picture, done, self._lines(done))

    def _shows_room(self, done: Done) -> bool:
        """Whether it was made before the effect was put on."""
        return done.room and self._scene.effect

    def _may_stay(self) -> bool:
        """Whether the last picture is good enough to be looked at until the next one comes."""
        return (
            self._last is not None
            and not self._shows_room(self._last)
            and not self._capture.problem
            and not self._effect.problem
            and time.monotonic() - self._last_seconds < PATIENCE_SECONDS
        )

    def _lines(self, done: Done | None) -> list[str]:
        """What the preview writes into the picture."""
        lines = [
            f"{self._meter.fps:.1f} fps   {self._meter.latency_ms:.0f} ms from capture to send   {self._dropped} dropped",
            self._effect.engine or ("the nets are being opened" if self._scene.effect else "effect off"),
        ]
        if done is not None and done.stages:
            lines.append("ms: " + "  ".join(f"{name} {ms:.1f}" for name, ms in done.stages.items()))
        return [*lines, *(problem for problem in self._problems().values() if problem)]

    def _problems(self) -> dict[str, str]:
        return {
            "camera": self._capture.problem,
            "nets": self._effect.problem,
            "virtual camera": self._outlet.problem,
            "background": self._scene.problem,
        }

    def _tell_changes(self) -> None:
        now = {"engine": self._effect.engine, **self._problems()}
        for part, text in now.items():
            if text != self._told.get(part, ""):
                self._tell(text or f"{part}: works again")
        self._told = now
