"""Numbered pictures in place of a video: frame_%04d.png, or all pictures of a folder."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from vmfm.apps.media.cut import WHOLE, Cut
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.frames import Frame, Mark, MediaInfo
from vmfm.apps.media.images import read_image
from vmfm.apps.media.kinds import NUMBER, is_image, numbered


def stem(sequence: Path) -> str:
    """What to call results of a sequence: walk_%04d.png gives walk, shots/%04d.png and shots/ give shots."""
    name = NUMBER.sub("", sequence.stem).rstrip("._- ") if sequence.suffix else ""
    return name or (sequence.parent if sequence.suffix else sequence).resolve().name


def pictures_of(sequence: Path) -> dict[int, Path]:
    """The files of a pattern by their numbers, or the pictures of a folder by their place in it, in order.

    Raises ReadError where there is none.
    """
    if sequence.is_dir():
        found = sorted((p for p in sequence.iterdir() if is_image(p) and p.is_file() and p.name[0] != "."), key=_order)
        files = dict(enumerate(found))
    else:
        files = files_of(sequence)
    if not files:
        raise ReadError(f"{sequence} holds no picture")
    return dict(sorted(files.items()))


def files_of(pattern: Path) -> dict[int, Path]:
    """The files there are of a pattern, by their numbers, in no order."""
    before, after = (re.escape(part) for part in (NUMBER.split(pattern.name)[0], NUMBER.split(pattern.name)[-1]))
    name, folder = re.compile(f"{before}([0-9]+){after}"), pattern.parent
    matches = ((name.fullmatch(p.name), p) for p in folder.iterdir()) if folder.is_dir() else ()
    return {int(match[1]): p for match, p in matches if match and numbered(pattern, int(match[1])).name == p.name}


def _order(path: Path) -> list[tuple[int, str]]:
    """9 comes before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


class SequenceReader:
    """Pictures of one size, `fps` of them a second. A frame's index is its number in a pattern, its place in a folder."""

    note = ""

    def __init__(self, sequence: Path, *, fps: Fraction, cut: Cut = WHOLE, salvage: bool = False) -> None:
        self.path = sequence
        self.damage = ""
        self._salvage = salvage
        files = pictures_of(sequence)
        first = next(iter(files))
        in_cut = (
            n for n in files if (n - first) / fps >= cut.first and (cut.end is None or (n - first) / fps < cut.end)
        )
        self._files = {number: files[number] for number in in_cut}
        if not self._files:
            raise ReadError(f"{sequence} has no picture from {float(cut.start):g} s on")
        self._first = next(iter(self._files))
        image = read_image(self._files[self._first])
        self.info = MediaInfo(
            width=image.shape[1],
            height=image.shape[0],
            frames=len(self._files),
            fps=fps,
            time_base=1 / fps,
            is_video=True,
            skipped=(self._first - first) / fps,
        )

    def __iter__(self) -> Iterator[Frame]:
        return self._from(self._first)

    def frames_from(self, mark: Mark) -> Iterator[Frame]:
        frames = self._from(mark.index)
        yield mark.check(next(frames, None), self.path)
        yield from frames

    def _from(self, start: int) -> Iterator[Frame]:
        due = start
        for number in self._files:
            if number < start:
                continue
            if number > due:
                self._found_damage(f"number {due} is missing from {self.path}")
            due = number + 1
            try:
                image = read_image(self._files[number])
                if image.shape[:2] != (self.info.height, self.info.width):
                    size = f"{image.shape[1]}x{image.shape[0]}"
                    raise ReadError(
                        f"{self._files[number]} is {size}, the first is {self.info.width}x{self.info.height}"
                    )
            except ReadError as error:
                self._found_damage(str(error))
                continue
            shown = number - self._first
            yield Frame(image, number, shown, 1, float(shown / self.info.fps))

    def _found_damage(self, what: str) -> None:
        self.damage = self.damage or what
        if not self._salvage:
            raise ReadError(f"{what}; --salvage goes on without it")
