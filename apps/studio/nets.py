"""The stream behind a page: opened when the first matte is wanted, and anew when what can only be chosen then changes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from vmfm.runtime import Detail, Matte, MattingStream


@dataclass(frozen=True)
class Choice:
    """What a stream is opened with. patches: K, None takes the bundle's. steady: whether the stabiliser is on. detail: see
    Bundle.net_size.
    """

    patches: int | None = None
    steady: bool = True
    detail: Detail = "fine"


OpenStream = Callable[[Choice], MattingStream]


class Nets:
    """Used by one thread, and to be closed. engine: what runs them, for people; empty before they are open."""

    def __init__(self, open_stream: OpenStream) -> None:
        """open_stream: opens one that delivers alpha and deviation."""
        self._open = open_stream
        self._stream: MattingStream | None = None
        self._choice: Choice | None = None
        self.engine = ""

    def are_ready(self, choice: Choice) -> bool:
        """Whether the next matte comes without opening anything."""
        return self._stream is not None and choice == self._choice

    def matte(self, image: np.ndarray, choice: Choice) -> Matte:
        """Of a frame, (H, W, 3) uint8 RGB. Raises BundleError, BackendError, FrameError."""
        if not self.are_ready(choice):
            self.close()
            self._stream, self._choice = self._open(choice), choice
            self.engine = f"{self._stream.bundle.name} on {self._stream.backend_name}: {self._stream.backend_note}"
        assert self._stream is not None
        return self._stream.step(image)

    def forget(self) -> None:
        """The next frame does not follow on the last one."""
        if self._stream is not None:
            self._stream.reset()

    def close(self) -> None:
        """May be called twice."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
