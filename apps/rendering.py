"""The threads between a reader and writers: background | nets and composite | paint | encode."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from vmfm.apps.media.backgrounds import Background
from vmfm.apps.media.frames import Frame, MediaInfo
from vmfm.apps.media.writer import Writer
from vmfm.apps.painting import Paint
from vmfm.apps.pipeline import Feed, Sink, queue_depth
from vmfm.runtime import BackendError, Matte, MattingStream

# A frame in the queues: 3 bytes of RGB, the same again of a picture, alpha and deviation as float32.
_BYTES_PER_PIXEL = 3 + 3 + 4 + 4
Placed = tuple[Frame, np.ndarray | None]  # a frame and its background
Outlet = tuple[Paint, Writer]  # what is made of a matte, and where it goes


@dataclass(frozen=True)
class Rendered:
    """How many frames, the time of the first one, the last one."""

    frames: int
    first_pts: int
    last: Frame | None


class Renderer:
    """Decoding and encoding go on while the nets work; the nets stay on the calling thread."""

    def __init__(
        self, stream: MattingStream, background: Background | None, info: MediaInfo, on_frame: Callable[[], None]
    ) -> None:
        """on_frame: called per frame done."""
        self._stream = stream
        self._background = background
        self._on_frame = on_frame
        self._depth = queue_depth(info.width * info.height * _BYTES_PER_PIXEL)

    @contextmanager
    def placed(self, frames: Iterable[Frame]) -> Iterator[Iterator[Placed]]:
        """Frames with their backgrounds, made ahead."""
        with Feed(frames, self._depth) as read, Feed(_placed(read, self._background), self._depth) as placed:
            yield iter(placed)

    def render(self, placed: Iterable[Placed], outlets: list[Outlet]) -> Rendered:
        """Everything from the nets on, until `placed` ends and all of it is written."""
        count, first_pts, last = 0, 0, None
        with ExitStack() as stack:
            encoder = stack.enter_context(Sink(_encode, self._depth))
            painter: Sink[tuple[Frame, Matte]] = stack.enter_context(
                Sink(lambda item: encoder.put(_paint(outlets, *item)), self._depth)
            )
            for last, matte in stack.enter_context(closing(in_flight(self._stream, placed))):
                first_pts = first_pts if count else last.pts
                painter.put((last, matte))
                count += 1
                self._on_frame()
        return Rendered(count, first_pts, last)


def in_flight(stream: MattingStream, placed: Iterable[Placed]) -> Generator[tuple[Frame, Matte], None, None]:
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


def _placed(frames: Iterable[Frame], background: Background | None) -> Iterator[Placed]:
    for frame in frames:
        yield frame, None if background is None else background.behind(frame)


def _paint(outlets: list[Outlet], frame: Frame, matte: Matte) -> list[tuple[Writer, np.ndarray, Frame]]:
    return [(writer, paint(matte), frame) for paint, writer in outlets]


def _encode(pictures: list[tuple[Writer, np.ndarray, Frame]]) -> None:
    for writer, picture, frame in pictures:
        writer.write(picture, frame)
