"""Files that a page hands in, as they arrive."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from starlette.concurrency import run_in_threadpool
from vmfm.apps.media.atomic import replacing
from vmfm.apps.media.errors import write_errors
from vmfm.apps.media.reader import open_reader
from vmfm.apps.studio.backdrops import open_backdrop
from vmfm.apps.studio.errors import StudioError

LIMIT_BYTES = 4 << 30
Role = Literal["clip", "background"]
ROLES: tuple[Role, ...] = ("clip", "background")
_LONGEST_NAME = 80


def safe_name(name: str) -> str:
    """A file's name as a page gives it, as one that means nothing else to any file system."""
    last = re.split(r"[\\/]", name)[-1]
    kept = re.sub(r"[^\w.() -]", "_", last).strip(". ")
    return kept[-_LONGEST_NAME:].strip(". ") or "clip"


async def receive(chunks: AsyncIterator[bytes], path: Path) -> None:
    """Writes what comes to `path`: all of it, or nothing. Raises StudioError where it is too much, WriteError."""
    size = 0
    with write_errors(path), replacing(path) as partial, partial.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > LIMIT_BYTES:
                raise StudioError(
                    f"{path.name} has more than the {LIMIT_BYTES / 2**30:.3g} GB that can be brought here"
                )
            await run_in_threadpool(file.write, chunk)


def check(path: Path, role: Role) -> None:
    """Raises ReadError where a file cannot be what it is for."""
    if role == "background":
        with open_backdrop(str(path)):
            return
    with open_reader(path, salvage=True):
        return
