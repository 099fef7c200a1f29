"""What a job has made so far, kept beside its result, so that a killed one goes on where it stopped.

    .out.mp4.vmfm-resume/
        lock              held by the process that is at work on it
        job.json          what is made of what, where any of it is not as it was, the work starts anew; and which process makes it
        000000/           a segment: there whole, or not at all
            segment.json  how many frames, the first and the last of them, the sha256 of every file, what was broken in the source
            memory.npz    what the frame after it leans on; of the last segment alone
            out.mp4, alpha.mkv, deviation/ ...

A segment holds SEGMENT_FRAMES frames, so that every run cuts at the same ones and codecs start anew there; a result is the
same whether or not it was interrupted. What a power cut or a full disk has damaged is noticed, and made anew.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout
from vmfm.apps.media.atomic import remove
from vmfm.apps.media.errors import WriteError, write_errors
from vmfm.apps.media.frames import Mark

SEGMENT_FRAMES = 250  # as many as codecs put between two key frames anyway
_LOCK, _JOB, _SEGMENT, _MEMORY, _UNFINISHED = "lock", "job.json", "segment.json", "memory.npz", ".unfinished"


@dataclass(frozen=True)
class Segment:
    """A part that is done. first_pts: of its first frame. last: its last frame. damage: found in the source so far."""

    folder: Path
    frames: int
    first_pts: int
    last: Mark
    damage: str


class Checkpoints:
    """The folder of one job, for `with`. anew: why what an earlier run left there is of no use; empty where it is or nothing was.
    left_by: the process of that run, None where there was none.
    """

    def __init__(self, folder: Path, making: Mapping[str, Any]) -> None:
        """making: all that the result depends on, as JSON values by names for people.

        Raises WriteError, also where another process is at work on the same.
        """
        self.folder = folder
        self._lock = FileLock(folder / _LOCK)
        wanted: dict[str, Any] = json.loads(json.dumps(making))
        self.segments: list[Segment] = []
        self.left_by: int | None = None
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
            try:
                self.anew = self._judge(wanted)
                if self.anew:
                    self.segments = []
                for left in self._files() if self.anew else folder.glob(f"[0-9]*{_UNFINISHED}"):
                    remove(left)
                _write_json(folder / _JOB, {"process": os.getpid(), "made of": wanted})
            except BaseException:
                self._lock.release()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._lock.release()

    @property
    def frames(self) -> int:
        """How many are done."""
        return sum(segment.frames for segment in self.segments)

    def memory(self) -> dict[str, np.ndarray]:
        """What the frame after the last segment leans on; there is one at least."""
        with np.load(self.segments[-1].folder / _MEMORY) as arrays:
            return dict(arrays)

    @contextmanager
    def next_segment(self) -> Iterator["Draft"]:
        """A folder for the files of the next segment; it counts once the block has ended well and the draft is finished."""
        folder = self.folder / f"{len(self.segments):06d}"
        unfinished = folder.with_name(folder.name + _UNFINISHED)
        with write_errors(folder):
            unfinished.mkdir()
            draft = Draft(unfinished)
            yield draft
            os.replace(unfinished, folder)
            for older in self.segments[-1:]:
                (older.folder / _MEMORY).unlink()
        self.segments.append(_read_segment(folder))

    @property
    def damage(self) -> str:
        """What was found broken in the source up to the last segment; empty where nothing was."""
        return self.segments[-1].damage if self.segments else ""

    def clear(self) -> None:
        """All is done: nothing is left of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)  # on Windows, its lock goes only now

    def _acquire(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise WriteError(f"another run is at work on {self.folder}: let it end, or end it") from error
        except NotImplementedError:  # a network drive without locks
            pass

    def _files(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name != _LOCK]

    def _judge(self, making: dict[str, Any]) -> str:
        if not self._files():
            return ""
        try:
            told = json.loads((self.folder / _JOB).read_text(encoding="utf-8"))
            self.left_by, before = int(told["process"]), dict(told["made of"])
        except (OSError, ValueError, KeyError, TypeError):
            return "what was done before cannot be read"
        changed = [name for name in {**before, **making} if before.get(name) != making.get(name)]
        if changed:
            return f"other than before: {', '.join(changed)}"
        try:
            self.segments = self._find()
        except (OSError, ValueError, KeyError, TypeError):
            return "what was done before is damaged"
        return ""

    def _find(self) -> list[Segment]:
        """Raises something of many kinds where one of them is not what it was."""
        folders = sorted(self.folder.glob("[0-9]" * 6))
        segments = [_read_segment(self.folder / f"{number:06d}") for number in range(len(folders))]
        for segment in segments:
            _verify(segment.folder, with_memory=segment is segments[-1])
        return segments


@dataclass
class Draft:
    """A segment in the making."""

    folder: Path

    def finish(self, frames: int, first_pts: int, last: Mark, memory: Mapping[str, np.ndarray], damage: str) -> None:
        """To be called when all its files are closed."""
        np.savez(self.folder / _MEMORY, **dict(memory))  # type: ignore[arg-type]
        told = {"frames": frames, "first_pts": first_pts, "last": asdict(last), "damage": damage}
        told["sha256"] = _digests(self.folder)
        if hasattr(os, "sync"):  # so that a power cut leaves a segment whole, or none
            os.sync()
        _write_json(self.folder / _SEGMENT, told)


def _read_segment(folder: Path) -> Segment:
    told = json.loads((folder / _SEGMENT).read_text(encoding="utf-8"))
    return Segment(folder, told["frames"], told["first_pts"], Mark(**told["last"]), told["damage"])


def _verify(folder: Path, *, with_memory: bool) -> None:
    told = json.loads((folder / _SEGMENT).read_text(encoding="utf-8"))["sha256"]
    found = _digests(folder)
    if not with_memory:
        told.pop(_MEMORY)
        found.pop(_MEMORY, None)
    if told != found:
        raise ValueError(f"{folder} is damaged")


def _digests(folder: Path) -> dict[str, str]:
    """sha256 by name of all files of a segment but the one that tells them."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != _SEGMENT:
            with path.open("rb") as file:
                digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _write_json(path: Path, value: object) -> None:
    unfinished = path.with_name(path.name + _UNFINISHED)
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
