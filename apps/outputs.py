"""The results of a job: what each shows, how it is stored, and who writes it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from vmfm.apps.jobs import Job
from vmfm.apps.media.codecs import working
from vmfm.apps.media.encodings import Content, Encoding, Storing, choose_encoding
from vmfm.apps.media.frames import MediaInfo
from vmfm.apps.media.kinds import DEEP_IMAGE_SUFFIXES, WRITABLE_VIDEO_SUFFIXES, is_image
from vmfm.apps.media.writer import (
    Joiner,
    Writer,
    check_tracks,
    open_joiner_into,
    open_part,
    open_writer_into,
    reserve,
)
from vmfm.apps.painting import Paint, Samples, painter
from vmfm.runtime import Result


@dataclass(frozen=True)
class Output:
    """One result. name: which of the job's. encoding: of a video. note: for people, what encodes it; mostly empty."""

    name: str
    path: Path
    info: MediaInfo
    paint: Paint
    encoding: Encoding | None
    tracks_from: Path | None
    note: str

    def reserve(self) -> AbstractContextManager[Path]:
        return reserve(self.path, self.info)

    def open(self, partial: Path, *, sound: bool) -> AbstractContextManager[Writer]:
        return open_writer_into(partial, self.path, self.info, self.encoding, tracks_from=self.tracks_from, sound=sound)

    def join(self, partial: Path, *, sound: bool) -> AbstractContextManager[Joiner]:
        return open_joiner_into(partial, self.path, self.info, tracks_from=self.tracks_from, sound=sound)

    def check(self, *, sound: bool) -> None:
        """Raises WriteError now for what join() would complain about when all work is done."""
        if self.encoding is not None:
            check_tracks(self.path, self.info, self.tracks_from, sound=sound)

    def part(self, folder: Path) -> Path:
        """Where in the folder of a segment its part of this result is."""
        return folder / f"{self.name}{self.path.suffix}" if self.encoding else folder / self.name

    def open_part(self, folder: Path, starts_at: int) -> AbstractContextManager[Writer]:
        return open_part(self.part(folder), self.path, self.info, self.encoding, starts_at)


def plan_outputs(job: Job, info: MediaInfo, storing: Storing, *, transparent: bool) -> list[Output]:
    """In the order of job.targets. Raises WriteError where a name and what is asked for do not go together."""
    outputs = []

    def add(name: str, path: Path, result: Result, content: Content) -> None:
        encoding, note, samples = None, "", _image_samples(path, storing)
        if path.suffix.lower() in WRITABLE_VIDEO_SUFFIXES and info.is_video:
            encoding, note = working(choose_encoding(path.suffix, content, storing), info.width, info.height)
            samples = "16 bits" if encoding.deep and content != "picture" else "8 bits"
        paint = painter(result, content, samples, premultiplied=storing.premultiplied)
        source = job.source if job.source.is_file() and name == "out" else None
        outputs.append(Output(name, path, info, paint, encoding, source, note))

    if job.out is not None:
        add("out", job.out, "alpha" if transparent else "picture", "cut-out" if transparent else "picture")
    if job.alpha is not None:
        add("alpha", job.alpha, "alpha", "matte")
    if job.deviation is not None:
        add("deviation", job.deviation, "deviation", "matte")
    return outputs


def _image_samples(path: Path, storing: Storing) -> Samples:
    """Of one image, numbered ones, or a folder of PNGs."""
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return "light"
    return "16 bits" if storing.depth == 16 and (suffix in DEEP_IMAGE_SUFFIXES or not is_image(path)) else "8 bits"
