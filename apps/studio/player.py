"""The thread behind a page: follows what the page wishes to see, and hands back pictures of it.

Every frame of a clip passes through the nets, as in an export, at the clip's own speed or as fast as the nets are; of
a camera's frames only the newest does. A picture is made only when the page has shown the one before the last, so
that nothing queues up anywhere.
"""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from vmfm.apps.live import POLL_SECONDS, Worker
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.frames import Frame
from vmfm.apps.studio.clip import Clip
from vmfm.apps.studio.events import Emit, Message
from vmfm.apps.studio.nets import OpenStream
from vmfm.apps.studio.playback import Playback
from vmfm.apps.studio.renderer import Renderer
from vmfm.apps.studio.wish import Wish
from vmfm.runtime import VmfmError

_AHEAD = 2  # pictures on their way that the page has not shown yet


class Player(Worker):
    def __init__(self, open_stream: OpenStream, emit: Emit) -> None:
        """open_stream: opens what delivers alpha and deviation. emit: called from the thread."""
        super().__init__("studio")
        self._emit = emit
        self._changed = threading.Condition()
        self._wish = self._followed = Wish()
        self._shot: bytes | None = None
        self._credit = _AHEAD
        # What follows is the thread's own.
        self._renderer = Renderer(open_stream, self._send)
        self._playback: Playback | None = None
        self._last_shot: Frame | None = None
        self._camera_started = 0.0

    @property
    def wanted(self) -> Wish:
        """The last wish."""
        return self._wish

    def wish(self, *, steps: int = 0, **changes: Any) -> None:
        """Wishes for something else, by the names of Wish. The last wish counts, but steps add up."""
        with self._changed:
            self._wish = replace(self._wish, steps=self._wish.steps + steps, **changes)
            self._changed.notify()

    def put_shot(self, jpeg: bytes) -> None:
        """A picture of the camera, in place of one that was not taken yet."""
        with self._changed:
            self._shot = jpeg
            self._changed.notify()

    def shown(self) -> None:
        """The page has shown a picture."""
        with self._changed:
            self._credit = min(_AHEAD, self._credit + 1)
            self._changed.notify()

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                with self._changed:
                    if not self._changed.wait_for(self._is_due, self._patience()):
                        continue
                    wish, before = self._wish, self._followed
                    shot, self._shot = self._shot, None
                    self._wish = self._followed = replace(wish, go_to=None, steps=0)
                try:
                    self._follow(wish, before, shot)
                except VmfmError as error:
                    self._renderer.fail()
                    self._emit({"type": "problem", "text": str(error)})
                    self._stop_playing()
        finally:
            self._open_clip(None)
            self._renderer.close()
            self._emit(None)

    def _is_due(self) -> bool:
        if self._credit <= 0:
            return False
        if self._wish != self._followed:
            return True
        if self._wish.camera:
            return self._shot is not None
        return self._wish.playing and self._playback is not None and self._playback.due_seconds() <= 0

    def _patience(self) -> float:
        if self._wish.playing and self._playback is not None and 0 < (due := self._playback.due_seconds()):
            return min(due, POLL_SECONDS)
        return POLL_SECONDS

    def _follow(self, wish: Wish, before: Wish, shot: bytes | None) -> None:
        if wish.clip != before.clip:
            self._open_clip(wish.clip)
        if (wish.clip, wish.camera) != (before.clip, before.camera):
            self._renderer.cut()
            self._last_shot, self._camera_started = None, time.monotonic()
        if wish.playing and not before.playing:
            self._start_playing()
        frame = self._camera_frame(shot) if wish.camera else self._clip_frame(wish)
        if frame is not None:
            self._renderer.show(frame, wish)

    def _camera_frame(self, jpeg: bytes | None) -> Frame | None:
        """None where the camera has not given one yet."""
        if jpeg is not None:
            self._last_shot = Frame(_decode(jpeg), seconds=time.monotonic() - self._camera_started)
        return self._last_shot

    def _clip_frame(self, wish: Wish) -> Frame | None:
        """None without a clip."""
        playback = self._playback
        if playback is None:
            return None
        if wish.go_to is not None or wish.steps:
            if playback.move(wish.go_to, wish.steps):
                self._renderer.cut()
        elif wish.playing and playback.due_seconds() <= 0 and not playback.play_on():
            self._stop_playing()
        return playback.clip.frame

    def _start_playing(self) -> None:
        """From the start where it stands at the end."""
        self._renderer.start_figures()
        if self._playback is not None:
            at_end = self._playback.clip.next_seconds is None
            if self._playback.move(0.0 if at_end else None, 0):
                self._renderer.cut()

    def _stop_playing(self) -> None:
        self.wish(playing=False)
        self._emit({"type": "playing", "on": False})

    def _send(self, message: Message) -> None:
        if isinstance(message, bytes):
            with self._changed:
                self._credit -= 1
        self._emit(message)

    def _open_clip(self, path: Path | None) -> None:
        if self._playback is not None:
            self._playback.clip.close()
        self._playback = None
        if path is not None:
            clip = Clip(path)
            self._playback = Playback(clip)
            self._emit({"type": "clip", "name": path.name, **clip.description})


def _decode(jpeg: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB. Raises ReadError."""
    try:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # nothing at all, or one that claims to be huge
        image = None
    if image is None:
        raise ReadError("the camera's picture cannot be read: a JPEG of its size was wanted")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
