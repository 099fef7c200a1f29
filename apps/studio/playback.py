"""A clip that plays by its own clock."""

import time

from vmfm.apps.studio.clip import Clip

_LATE_SECONDS = 0.2  # the clock waits for who is later than this: every frame is shown, if need be slowly


class Playback:
    """Used by one thread, which closes the clip."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.start_clock()

    def start_clock(self) -> None:
        """Where the clip stands is now."""
        self._started = time.monotonic() - self.clip.frame.seconds

    def due_seconds(self) -> float:
        """How long until the next frame; 0 or less where it is due, and at the end."""
        following = self.clip.next_seconds
        return 0.0 if following is None else self._started + following - time.monotonic()

    def play_on(self) -> bool:
        """Goes to the next frame. False at the end."""
        frame = self.clip.step()
        if frame is not None:
            late = time.monotonic() - self._started - frame.seconds
            self._started += late if late > _LATE_SECONDS else 0.0
        return frame is not None

    def move(self, go_to: float | None, steps: int) -> bool:
        """Goes to a time, then by so many frames on or back. Whether a frame was passed over, or it went back."""
        before = self.clip.frame
        if go_to is not None:
            self.clip.go_to(go_to)
        for _ in range(-steps):
            self.clip.step_back()
        jumped = self.clip.frame is not before
        for _ in range(steps):
            self.clip.step()
        self.start_clock()
        return jumped
