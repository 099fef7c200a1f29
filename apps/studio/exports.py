"""An export: the same work as `vmfm recomposite`, on a thread of its own, with what the page has chosen."""

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmfm.apps.jobs import Job, Targets, plan_jobs
from vmfm.apps.live import Worker
from vmfm.apps.media.backgrounds import Background, open_background
from vmfm.apps.media.errors import ReadError, WriteError
from vmfm.apps.media.frames import MediaInfo
from vmfm.apps.media.kinds import is_image
from vmfm.apps.media.reader import open_reader
from vmfm.apps.media.writer import check_tracks
from vmfm.apps.recomposite import Done, Wish, recomposite, results_for
from vmfm.apps.session import FRAMES_IN_FLIGHT
from vmfm.apps.studio.backdrops import TRANSPARENT
from vmfm.apps.studio.errors import StudioError
from vmfm.apps.studio.events import Emit
from vmfm.apps.studio.nets import Choice
from vmfm.runtime import Bundle, MattingStream, Over, Result, VmfmError

_TELL_SECONDS = 0.2
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """A file that a clip can become. transparent: whether for a cut-out, or for a composite; None for both."""

    name: str
    suffix: str
    label: str
    image: bool = False
    transparent: bool | None = None


KINDS = {
    kind.name + kind.suffix: kind
    for kind in (
        Kind("composite", ".mp4", "Composite, MP4", transparent=False),
        Kind("composite", ".webm", "Composite, WebM", transparent=False),
        Kind("cutout", ".mov", "Cut-out, ProRes 4444", transparent=True),
        Kind("cutout", ".webm", "Cut-out, WebM", transparent=True),
        Kind("alpha", ".mp4", "Alpha, MP4"),
        Kind("deviation", ".mp4", "Deviation, MP4"),
        Kind("composite", ".png", "Composite, PNG", image=True, transparent=False),
        Kind("cutout", ".png", "Cut-out, PNG", image=True, transparent=True),
        Kind("alpha", ".png", "Alpha, PNG", image=True),
        Kind("deviation", ".png", "Deviation, PNG", image=True),
    )
}


@dataclass(frozen=True)
class Order:
    """What to export: a clip, as what kind (a key of KINDS), over which background, into which folder."""

    clip: Path
    kind: str
    background: str
    choice: Choice
    folder: Path

    def plan(self) -> Job:
        """Raises StudioError where the kind is not one for this clip and background."""
        kind = KINDS.get(self.kind)
        transparent = self.background == TRANSPARENT
        if kind is None or kind.image != is_image(self.clip) or kind.transparent not in (None, transparent):
            raise StudioError(f"{self.clip.name} does not become {self.kind} over this background: choose another kind")
        path = str(self.folder / f"{self.clip.stem}-{kind.name}{kind.suffix}")
        where: dict[str, Any] = {kind.name if kind.name in ("alpha", "deviation") else "out": path}
        return plan_jobs([self.clip], Targets(**where, transparent=transparent, overwrite=True))[0]


class _CancelledError(Exception):
    pass


class Export(Worker):
    """Emits how it goes: "running", then "done", "failed" or "cancelled". Leaving its block cancels it.

    is_running: until it has told the last of these.
    """

    def __init__(self, order: Order, bundle: Bundle, backend: str, emit: Emit) -> None:
        """Raises StudioError, WriteError."""
        super().__init__("studio-export")
        self._job = order.plan()
        self._order, self._bundle, self._backend, self._emit = order, bundle, backend, emit
        self._frames: int | None = None
        self._notes: list[str] = []
        self._count = 0
        self._told_seconds = 0.0
        self.is_running = True

    def cancel(self) -> None:
        """Comes into force with the next frame."""
        self._stop.set()

    def _work(self) -> None:
        try:
            self._tell("running", done=0)
            done = self._run()
        except _CancelledError:
            self._tell("cancelled")
        except VmfmError as error:
            self._tell("failed", text=str(error))
        except Exception:  # noqa: BLE001 - told on the page, and logged
            self._tell("failed", text="the export broke off; where vmfm studio was started, there is more about it")
            _log.exception("an export broke off")
        else:
            file = done.job.targets[0]
            self._tell(
                "done",
                name=file.name,
                bytes=file.stat().st_size,
                done=done.frames,
                fps=round(done.fps, 1),
                text="; ".join(
                    [*self._notes, *([f"{done.damage}: what could be decoded is in"] if done.damage else [])]
                ),
            )

    def _run(self) -> Done:
        text = self._order.background
        with (
            nullcontext() if text == TRANSPARENT else open_background(text) as background,
            self._open_stream(background) as stream,
        ):
            return recomposite(
                self._job,
                stream,
                background,
                Wish(salvage=True, audio=self._sound_fits()),
                on_start=self._start,
                on_frame=self._advance,
                on_note=self._notes.append,
            )

    def _sound_fits(self) -> bool:
        """Whether the result can hold the clip's sound; if not, a note tells that it is left out."""
        target = self._job.targets[0]
        if is_image(target):
            return True
        with open_reader(self._order.clip, salvage=True) as reader:
            info = reader.info
        try:
            check_tracks(target, info, self._order.clip, sound=True)
        except (ReadError, WriteError):
            self._notes.append(f"without the clip's sound, of a kind that {target.suffix} files cannot hold")
            return False
        return True

    def _open_stream(self, background: Background | None) -> MattingStream:
        deliver: tuple[Result, ...] = results_for([self._job], background)
        return MattingStream(
            self._bundle,
            detail=self._order.choice.detail,
            backend=self._backend,
            patches=self._order.choice.patches,
            temporal=self._order.choice.steady,
            deliver=deliver,
            over=background.over if background else Over(),
            slots=FRAMES_IN_FLIGHT,
        )

    def _start(self, info: MediaInfo, _: int) -> None:
        self._frames = info.frames
        self._stop_if_cancelled()

    def _advance(self) -> None:
        self._count += 1
        self._stop_if_cancelled()
        if time.monotonic() - self._told_seconds > _TELL_SECONDS:
            self._tell("running", done=self._count)

    def _stop_if_cancelled(self) -> None:
        if self._stop.is_set():
            raise _CancelledError

    def _tell(self, state: str, **facts: Any) -> None:
        self._told_seconds = time.monotonic()
        self.is_running = state == "running"
        self._emit({"type": "export", "state": state, "frames": self._frames, **facts})
