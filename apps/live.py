"""Threads that hand on the newest of something and never queue: whoever is slow misses some, and falls behind by none."""

import threading
from abc import ABC, abstractmethod
from typing import Generic, Self, TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.1  # how soon a thread that waits hears that it should end


class Newest(Generic[T]):
    """Room for one item. dropped: how many were replaced by a newer one before anybody took them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self.dropped = 0

    def put(self, item: T) -> None:
        with self._changed:
            self.dropped += self._item is not None
            self._item = item
            self._changed.notify()

    def take(self, timeout_seconds: float = POLL_SECONDS) -> T | None:
        """The newest item, once; None where none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None, timeout_seconds)
            item, self._item = self._item, None
            return item


class Worker(ABC):
    """Work on a thread of its own, for as long as the `with` block. problem: what keeps it from working, for people."""

    def __init__(self, name: str) -> None:
        self.problem = ""
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name=f"vmfm-{name}", daemon=True)

    @abstractmethod
    def _work(self) -> None:
        """Runs on the thread; returns soon after `_stop` is set."""

    def check(self) -> None:
        """Raises what ended the thread before its time."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again by check()
            self._error = error
