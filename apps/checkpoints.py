"""What a job has made so far, kept beside its result, so that a killed one goes on where it stopped.

    .out.mp4.vmfm-resume/
        job.json          what is made of what; where any of it is not as it was, the work starts anew
        000000/           a segment: there whole, or not at all
            segment.json  how many frames, and the first and the last of them
            memory.npz    what the frame after it leans on; of the last segment alone
            out.mp4, alpha.mkv, deviation/ ...

A segment holds SEGMENT_FRAMES frames, so that every run cuts at the same ones and codecs start anew there; a result is the
same whether or not it was interrupted.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from vmfm.apps.media.errors import write_errors
from vmfm.apps.media.frames import Mark

SEGMENT_FRAMES = 250  # as many as codecs put between two key frames anyway
_JOB, _SEGMENT, _MEMORY, _UNFINISHED = "job.json", "segment.json", "memory.npz", ".unfinished"


@dataclass(frozen=True)
class Segment:
    """A part that is done. first_pts: of its first frame. last: its last frame."""

    folder: Path
    frames: int
    first_pts: int
    last: Mark


class Checkpoints:
    """The folder of one job. anew: why what an earlier run left there is of no use; empty where it is or nothing was."""

    def __init__(self, folder: Path, making: Mapping[str, Any]) -> None:
        """making: all that the result depends on, as JSON values by names for people. Raises WriteError."""
        self.folder = folder
        wanted: dict[str, Any] = json.loads(json.dumps(making))
        with write_errors(folder):
            self.anew = self._judge(wanted)
            if self.anew:
                self.clear()
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(f"[0-9]*{_UNFINISHED}"):
                shutil.rmtree(left)
            _write_json(folder / _JOB, wanted)
        self.segments = self._find()

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

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _judge(self, making: dict[str, Any]) -> str:
        if not self.folder.exists():
            return ""
        try:
            before = json.loads((self.folder / _JOB).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return "what was done before cannot be read"
        changed = [name for name in {**before, **making} if before.get(name) != making.get(name)]
        return f"other than before: {', '.join(changed)}" if changed else ""

    def _find(self) -> list[Segment]:
        folders = sorted(path.parent for path in self.folder.glob(f"*/{_SEGMENT}"))
        return [_read_segment(folder) for folder in folders]


@dataclass
class Draft:
    """A segment in the making."""

    folder: Path

    def finish(self, frames: int, first_pts: int, last: Mark, memory: Mapping[str, np.ndarray]) -> None:
        """To be called when all its files are closed."""
        np.savez(self.folder / _MEMORY, **dict(memory))  # type: ignore[arg-type]
        _write_json(self.folder / _SEGMENT, {"frames": frames, "first_pts": first_pts, "last": asdict(last)})


def _read_segment(folder: Path) -> Segment:
    told = json.loads((folder / _SEGMENT).read_text(encoding="utf-8"))
    return Segment(folder, told["frames"], told["first_pts"], Mark(**told["last"]))


def _write_json(path: Path, value: object) -> None:
    unfinished = path.with_name(path.name + _UNFINISHED)
    unfinished.write_text(json.dumps(value, indent=1), encoding="utf-8")
    os.replace(unfinished, path)
