"""One source through the nets and out again: decode | background | nets and composite | paint | encode, each on a thread."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from vmfm.apps.jobs import Job
from vmfm.apps.media.backgrounds import Background
from vmfm.apps.media.frames import Frame, MediaInfo
from vmfm.apps.media.reader import open_reader
from vmfm.apps.media.writer import Writer, open_writer
from vmfm.apps.pipeline import Feed, Sink, queue_depth
from vmfm.runtime import BackendError, Matte, MattingStream, Result, estimate_foreground

# A frame in the queues: 3 bytes of RGB, the same again of a picture, alpha and deviation as float32.
_BYTES_PER_PIXEL = 3 + 3 + 4 + 4


@dataclass(frozen=True)
class Done:
    """What became of a job. damage: what was broken in the source, left_out: what the result could not hold of it; empty
    where nothing."""

    job: Job
    info: MediaInfo
    frames: int
    seconds: float
    damage: str
    left_out: str

    @property
    def fps(self) -> float:
        return self.frames / self.seconds


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
    *,
    audio: bool = True,
    salvage: bool = False,
    on_start: Callable[[MediaInfo], None] = lambda info: None,
    on_frame: Callable[[], None] = lambda: None,
) -> Done:
    """Run one job to its end; nothing is left under the target names if it does not get there.

    stream: one that delivers results_for([job], background), over background.over. background: None keeps the
    foreground with its alpha. audio: copy the sound. salvage: step over damage in the source. on_start, on_frame:
    called with the source's info, and per frame done.
    Raises MediaError for the files, BackendError for the device.
    """
    started = time.perf_counter()
    stream.reset()
    frames_done = 0
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(job.source, salvage=salvage))
        info = reader.info
        on_start(info)
        outputs = _open_outputs(stack, job, info, background, sound=audio)
        depth = queue_depth(info.width * info.height * _BYTES_PER_PIXEL)
        encoder = stack.enter_context(Sink(_encode, depth))
        painter: Sink[tuple[Frame, Matte]] = stack.enter_context(
            Sink(lambda item: encoder.put(_paint(outputs, *item)), depth)
        )
        frames = stack.enter_context(Feed(reader, depth))
        placed = stack.enter_context(Feed(_placed(frames, background), depth))
        for frame, matte in stack.enter_context(closing(in_flight(stream, placed))):
            painter.put((frame, matte))
            frames_done += 1
            on_frame()
    left_out = ", ".join(output.writer.left_out for output in outputs if output.writer.left_out)
    return Done(job, info, frames_done, time.perf_counter() - started, reader.damage, left_out)


def in_flight(
    stream: MattingStream, placed: Iterable[tuple[Frame, np.ndarray | None]]
) -> Generator[tuple[Frame, Matte], None, None]:
    """From frames with their backgrounds, frames with their mattes, in order, keeping every slot of the stream busy.

    However it ends, nothing is left in flight.
    """
    waiting: deque[Frame] = deque()
    try:
        for frame, background in placed:
            if len(waiting) == stream.slots:
                yield waiting.popleft(), stream.collect()
            stream.submit(frame.image, background)
            waiting.append(frame)
        while waiting:
            yield waiting.popleft(), stream.collect()
    finally:
        while stream.in_flight:
            with suppress(BackendError):
                stream.collect()


def _placed(frames: Iterable[Frame], background: Background | None) -> Iterator[tuple[Frame, np.ndarray | None]]:
    for frame in frames:
        yield frame, None if background is None else background.behind(frame)


@dataclass(frozen=True)
class _Output:
    writer: Writer
    paint: Callable[[Matte], np.ndarray]


def _open_outputs(
    stack: ExitStack, job: Job, info: MediaInfo, background: Background | None, *, sound: bool
) -> list[_Output]:
    outputs = []

    def add(path: Path, paint: Callable[[Matte], np.ndarray], **options: Any) -> None:
        outputs.append(_Output(stack.enter_context(open_writer(path, info, **options)), paint))

    if job.out is not None and background is not None:
        add(job.out, lambda matte: matte.picture, tracks_from=job.source, sound=sound)
    elif job.out is not None:
        add(job.out, _cut_out, tracks_from=job.source, sound=sound, transparent=True)
    if job.alpha is not None:
        add(job.alpha, lambda matte: _to_grey(matte.alpha))
    if job.deviation is not None:
        add(job.deviation, lambda matte: _to_grey(matte.deviation))
    return outputs


def _paint(outputs: list[_Output], frame: Frame, matte: Matte) -> list[tuple[Writer, np.ndarray, Frame]]:
    return [(output.writer, output.paint(matte), frame) for output in outputs]


def _encode(pictures: list[tuple[Writer, np.ndarray, Frame]]) -> None:
    for writer, picture, frame in pictures:
        writer.write(picture, frame)


def _cut_out(matte: Matte) -> np.ndarray:
    """(H, W, 4) uint8 RGBA: the foreground's own colours, and alpha."""
    return np.dstack([estimate_foreground(matte.frame, matte.alpha), _to_grey(matte.alpha)])


def _to_grey(values: np.ndarray) -> np.ndarray:
    """[0, 1] to uint8."""
    return np.rint(values * 255).astype(np.uint8)
