"""Runs the jobs of one command in one stream, and tells about them: progress, results, what went wrong."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from vmfm.apps.jobs import Job
from vmfm.apps.media.backgrounds import Background, open_background
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.logs import silence_codecs
from vmfm.apps.recomposite import Done, recomposite, results_for
from vmfm.runtime import MattingStream, Over

FRAMES_IN_FLIGHT = 3  # one in the nets, one refined and composited, one coming or going


@dataclass(frozen=True)
class Settings:
    """What all jobs of one command share. background: see open_background; None keeps transparency."""

    background: str | None = None
    bundle: str = "lite"
    backend: str = "auto"
    linear: bool = False
    audio: bool = True
    salvage: bool = False


def run_jobs(jobs: list[Job], settings: Settings) -> bool:
    """Whether all went well. A source that cannot be read is told and does not stop the others.

    Raises MediaError for a background or a target, BundleError and BackendError for the nets; and ReadError where
    there is just one job.
    """
    silence_codecs()
    unreadable = 0
    with (
        open_background(settings.background) if settings.background else nullcontext() as background,
        MattingStream(
            settings.bundle,
            backend=settings.backend,
            deliver=results_for(jobs, background),
            over=replace(background.over if background else Over(), linear=settings.linear),
            slots=FRAMES_IN_FLIGHT,
        ) as stream,
        _progress() as progress,
    ):
        tell = partial(progress.console.print, highlight=False, markup=False)
        tell(f"{stream.bundle.name} on {stream.backend_name}: {stream.backend_note}")
        for job in jobs:
            try:
                done = _run(job, stream, background, settings, progress)
            except ReadError as error:
                if len(jobs) == 1:
                    raise
                tell(f"vmfm: {error}")
                unreadable += 1
            else:
                if done.info.colour is not None and done.info.colour.is_hdr:
                    tell(f"{job.source} is HDR: it was handled as 8 bits, its colour tags are kept")
                if done.left_out:
                    tell(f"{job.out} goes without {done.left_out}")
                print(_summary(done), flush=True)
    if unreadable:
        print(f"vmfm: {unreadable} of {len(jobs)} inputs could not be read", file=sys.stderr)
    return not unreadable


def _run(
    job: Job, stream: MattingStream, background: Background | None, settings: Settings, progress: Progress
) -> Done:
    task = progress.add_task(job.source.name, total=None)
    try:
        done = recomposite(
            job,
            stream,
            background,
            audio=settings.audio,
            salvage=settings.salvage,
            on_start=lambda info: progress.update(task, total=info.frames),
            on_frame=lambda: progress.advance(task),
        )
        progress.update(task, total=done.frames)
    finally:
        progress.stop_task(task)
    return done


def _summary(done: Done) -> str:
    count = f"{done.frames} frame{'s' if done.frames != 1 else ''}"
    line = f"{', '.join(str(target) for target in done.job.targets)}: {count}, {done.fps:.1f} fps"
    if done.info.is_video and (done.info.width % 2 or done.info.height % 2):
        line += f" (of odd size {done.info.width}x{done.info.height}: H.264 and VP9 repeat the last row or column)"
    return f"{line} ({done.damage}; the frames that could be decoded are in)" if done.damage else line


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        _Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} fps" if speed else "- fps")
