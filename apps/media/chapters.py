"""The chapters of a film: named spans of its time."""

from fractions import Fraction

import av
from vmfm.apps.media.container import start_of

_UNITS = 1000  # of a second, in which every kind of file can tell


def copy_chapters(
    source: "av.container.InputContainer",
    target: "av.container.OutputContainer",
    begin: Fraction,
    end: Fraction | None,
) -> None:
    """As far as they lie between `begin` and `end`, in seconds from where the file begins; there begins the result."""
    kept = []
    for chapter in source.chapters():
        first, last = (chapter[edge] * chapter["time_base"] - start_of(source) for edge in ("start", "end"))
        first, last = max(first, begin), last if end is None else min(last, end)
        if first < last:
            edges = {"start": round((first - begin) * _UNITS), "end": round((last - begin) * _UNITS)}
            kept.append({**chapter, **edges, "time_base": Fraction(1, _UNITS)})
    if kept:
        target.set_chapters(kept)


def tells_chapters(stream: "av.stream.Stream", container: "av.container.InputContainer") -> bool:
    """Whether this track of text is how MP4 and MOV store the names of chapters, and no subtitles."""
    chapters = container.chapters()
    return bool(chapters) and stream.codec_tag == "text" and stream.frames == len(chapters)
