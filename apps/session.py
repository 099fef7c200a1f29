"""Runs the jobs of one command in one stream, and has them reported."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from vmfm.apps.jobs import Job
from vmfm.apps.media.backgrounds import Background, open_background
from vmfm.apps.media.errors import NoSpaceError
from vmfm.apps.media.logs import silence_codecs
from vmfm.apps.recomposite import Done, Wish, fingerprint, recomposite, results_for
from vmfm.apps.reports import JsonLines, Lines, Report, Tally
from vmfm.runtime import Detail, FrameError, MattingStream, MediaError, Over

FRAMES_IN_FLIGHT = 3  # one in the nets, one refined and composited, one coming or going


@dataclass(frozen=True)
class Settings:
    """What all jobs of one command share. background: see open_background; None keeps transparency.

    skip_done: pass over jobs whose results are all there. json: report as JSON lines.
    """

    background: str | None = None
    bundle: str = "lite"
    detail: Detail = "fine"
    backend: str = "auto"
    linear: bool = False
    wish: Wish = field(default_factory=Wish)
    skip_done: bool = False
    json: bool = False


def run_jobs(jobs: list[Job], settings: Settings) -> bool:
    """Whether all went well. A job that cannot be done is told and does not stop the others, unless the disk is full.

    Raises MediaError for a background, BundleError and BackendError for the nets; and MediaError or FrameError where there
    is just one job.
    """
    silence_codecs()
    report: Report = JsonLines() if settings.json else Lines()
    tally, started = Tally(), time.perf_counter()
    with (
        open_background(settings.background) if settings.background else nullcontext() as background,
        MattingStream(
            settings.bundle,
            detail=settings.detail,
            backend=settings.backend,
            deliver=results_for(jobs, background),
            over=replace(background.over if background else Over(), linear=settings.linear),
            slots=FRAMES_IN_FLIGHT,
        ) as stream,
        report.shown(),
    ):
        report.engine(stream)
        for job in jobs:
            if settings.skip_done and job.is_there:
                report.skipped(job)
                tally.skipped += 1
                continue
            try:
                done = _run(job, stream, background, settings, report)
            except (MediaError, FrameError) as error:
                ends = len(jobs) == 1 or isinstance(error, NoSpaceError)
                report.failed(job, str(error), ends=ends)
                if ends:
                    raise
                tally.failed += 1
            else:
                report.done(done)
                tally.done += 1
                tally.frames += done.frames - done.resumed_at
    tally.seconds = time.perf_counter() - started
    report.end(tally)
    return not tally.failed


def _run(job: Job, stream: MattingStream, background: Background | None, settings: Settings, report: Report) -> Done:
    behind = settings.background
    making = {
        "background": fingerprint(Path(behind)) if behind and Path(behind).is_file() else behind,
        "blending": "light" if settings.linear else "levels",
    }
    return recomposite(
        job,
        stream,
        background,
        settings.wish,
        making=making,
        on_start=partial(report.start, job),
        on_frame=report.frame,
        on_note=partial(report.note, job),
    )
