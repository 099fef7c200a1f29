"""Which codecs the FFmpeg inside PyAV has."""

import av


def has_codec(name: str, mode: str) -> bool:
    """Whether a codec is there to read ("r") or to write ("w")."""
    try:
        av.Codec(name, mode)  # type: ignore[arg-type]
    except (av.FFmpegError, ValueError):
        return False
    return True


def version() -> str:
    """For people: "PyAV 18.1.0"."""
    return f"PyAV {av.__version__}"
