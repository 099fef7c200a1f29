"""What a run tells while it works: lines and a progress bar for people, or JSON for other programs.

With --json every line of stdout is one object, and its "event" says what the others are:

    {"event": "engine", "bundle": "lite", "backend": "cpu", "text": "..."}
    {"event": "start", "source": "a.mp4", "targets": ["o/a.mp4"], "frames": 250, "resumed_at": 0}
    {"event": "progress", "source": "a.mp4", "frame": 31, "frames": 250, "fps": 12.5}      at most twice a second
    {"event": "note", "source": "a.mp4", "text": "..."}              something to know that stops nothing
    {"event": "done", "source": "a.mp4", "targets": ["o/a.mp4"], "frames": 250, "seconds": 20.1, "fps": 12.4,
     "damage": ""}                                                 what was broken in the source, where --salvage was given
    {"event": "skipped", "source": "b.mp4", "targets": ["o/b.mp4"]}  the result was there already (--resume)
    {"event": "failed", "source": "c.mp4", "error": "..."}
    {"event": "end", "done": 1, "skipped": 1, "failed": 1, "frames": 250, "seconds": 21.3}

frames is null where a file does not tell, and an estimate in some; frame counts those of the whole job, also of the part
that an earlier run has made; fps is that of this run. What stops a whole run, like a bundle that is damaged, is told on
stderr as ever; there is no "end" then.
"""

import json
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text
from vmfm.apps.jobs import Job
from vmfm.apps.media.errors import WriteError
from vmfm.apps.media.frames import MediaInfo
from vmfm.apps.recomposite import Done
from vmfm.runtime import MattingStream

_PROGRESS_SECONDS = 0.5


@dataclass
class Tally:
    """How a run went."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    frames: int = 0
    seconds: float = 0.0


class Report(Protocol):
    """What is told about a run, in this order; between start and done, failed or the next start comes the job's progress."""

    def engine(self, stream: MattingStream) -> None: ...
    def start(self, job: Job, info: MediaInfo, resumed_at: int) -> None: ...
    def frame(self) -> None: ...
    def note(self, job: Job, text: str) -> None: ...
    def done(self, done: Done) -> None: ...
    def skipped(self, job: Job) -> None: ...
    def failed(self, job: Job, error: str, *, ends: bool) -> None:
        """ends: the run ends with it, and the error is told where all errors that end one are."""

    def end(self, tally: Tally) -> None: ...
    def shown(self) -> AbstractContextManager[object]:
        """To be open while the run lasts."""


class Lines:
    """For people: results on stdout, everything else on stderr."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            _Speed(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            # else results would go to the screen in place of the file, or of nowhere
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        )
        self._task: TaskID | None = None

    def shown(self) -> AbstractContextManager[object]:
        return self._progress

    def engine(self, stream: MattingStream) -> None:
        self._tell(f"{stream.bundle.name} on {stream.backend_name}: {stream.backend_note}")

    def start(self, job: Job, info: MediaInfo, resumed_at: int) -> None:
        for finished in self._progress.task_ids:  # the bars of many would leave no line for the one that moves
            self._progress.remove_task(finished)
        self._task = self._progress.add_task(job.source.name, total=info.frames)
        if resumed_at:
            self._progress.update(self._task, completed=resumed_at)
            self._tell(f"{job.source}: goes on after frame {resumed_at}")

    def frame(self) -> None:
        if self._task is not None:
            self._progress.advance(self._task)

    def note(self, job: Job, text: str) -> None:
        self._tell(f"{job.source}: {text}")

    def done(self, done: Done) -> None:
        if self._task is not None:
            self._progress.update(self._task, total=done.frames)
        self._stop()
        _print(_summary(done))

    def skipped(self, job: Job) -> None:
        self._tell(f"{job.source}: {_names(job)} is there already")

    def failed(self, job: Job, error: str, *, ends: bool) -> None:
        self._stop()
        if not ends:
            self._tell(f"vmfm: {error}")

    def end(self, tally: Tally) -> None:
        if tally.done + tally.skipped + tally.failed < 2:
            return
        minutes, seconds = divmod(round(tally.seconds), 60)
        line = f"{tally.done} done, {tally.frames} frames in {minutes}:{seconds:02d}"
        line += f"; {tally.skipped} there already" if tally.skipped else ""
        line += f"; {tally.failed} of {tally.done + tally.skipped + tally.failed} inputs failed" if tally.failed else ""
        print(line, file=sys.stderr)

    def _tell(self, line: str) -> None:
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _stop(self) -> None:
        if self._task is not None:
            self._progress.stop_task(self._task)
            self._task = None


class JsonLines:
    """For programs: see the module's text."""

    def __init__(self) -> None:
        self._job: Job | None = None
        self._frames: int | None = None
        self._first = self._frame = 0
        self._started = self._due = 0.0

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()

    def engine(self, stream: MattingStream) -> None:
        self._tell("engine", bundle=stream.bundle.name, backend=stream.backend_name, text=stream.backend_note)

    def start(self, job: Job, info: MediaInfo, resumed_at: int) -> None:
        self._job, self._frames, self._first, self._frame = job, info.frames, resumed_at, resumed_at
        self._started = time.monotonic()
        self._due = self._started + _PROGRESS_SECONDS
        self._tell("start", source=str(job.source), targets=_paths(job), frames=info.frames, resumed_at=resumed_at)

    def frame(self) -> None:
        self._frame += 1
        now = time.monotonic()
        if self._job is not None and now >= self._due:
            self._due = now + _PROGRESS_SECONDS
            fps = round((self._frame - self._first) / (now - self._started), 2)
            self._tell("progress", source=str(self._job.source), frame=self._frame, frames=self._frames, fps=fps)

    def note(self, job: Job, text: str) -> None:
        self._tell("note", source=str(job.source), text=text)

    def done(self, done: Done) -> None:
        self._tell(
            "done",
            source=str(done.job.source),
            targets=_paths(done.job),
            frames=done.frames,
            seconds=round(done.seconds, 2),
            fps=round(done.fps, 2),
            damage=done.damage,
        )

    def skipped(self, job: Job) -> None:
        self._tell("skipped", source=str(job.source), targets=_paths(job))

    def failed(self, job: Job, error: str, *, ends: bool) -> None:
        self._tell("failed", source=str(job.source), error=error)

    def end(self, tally: Tally) -> None:
        self._tell("end", **{**vars(tally), "seconds": round(tally.seconds, 2)})

    @staticmethod
    def _tell(event: str, **values: object) -> None:
        _print(json.dumps({"event": event, **values}))


def _print(line: str) -> None:
    """To stdout. Raises WriteError where that is a file that cannot take it."""
    try:
        print(line, flush=True)
    except BrokenPipeError:  # whoever read it has seen enough
        raise
    except OSError as error:
        raise WriteError(f"cannot tell on standard output: {error.strerror}") from error


def _summary(done: Done) -> str:
    count = f"{done.frames} frame{'s' if done.frames != 1 else ''}"
    line = f"{_names(done.job)}: {count}, {done.fps:.1f} fps"
    if done.info.is_video and (done.info.width % 2 or done.info.height % 2):
        line += f" (of odd size {done.info.width}x{done.info.height}: H.264 and VP9 repeat the last row or column)"
    return f"{line} ({done.damage}; the frames that could be decoded are in)" if done.damage else line


def _names(job: Job) -> str:
    return ", ".join(_paths(job))


def _paths(job: Job) -> list[str]:
    return [str(target) for target in job.targets]


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} fps" if speed else "- fps")
