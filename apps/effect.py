"""The nets on a thread of their own: from the newest shot of the camera to a picture that may be sent."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from vmfm.apps.capture import Shot
from vmfm.apps.live import Newest, Worker
from vmfm.apps.pace import Pace
from vmfm.apps.scene import Scene
from vmfm.runtime import MattingStream, Over, VmfmError

RETRY_SECONDS = 2.0
_STAGES_SECONDS = 0.5  # how often the times per stage are summed up
_STAGES_FRAMES = 15  # over how many frames


@dataclass(frozen=True)
class Done:
    """A picture to send, and the shot it was made of. room: whether it shows the room, because the effect is off.

    alpha, deviation: float32 (H, W), where the stream delivers them. stages: median milliseconds per node of the graph.
    """

    shot: Shot
    picture: np.ndarray
    room: bool = False
    alpha: np.ndarray | None = None
    deviation: np.ndarray | None = None
    stages: Mapping[str, float] = field(default_factory=dict)


class Effect(Worker):
    """pictures: where the newest one is. engine: what runs the nets, for people; empty before they are open.

    The nets look as closely as the pace allows. Nets that fail are told in `problem`, closed, and opened again after a
    while; in the meantime no picture comes, and none shows the room. Nets that have never worked end the thread.
    """

    def __init__(
        self, shots: Newest[Shot], scene: Scene, open_stream: Callable[[Over], MattingStream], pace: Pace
    ) -> None:
        """open_stream: opens one that delivers at least pictures, and puts the foreground over what it is told."""
        super().__init__("effect")
        self.pictures: Newest[Done] = Newest()
        self.engine = ""
        self._shots, self._scene, self._open, self._pace = shots, scene, open_stream, pace
        self._streams: dict[Over, MattingStream] = {}
        self._last_over: Over | None = None
        self._works = False
        self._stages: dict[str, float] = {}
        self._stages_due = 0.0

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                shot = self._shots.take()
                if shot is None:
                    continue
                try:
                    done = self._done(shot)
                    self.problem = ""
                except VmfmError as error:
                    if not self._works:
                        raise
                    self.problem = str(error)
                    self._close()
                    self._pace.back_off()
                    self._stop.wait(RETRY_SECONDS)
                else:
                    if done is not None:
                        self.pictures.put(done)
        finally:
            self._close()

    def _done(self, shot: Shot) -> Done | None:
        """None where the nets had to be readied for it, which took so long that it is of the past."""
        backdrop = self._scene.behind(shot.image)
        if not backdrop.effect:
            self._last_over = None
            return Done(shot, shot.image, room=True)
        stream = self._streams.get(backdrop.over)
        if stream is None or stream.detail != self._pace.detail:
            self._ready(backdrop.over, shot, backdrop.image)
            return None
        if backdrop.over != self._last_over:
            stream.reset()  # its last frame is long ago
            self._last_over = backdrop.over
        started = time.perf_counter()
        matte = stream.step(shot.image, backdrop.image)
        self._pace.add(time.perf_counter() - started)
        alpha, deviation = matte.results.get("alpha"), matte.results.get("deviation")
        return Done(shot, matte.picture, False, alpha, deviation, self._stages_of(stream))

    def _ready(self, over: Over, shot: Shot, background: np.ndarray | None) -> None:
        """Takes the slow first step at the present detail, opening the nets where they are not."""
        if over not in self._streams:
            self._streams[over] = self._open(over)
        stream = self._streams[over]
        stream.detail = self._pace.detail
        stream.step(shot.image, background)
        stream.timings.clear()
        engine = f"{stream.bundle.name} on {stream.backend_name}: {stream.backend_note}"
        self.engine = f"{engine}; detail {stream.detail}"
        self._works = True

    def _stages_of(self, stream: MattingStream) -> Mapping[str, float]:
        """Summed up here, between two frames, while nothing is being timed."""
        now = time.perf_counter()
        if now >= self._stages_due:
            self._stages_due = now + _STAGES_SECONDS
            recent = {name: values[-_STAGES_FRAMES:] for name, values in stream.timings.milliseconds.items()}
            self._stages = {name: float(np.median(values)) for name, values in recent.items()}
        return self._stages

    def _close(self) -> None:
        while self._streams:
            self._streams.popitem()[1].close()
        self._last_over = None
