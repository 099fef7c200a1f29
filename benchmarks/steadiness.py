"""Does the stabiliser steady the matte without making it late? Every clip twice, with it and without it.

    python benchmarks/steadiness.py --data DATA --clips DATA/real/unlabelled/clips --clips apps/demo [--renders CLIPS]

Flicker: mean |change of alpha| from frame to frame where the colour did not change. Late mask: mean |alpha - truth| around
edges that move, on clips whose true alpha is known: those with NAME_alpha.mkv beside NAME.mp4, rendered people of DATA that
are moved over photos, and what `vmfm render --clip` made.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from true_clips import TrueClip, filmed, moving_cutouts, rendered_clips
from vmfm.runtime import Detail, MattingStream
from vmfm.trainer.evaluate_sets import VIDEO_SUFFIXES, list_clips
from vmfm.trainer.report import markdown_table

SAME_COLOUR = 4  # levels of 255, in every channel, averaged over 3x3 pixels: noise and coding change no more
MOVES = 0.1  # change of true alpha that makes an edge's pixel a moving one
AROUND_PX = 2  # of such pixels

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__.partition("\n")[0] if __doc__ else None)


@dataclass
class Sum:
    """A mean in the making."""

    total: float = 0.0
    count: int = 0

    def add(self, values: np.ndarray) -> None:
        self.total += float(values.sum())
        self.count += values.size

    @property
    def mean(self) -> float | None:
        """x 1000; None of nothing."""
        return 1000 * self.total / self.count if self.count else None


@dataclass(frozen=True)
class Steadiness:
    """Of one clip, without and with the stabiliser, x 1000. late and error, the whole frame's, only with a truth."""

    name: str
    flicker: tuple[float | None, float | None]
    late: tuple[float | None, float | None]
    error: tuple[float | None, float | None]


@app.command()
def run(
    data: Annotated[Path | None, typer.Option(help="A data folder, for its rendered people and photos.")] = None,
    clips: Annotated[list[Path] | None, typer.Option(help="Folders of videos.")] = None,
    renders: Annotated[Path | None, typer.Option(help="Made by `vmfm render --clip`; wants --data.")] = None,
    bundle: Annotated[str, typer.Option(help="A shipped bundle, or a folder.")] = "lite",
    backend: Annotated[str, typer.Option()] = "auto",
    detail: Annotated[Detail, typer.Option()] = "fine",
    frames: Annotated[int, typer.Option(help="Of each clip, at most.")] = 60,
    out: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
) -> None:
    """Measure clips, and print a table."""
    found = []
    for clip in _clips(clips or [], data, renders, frames):
        found.append(measure(clip, bundle, backend, detail, frames))
        print(found[-1], flush=True)
    Console(soft_wrap=True, highlight=False, markup=False).print(table(found))
    if out is not None:
        out.write_text(table(found) + "\n", encoding="utf-8")


def measure(clip: TrueClip, bundle: str, backend: str, detail: Detail, frames: int) -> Steadiness:
    """clip.truths may be empty."""
    with (
        MattingStream(bundle, backend=backend, detail=detail, deliver=("alpha",), temporal=False) as without,
        MattingStream(bundle, backend=backend, detail=detail, deliver=("alpha",)) as steady,
    ):
        streams = (without, steady)
        mattes = ([stream.step(frame).alpha for stream in streams] for frame in clip.frames[:frames])
        return score(clip, mattes)


def score(clip: TrueClip, mattes: Iterable[list[np.ndarray]]) -> Steadiness:
    """mattes: alphas (H, W) float32 per frame, without and with the stabiliser."""
    flicker, late, error = ([Sum(), Sum()] for _ in range(3))
    for (number, before), (_, now) in pairwise(enumerate(mattes)):
        same = same_colour(*clip.frames[number : number + 2])
        truths = [truth.astype(np.float32) / 255 for truth in clip.truths[number : number + 2]]
        for which in range(2):
            flicker[which].add(np.abs(now[which] - before[which])[same])
            if truths:
                off = np.abs(now[which] - truths[1])
                late[which].add(off[moving_edges(*truths)])
                error[which].add(off)
    return Steadiness(clip.name, *((a.mean, b.mean) for a, b in (flicker, late, error)))


def same_colour(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """bool (H, W): where two frames, (H, W, 3) uint8, show the same."""
    return cv2.absdiff(cv2.blur(before, (3, 3)), cv2.blur(now, (3, 3))).max(axis=2) <= SAME_COLOUR


def moving_edges(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """bool (H, W): around pixels whose true alpha, (H, W) in [0, 1], changes."""
    moves = (np.abs(now - before) > MOVES).astype(np.uint8)
    return cv2.dilate(moves, np.ones((2 * AROUND_PX + 1,) * 2, np.uint8)) > 0


def table(found: list[Steadiness]) -> str:
    """Markdown: a line per clip, and the means over the clips."""
    titles = [f"{what}{how}" for what in ("flicker", "moving edges", "error") for how in (" off", " on", ", ratio")]
    lines = [["", *titles]]
    for clip in found:
        lines.append([clip.name, *_cells(clip.flicker), *_cells(clip.late), *_cells(clip.error)])
    means = [[_mean(getattr(clip, what)[which] for clip in found) for which in range(2)] for what in _SCORES]
    lines.append(["mean", *(cell for pair in means for cell in _cells(pair))])
    ratios = [_mean(_ratio(getattr(clip, what)) for clip in found) for what in _SCORES]
    lines.append(["mean of ratios", *(cell for ratio in ratios for cell in ("", "", _number(ratio)))])
    return markdown_table(lines)


_SCORES = ("flicker", "late", "error")


def _cells(pair: Iterable[float | None]) -> tuple[str, str, str]:
    off, on = pair
    return _number(off), _number(on), _number(_ratio((off, on)))


def _ratio(pair: tuple[float | None, float | None]) -> float | None:
    return None if pair[0] is None or pair[1] is None or not pair[0] else pair[1] / pair[0]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _clips(folders: list[Path], data: Path | None, renders: Path | None, frames: int) -> Iterator[TrueClip]:
    for folder in folders:
        videos = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in VIDEO_SUFFIXES]
        stems = {path.stem for path in videos}
        if any(f"{stem}_alpha" in stems for stem in stems):
            yield from map(filmed, list_clips(folder))
        for path in videos:
            if f"{path.stem}_alpha" not in stems and not path.stem.endswith("_alpha"):
                yield TrueClip(path.stem, list(islice(_frames(path), frames)), [])
    if data is not None:
        yield from moving_cutouts(data)
        if renders is not None:
            yield from rendered_clips(renders, data)


def _frames(path: Path) -> Iterator[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    try:
        while (read := video.read())[0]:
            yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
    finally:
        video.release()


if __name__ == "__main__":
    app()
