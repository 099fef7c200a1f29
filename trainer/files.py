"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmfm.trainer.errors import TrainerError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says as a TrainerError where the disk is full, or read-only, or what else keeps a file from being written."""
    try:
        yield
    except OSError as error:
        raise TrainerError(f"cannot write {path}: {error.strerror}") from error


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that it is either whole or as it was before."""
    partial = path.with_name(f".{path.name}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
