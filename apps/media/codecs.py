"""Which codecs the FFmpeg inside PyAV has, and which of them work here."""

from dataclasses import replace
from fractions import Fraction

import av
from vmfm.apps.media.encodings import Encoding
from vmfm.apps.media.errors import WriteError


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


def working(encoding: Encoding, width: int, height: int) -> tuple[Encoding, str]:
    """The first of an encoding's alternatives that works here for pictures of this size, or else the encoding itself.

    The text, for people, tells which one it is where there were alternatives; else it is empty. Raises WriteError where
    FFmpeg was built without it.
    """
    failures = []
    for candidate in encoding.alternatives:
        if not has_codec(candidate.encoder, "w"):
            continue
        try:
            _try(candidate, width, height)
        except (OSError, av.FFmpegError, ValueError) as error:
            failures.append(f"{candidate.encoder}: {getattr(error, 'strerror', None) or error}")
        else:
            return candidate, f"encoded by {candidate.encoder}"
    if not has_codec(encoding.encoder, "w"):
        raise WriteError(f"the FFmpeg of {version()} has no {encoding.encoder}: choose another --codec or name")
    note = ""
    if encoding.alternatives:
        note = f"encoded on the CPU by {encoding.encoder} ({'; '.join(failures) or 'no GPU encoder is here'})"
    return replace(encoding, alternatives=()), note


def _try(encoding: Encoding, width: int, height: int) -> None:
    encoder = av.CodecContext.create(encoding.encoder, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width + width % 2, height + height % 2, encoding.pixel_format
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = dict(encoding.options)
    frame = av.VideoFrame(encoder.width, encoder.height, encoding.pixel_format)
    frame.pts = 0
    encoder.encode(frame)
    encoder.encode(None)
