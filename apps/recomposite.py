"""One source through the nets and out again, in one go or in segments that an interrupted run can go on from."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import Any

from vmfm.apps.checkpoints import SEGMENT_FRAMES, Checkpoints
from vmfm.apps.jobs import Job
from vmfm.apps.media.atomic import sweep
from vmfm.apps.media.backgrounds import Background
from vmfm.apps.media.codecs import version as codecs_version
from vmfm.apps.media.cut import WHOLE, Cut
from vmfm.apps.media.encodings import Storing
from vmfm.apps.media.frames import Frame, Mark, MediaInfo
from vmfm.apps.media.kinds import is_sequence
from vmfm.apps.media.reader import USUAL_FPS, Reader, open_reader
from vmfm.apps.media.sequences import pictures_of
from vmfm.apps.media.writer import Joiner, Writer
from vmfm.apps.outputs import Output, plan_outputs
from vmfm.apps.rendering import Renderer
from vmfm.runtime import MattingStream, Result

PARTS_VERSION = 2  # of what the parts in checkpoints are called


@dataclass(frozen=True)
class Wish:
    """How a job is to be done, beyond its files and its background.

    cut: which part of the source. fps: of image sequences. audio: copy the sound. salvage: step over damage in the source.
    hardware: decode on a GPU where one can. resume: keep checkpoints, and go on from those of an earlier run.
    """

    cut: Cut = WHOLE
    fps: Fraction = USUAL_FPS
    audio: bool = True
    salvage: bool = False
    hardware: bool = False
    resume: bool = False
    storing: Storing = field(default_factory=Storing)


@dataclass(frozen=True)
class Done:
    """What became of a job. resumed_at: how many of the frames an earlier run had done. damage: what was broken in the
    source, left_out: what the result could not hold of it; empty where nothing."""

    job: Job
    info: MediaInfo
    frames: int
    resumed_at: int
    seconds: float
    damage: str
    left_out: str

    @property
    def fps(self) -> float:
        return (self.frames - self.resumed_at) / self.seconds


def results_for(jobs: Iterable[Job], background: Background | None) -> tuple[Result, ...]:
    """What the stream has to deliver for these jobs."""
    jobs = list(jobs)
    cut_out = background is None and any(job.out for job in jobs)
    wanted: dict[Result, bool] = {
        "alpha": cut_out or any(job.alpha for job in jobs),
        "deviation": any(job.deviation for job in jobs),
        "picture": background is not None and any(job.out for job in jobs),
    }
    return tuple(name for name in wanted if wanted[name])


def recomposite(
    job: Job,
    stream: MattingStream,
    background: Background | None,
    wish: Wish = Wish(),
    *,
    making: dict[str, Any] | None = None,
    on_start: Callable[[MediaInfo, int], None] = lambda info, resumed_at: None,
    on_frame: Callable[[], None] = lambda: None,
    on_note: Callable[[str], None] = lambda text: None,
) -> Done:
    """Run one job to its end; nothing is left under the target names if it does not get there.

    stream: one that delivers results_for([job], background), over background.over. background: None keeps the
    foreground with its alpha. making: what the result depends on that the job and the wish do not tell, for checkpoints.
    on_start, on_frame, on_note: called with the source's info and the number of frames already done, per frame done, and
    with what else people should know.
    Raises MediaError for the files, BackendError for the device.
    """
    started = time.perf_counter()
    stream.reset()
    with _opened(job, wish) as reader:
        outputs = plan_outputs(job, reader.info, wish.storing, transparent=background is None)
        renderer = Renderer(stream, background, reader.info, on_frame)
        for note in _notes(reader, outputs):
            on_note(note)
        if wish.resume and reader.info.is_video:
            made_of = {**(making or {}), **_making(job, wish, stream, outputs)}
            with _checkpoints(job, wish, outputs, made_of) as checkpoints:
                if checkpoints.anew:
                    on_note(f"starts anew ({checkpoints.anew})")
                resumed_at = checkpoints.frames
                on_start(reader.info, resumed_at)
                try:
                    _make_segments(renderer, stream, reader, outputs, checkpoints)
                except BaseException:
                    on_note(f"{checkpoints.frames} frames are kept: the same command goes on with them")
                    raise
                frames, left_out = checkpoints.frames, _join(outputs, checkpoints, wish.audio)
                damage = checkpoints.damage or reader.damage
                checkpoints.clear()
        else:
            resumed_at = 0
            on_start(reader.info, 0)
            frames, left_out = _make_at_once(renderer, reader, outputs, wish.audio)
            damage = reader.damage
    seconds = time.perf_counter() - started
    if left_out:
        on_note(f"{job.targets[0]} goes without {left_out}")
    return Done(job, reader.info, frames, resumed_at, seconds, damage, left_out)


def _opened(job: Job, wish: Wish) -> AbstractContextManager[Reader]:
    return open_reader(
        job.source,
        cut=wish.cut,
        fps=wish.fps,
        salvage=wish.salvage,
        hardware=wish.hardware,
        sequence=job.source.is_dir(),
    )


def _notes(reader: Reader, outputs: list[Output]) -> Iterator[str]:
    """What people should know before the first frame."""
    if reader.note:
        yield reader.note
    yield from (f"{output.path} is {output.note}" for output in outputs if output.note)
    if reader.info.was_hdr:
        yield "HDR, mapped to the colours of an ordinary screen (BT.709)"


def _checkpoints(job: Job, wish: Wish, outputs: list[Output], making: dict[str, Any]) -> Checkpoints:
    """Those of the job, once it is sure that the results can be joined of parts; what a killed run left is swept away."""
    for output in outputs:
        output.check(sound=wish.audio)
    checkpoints = Checkpoints(job.checkpoints, making)
    if checkpoints.left_by is not None:
        for path in job.targets:
            sweep(path, checkpoints.left_by)
    return checkpoints


def _make_at_once(renderer: Renderer, reader: Reader, outputs: list[Output], audio: bool) -> tuple[int, str]:
    """How many frames there were, and what was left out. All places are reserved before any writer is opened, so that all
    writers have ended well before the first result appears."""
    with ExitStack() as stack:
        places = [stack.enter_context(output.reserve()) for output in outputs]
        writers = [stack.enter_context(o.open(place, sound=audio)) for o, place in zip(outputs, places, strict=True)]
        with renderer.placed(reader) as placed:
            outlets = [(output.paint, writer) for output, writer in zip(outputs, writers, strict=True)]
            done = renderer.render(placed, outlets)
    return done.frames, _left_out(writers)


def _make_segments(
    renderer: Renderer, stream: MattingStream, reader: Reader, outputs: list[Output], checkpoints: Checkpoints
) -> None:
    """All that are missing, each from where the one before has ended."""
    frames: Iterator[Frame] = iter(reader)
    if checkpoints.segments:
        frames = reader.frames_from(checkpoints.segments[-1].last)
        next(frames)
        stream.recall(checkpoints.memory())
    with renderer.placed(frames) as placed:
        while (first := next(placed, None)) is not None:
            with checkpoints.next_segment() as draft:
                with ExitStack() as stack:
                    outlets = [
                        (output.paint, stack.enter_context(output.open_part(draft.folder, first[0].pts)))
                        for output in outputs
                    ]
                    done = renderer.render(chain([first], islice(placed, SEGMENT_FRAMES - 1)), outlets)
                assert done.last is not None
                draft.finish(
                    done.frames,
                    done.first_pts,
                    Mark.of(done.last),
                    stream.memory(),
                    checkpoints.damage or reader.damage,
                )


def _join(outputs: list[Output], checkpoints: Checkpoints, audio: bool) -> str:
    """The results of their parts; tells what was left out."""
    with ExitStack() as stack:
        places = [stack.enter_context(output.reserve()) for output in outputs]
        joiners = [stack.enter_context(o.join(place, sound=audio)) for o, place in zip(outputs, places, strict=True)]
        for segment in checkpoints.segments:
            for output, joiner in zip(outputs, joiners, strict=True):
                joiner.append(output.part(segment.folder), segment.first_pts)
    return _left_out(joiners)


def _making(job: Job, wish: Wish, stream: MattingStream, outputs: list[Output]) -> dict[str, Any]:
    """What the result depends on, as far as it can be told here."""
    told = asdict(wish)
    told["cut"] = [str(wish.cut.start), str(wish.cut.duration)]
    told["fps"] = str(wish.fps)
    return {
        "source": fingerprint(job.source),
        "options": told,
        "results": [[str(output.path.resolve()), repr(output.encoding)] for output in outputs],
        "bundle": [stream.bundle.name, *(net.sha256 for net in stream.bundle.nets.values())],
        "detail": stream.detail,
        "backend": stream.backend_note,
        "version": [version("vmfm"), codecs_version(), PARTS_VERSION],
    }


def fingerprint(path: Path) -> list[Any]:
    """By which to notice that a file, or the files of a sequence, changed."""
    files = list(pictures_of(path).values()) if is_sequence(path) else [path]
    stats = [file.stat() for file in files]
    return [
        str(path.resolve()),
        len(files),
        sum(stat.st_size for stat in stats),
        max(stat.st_mtime_ns for stat in stats),
    ]


def _left_out(writers: Sequence[Writer | Joiner]) -> str:
    return ", ".join(writer.left_out for writer in writers if writer.left_out)
