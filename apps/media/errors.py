"""What goes wrong with files, told from the user's side: the input or the output."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path

import av
from vmfm.runtime.errors import MediaError


class ReadError(MediaError):
    """An input is missing, of an unknown kind, damaged or empty."""


def check_is_file(path: Path) -> None:
    """Raises ReadError for what is missing, and for what would be waited for in vain: folders, pipes, devices."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError as error:
        raise ReadError(f"{path} does not exist") from error
    except OSError as error:
        raise ReadError(f"cannot read {path}: {error.strerror}") from error
    if stat.S_ISDIR(kind):
        raise ReadError(f"{path} is a folder, where one video or image was wanted")
    if not stat.S_ISREG(kind):
        raise ReadError(f"{path} is neither a file nor a folder")


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
