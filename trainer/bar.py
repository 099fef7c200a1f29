"""A bar on the terminal while something is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(title: str) -> Iterator[Callable[..., None]]:
    """A bar on stderr, and what moves it: how many are done, of how many, and what just now."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title)

        def move(done: int, total: int, name: str = title) -> None:
            shown.update(task, description=name, completed=done, total=total)

        yield move
