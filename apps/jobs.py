"""From what was typed to a list of jobs: which source is written where. All names are checked before any work."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmfm.apps.media.atomic import beside
from vmfm.apps.media.errors import ReadError, WriteError
from vmfm.apps.media.kinds import (
    TRANSPARENT_IMAGE_SUFFIXES,
    TRANSPARENT_VIDEO_SUFFIXES,
    WRITABLE_IMAGE_SUFFIXES,
    WRITABLE_VIDEO_SUFFIXES,
    is_image,
    is_pattern,
    is_sequence,
    is_still,
    is_video,
)
from vmfm.apps.media.sequences import files_of, pictures_of, stem
from vmfm.runtime import MediaError


@dataclass(frozen=True)
class Targets:
    """What the user asked for. A text that ends in a slash means a folder, even one that does not exist yet."""

    out: str | None = None
    alpha: str | None = None
    deviation: str | None = None
    transparent: bool = False  # no background: `out` keeps the foreground and its alpha
    overwrite: bool = False
    resume: bool = False  # results that are there are done


@dataclass(frozen=True)
class Job:
    """One source and where its results go: a file, a pattern of files, or a folder of numbered PNGs; None where it is not
    asked for. The source is a file, a pattern like frame_%04d.png, or a folder of pictures that make one video."""

    source: Path
    out: Path | None
    alpha: Path | None
    deviation: Path | None

    @property
    def targets(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.out, self.alpha, self.deviation) if path is not None)

    @property
    def checkpoints(self) -> Path:
        """The hidden folder of what is done so far, beside the first target, or in that where it was a folder already."""
        first = self.targets[0]
        outside = beside(first.with_name(first.name.replace("%", "#")), f"{first.suffix}.vmfm-resume")
        return first / ".vmfm-resume" if os.path.isdir(first) and not os.path.exists(outside) else outside

    @property
    def is_there(self) -> bool:
        """Whether all its results are, from an earlier run."""
        return all(map(_is_taken, self.targets)) and not self.was_begun

    @property
    def was_begun(self) -> bool:
        """Whether an earlier run left checkpoints."""
        return os.path.exists(self.checkpoints)  # false for names that the system refuses, too


def plan_jobs(inputs: Iterable[Path], targets: Targets, *, sequence: bool = False) -> list[Job]:
    """sequence: folders are sequences of images, each of which makes one video.

    Raises ReadError for a source, WriteError for a target that cannot be what is wanted.
    """
    inputs = list(inputs)
    with _refusals_as(ReadError):
        sources = [source for given in inputs for source in _sources(given, sequence)]
        several = len(inputs) > 1 or any(given.is_dir() and not sequence for given in inputs)
    with _refusals_as(WriteError):
        jobs = [
            Job(
                source,
                None if targets.out is None else _out_path(targets.out, source, several, targets.transparent),
                None if targets.alpha is None else _matte_path(targets.alpha, source, several),
                None if targets.deviation is None else _matte_path(targets.deviation, source, several),
            )
            for source in sources
        ]
        _check(jobs, targets)
    return jobs


@contextmanager
def _refusals_as(kind: type[MediaError]) -> Iterator[None]:
    """Tells what the system does not let be looked at: names too long for it, folders of others, links that go round."""
    try:
        yield
    except OSError as error:
        raise kind(f"cannot look at {error.filename}: {error.strerror}") from error
    except RuntimeError as error:  # of Path.resolve()
        raise kind(str(error)) from error


def _sources(given: Path, sequence: bool) -> list[Path]:
    if is_pattern(given) or (sequence and given.is_dir()):
        pictures_of(given)
        return [given]
    if not given.exists():
        raise ReadError(f"{given} does not exist")
    if given.is_file():
        return [given]
    if not given.is_dir():
        raise ReadError(f"{given} is neither a file nor a folder")
    found = sorted(p for p in given.iterdir() if p.is_file() and (is_image(p) or is_video(p)) and p.name[0] != ".")
    if not found:
        raise ReadError(f"the folder {given} holds no video and no image")
    return found


def _stem(source: Path) -> str:
    return stem(source) if is_sequence(source) else source.stem


def _means_folder(text: str, several: bool) -> bool:
    return several or text.endswith(("/", "\\")) or Path(text).is_dir()


def _out_path(text: str, source: Path, several: bool, transparent: bool) -> Path:
    images = TRANSPARENT_IMAGE_SUFFIXES if transparent else WRITABLE_IMAGE_SUFFIXES
    if is_still(source):
        kind, writable, fallback = "image", images, ".png"
    else:
        kind, writable = "video", TRANSPARENT_VIDEO_SUFFIXES if transparent else WRITABLE_VIDEO_SUFFIXES
        fallback = ".mov" if transparent else ".mp4"
    if _means_folder(text, several):
        kept = writable - {".mkv"} if transparent else writable  # that would be lossless, and large
        return Path(text) / f"{_stem(source)}{source.suffix if source.suffix.lower() in kept else fallback}"
    path = Path(text)
    if kind == "video" and is_pattern(path) and path.suffix.lower() in images:
        return path
    if path.suffix.lower() not in writable:
        why = " with transparency (there is no --background)" if transparent else ""
        known = ", ".join(sorted(writable)) + (", or as numbered images: NAME_%04d.png" if kind == "video" else "")
        raise WriteError(f"{path} cannot hold the {kind} {source.name}{why}: name it with one of {known}")
    return path


def _matte_path(text: str, source: Path, several: bool) -> Path:
    if is_still(source):
        if not _means_folder(text, several) and Path(text).suffix.lower() in WRITABLE_IMAGE_SUFFIXES:
            return Path(text)
        return Path(text) / f"{_stem(source)}.png"
    suffix = Path(text).suffix.lower()
    if not _means_folder(text, several) and suffix:
        if suffix not in WRITABLE_VIDEO_SUFFIXES and not is_pattern(Path(text)):
            known = ", ".join(sorted(WRITABLE_VIDEO_SUFFIXES))
            raise WriteError(
                f"{text} cannot hold the mattes of a video: name a folder (DIR/), numbered images (NAME_%04d.png) or a "
                f"file with one of {known}"
            )
        return Path(text)
    return Path(text) / _stem(source) if several else Path(text)


def _check(jobs: list[Job], targets: Targets) -> None:
    sources = {job.source.resolve() for job in jobs}
    taken: dict[Path, Path] = {}
    for job in jobs:
        goes_on = targets.resume and (job.was_begun or job.is_there)
        for target in job.targets:
            resolved = target.resolve()
            if resolved in sources:
                raise WriteError(f"{target} is an input too: choose another name for the result")
            if resolved in taken:
                raise WriteError(
                    f"{target} would be written twice, for {taken[resolved]} and for {job.source}: "
                    "give the inputs different names, or the results different folders"
                )
            taken[resolved] = job.source
            if target.is_dir() and (target.suffix or is_still(job.source)):
                raise WriteError(f"{target} is a folder, where a file was to be written")
            if not (targets.overwrite or goes_on) and _is_taken(target):
                raise WriteError(f"{target} exists: choose another name, or pass --overwrite")
            if blocked := next((p for p in target.parents if p.exists() and not p.is_dir()), None):
                raise WriteError(f"{target} cannot be made, because {blocked} is a file")


def _is_taken(target: Path) -> bool:
    if is_pattern(target):
        return bool(files_of(target))
    return target.exists() and (not target.is_dir() or any(file.name[0] != "." for file in target.iterdir()))
