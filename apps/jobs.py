"""From what was typed to a list of jobs: which source is written where. All names are checked before any work."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vmfm.apps.media.errors import ReadError, WriteError
from vmfm.apps.media.kinds import (
    TRANSPARENT_IMAGE_SUFFIXES,
    TRANSPARENT_VIDEO_SUFFIXES,
    WRITABLE_IMAGE_SUFFIXES,
    WRITABLE_VIDEO_SUFFIXES,
    is_image,
    is_video,
)


@dataclass(frozen=True)
class Targets:
    """What the user asked for. A text that ends in a slash means a folder, even one that does not exist yet."""

    out: str | None = None
    alpha: str | None = None
    deviation: str | None = None
    transparent: bool = False  # no background: `out` keeps the foreground and its alpha
    overwrite: bool = False


@dataclass(frozen=True)
class Job:
    """One source and where its results go: a file, or a folder of numbered PNGs; None where it is not asked for."""

    source: Path
    out: Path | None
    alpha: Path | None
    deviation: Path | None

    @property
    def targets(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.out, self.alpha, self.deviation) if path is not None)


def plan_jobs(inputs: Iterable[Path], targets: Targets) -> list[Job]:
    """Raises ReadError for a source, WriteError for a target that cannot be what is wanted."""
    inputs = list(inputs)
    sources = [source for given in inputs for source in _sources(given)]
    several = len(inputs) > 1 or any(given.is_dir() for given in inputs)
    jobs = [
        Job(
            source,
            None if targets.out is None else _out_path(targets.out, source, several, targets.transparent),
            None if targets.alpha is None else _matte_path(targets.alpha, source, several),
            None if targets.deviation is None else _matte_path(targets.deviation, source, several),
        )
        for source in sources
    ]
    _check(jobs, targets.overwrite)
    return jobs


def _sources(given: Path) -> list[Path]:
    if not given.exists():
        raise ReadError(f"{given} does not exist")
    if not given.is_dir():
        return [given]
    found = sorted(p for p in given.iterdir() if p.is_file() and (is_image(p) or is_video(p)) and p.name[0] != ".")
    if not found:
        raise ReadError(f"the folder {given} holds no video and no image")
    return found


def _means_folder(text: str, several: bool) -> bool:
    return several or text.endswith(("/", "\\")) or Path(text).is_dir()


def _out_path(text: str, source: Path, several: bool, transparent: bool) -> Path:
    if is_image(source):
        kind, writable = "image", TRANSPARENT_IMAGE_SUFFIXES if transparent else WRITABLE_IMAGE_SUFFIXES
        fallback = ".png"
    else:
        kind, writable = "video", TRANSPARENT_VIDEO_SUFFIXES if transparent else WRITABLE_VIDEO_SUFFIXES
        fallback = ".mov" if transparent else ".mp4"
    if _means_folder(text, several):
        suffix = source.suffix if source.suffix.lower() in writable else fallback
        return Path(text) / f"{source.stem}{suffix}"
    path = Path(text)
    if path.suffix.lower() not in writable:
        why = " with transparency (there is no --background)" if transparent else ""
        known = ", ".join(sorted(writable))
        raise WriteError(f"{path} cannot hold the {kind} {source.name}{why}: name it with one of {known}")
    return path


def _matte_path(text: str, source: Path, several: bool) -> Path:
    if is_image(source):
        if not _means_folder(text, several) and Path(text).suffix.lower() in WRITABLE_IMAGE_SUFFIXES:
            return Path(text)
        return Path(text) / f"{source.stem}.png"
    suffix = Path(text).suffix.lower()
    if not _means_folder(text, several) and suffix:
        if suffix not in WRITABLE_VIDEO_SUFFIXES:
            known = ", ".join(sorted(WRITABLE_VIDEO_SUFFIXES))
            raise WriteError(
                f"{text} cannot hold the mattes of a video: name a folder (DIR/) or a file with one of {known}"
            )
        return Path(text)
    return Path(text) / source.stem if several else Path(text)


def _check(jobs: list[Job], overwrite: bool) -> None:
    sources = {job.source.resolve() for job in jobs}
    taken: dict[Path, Path] = {}
    for job in jobs:
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
            if target.is_dir() and (target.suffix or is_image(job.source)):
                raise WriteError(f"{target} is a folder, where a file was to be written")
            if not overwrite and target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise WriteError(f"{target} exists: choose another name, or pass --overwrite")
            if blocked := next((p for p in target.parents if p.exists() and not p.is_dir()), None):
                raise WriteError(f"{target} cannot be made, because {blocked} is a file")
