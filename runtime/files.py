"""Files that are whole or not there, and where those lie that can be made again."""

import os
import sys
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Where VMFM keeps what can be made again: $VMFM_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("VMFM_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "vmfm" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmfm"


def write_whole(file: Path, content: bytes) -> None:
    """Writes a file that appears under its name only when it is whole, and its folder where that is missing.

    Raises OSError.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(scratch, 0o644)  # root may build what others run
        os.replace(scratch, file)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
