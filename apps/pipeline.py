"""Work before and after the nets, each on a thread of its own, joined by bounded queues.

    with Feed(reader, depth) as frames, Sink(write, depth) as output:
        for frame in frames:
            output.put(step(frame))

The middle stays on the calling thread, which owns the nets and hears Ctrl-C. An error on either thread is raised
on the calling one; leaving the block early stops both threads, so nothing hangs and nothing piles up in memory.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_END = object()
_POLL_SECONDS = 0.1
_QUEUE_BYTES = 128 << 20
_LONGEST_QUEUE = 8


def queue_depth(item_bytes: int) -> int:
    """How many items of this size may wait in one queue: the same memory for webcam and 8K frames."""
    return max(1, min(_LONGEST_QUEUE, _QUEUE_BYTES // max(1, item_bytes)))


class Feed(Generic[T]):
    """Iterates `items` ahead of time on its own thread."""

    def __init__(self, items: Iterable[T], depth: int) -> None:
        self._items = items
        self._queue: Queue = Queue(depth)
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vmfm-feed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while (item := self._queue.get()) is not _END:
            yield item
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._hand_over(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again on the calling thread
            self._error = error
        self._hand_over(_END)

    def _hand_over(self, item: object) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
                return True
            except Full:
                continue
        return False


class Sink(Generic[T]):
    """Calls `consume` with every item, in order, on its own thread.

    Leaving the block waits until all items are consumed; leaving it by an exception drops those that wait.
    """

    def __init__(self, consume: Callable[[T], None], depth: int) -> None:
        self._consume = consume
        self._queue: Queue = Queue(depth)
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vmfm-sink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def put(self, item: T) -> None:
        """Queue one item, waiting for room. Raises what `consume` raised on an earlier one."""
        self._put(item)

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        try:
            if failure is None:
                self._put(_END)
                self._thread.join()
        finally:
            self._stop.set()
            self._thread.join()
        if failure is None and self._error is not None:
            raise self._error

    def _put(self, item: object) -> None:
        while True:
            if self._error is not None:
                raise self._error
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
                return
            except Full:
                continue

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except Empty:
                continue
            if item is _END:
                return
            try:
                self._consume(item)
            except BaseException as error:  # noqa: BLE001 - raised again on the calling thread
                self._error = error
                return
