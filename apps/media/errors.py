"""What goes wrong with files, told from the user's side: the input or the output."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path

import av
from vmfm.runtime.errors import MediaError


class ReadError(MediaError):
    """An input is missing, of an unknown kind, damaged or empty."""


class WriteError(MediaError):
    """An output cannot be written: it exists, the disk is full, its kind cannot hold the content."""


class NoSpaceError(WriteError):
    """An output cannot be written because the disk, or the user's share of it, is full."""


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn what the system and libav raise while writing `path` into one WriteError."""
    try:
        yield
    except MediaError:
        raise
    except (OSError, av.FFmpegError) as error:
        if error.errno in (ENOSPC, EDQUOT, EFBIG):
            raise NoSpaceError(f"no space left for {path}: free some space, or choose another place for it") from error
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error
