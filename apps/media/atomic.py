"""Files that appear under their final name complete, or not at all."""

import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LONG = 48  # characters, of up to four bytes each


def beside(path: Path, ending: str) -> Path:
    """A hidden name next to `path`: that without its suffix, and the ending.

    Absolute, because libav takes `concat:x` for an address. Of a long name, which could not be any longer, the beginning
    stays, and what tells it from others.
    """
    stem = path.stem if len(path.stem) < _LONG else f"{path.stem[:_LONG]}~{zlib.crc32(os.fsencode(path.stem)):08x}"
    return path.absolute().with_name(f".{stem}{ending}")


def _partial(path: Path, process: int | None = None) -> Path:
    # The suffix stays, because libav and OpenCV choose the format by it.
    return beside(path, f".partial-{process or os.getpid()}{path.suffix}")


def _partial_folder(folder: Path, process: int | None = None) -> Path:
    return _partial(folder / "frames" if folder.is_dir() else folder, process)


def remove(path: Path) -> None:
    """A file, or a folder with all that can be removed of it; nothing where there is none."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sweep(path: Path, process: int) -> None:
    """Remove what a process that was killed has left of `path`."""
    for partial in {_partial(path, process), _partial_folder(path, process)}:
        remove(partial)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling to write to; it becomes `path` when the block ends well and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def filling(folder: Path, pattern: str | None = None, old: Iterable[Path] = ()) -> Iterator[Path]:
    """A temporary folder; it becomes `folder`, or its files move into that, when the block ends well, and vanishes when not.

    old: files in `folder` that go unless a new one replaces them; others stay. The temporary one lies in it where it is
    there, since it may be a disk of its own, and where a pattern tells what is filled in, because several may fill one
    folder; else beside it.
    """
    partial = _partial(folder / pattern) if pattern else _partial_folder(folder)
    partial.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(partial, ignore_errors=True)  # of a process of the same number, as in containers
    partial.mkdir()
    try:
        yield partial
        if not folder.exists():
            os.replace(partial, folder)
            return
        new = {folder / file.name: file for file in partial.iterdir()}
        for target, file in new.items():
            os.replace(file, target)
        for file in set(old) - new.keys():
            file.unlink(missing_ok=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
