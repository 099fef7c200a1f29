"""VMFM beside the CPU peers that a user can install with pip or npm: same frames, same run, taking turns.

    python benchmarks/peers/compare.py speed  [--size 1280x720] [--json OUT]
    python benchmarks/peers/compare.py alphas PEER PICTURES ALPHAS     then: vmfm evaluate ALPHAS DATA

Speed is the time from a frame in memory to its alpha in memory at the frame's size, with every contender's defaults, and VMFM at each detail.
"""

import itertools
import json as json_format
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from contenders import PEERS, Contender, ContenderError, Running, vmfm
from rich.console import Console
from rich.table import Table
from vmfm.apps.media.images import write_image
from vmfm.apps.media.kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from vmfm.apps.media.reader import open_reader
from vmfm.apps.sizes import parse_size
from vmfm.runtime.bundle import DETAILS

DEMO = Path(__file__).parents[2] / "apps" / "demo" / "woman_with_mug.mp4"
FRAMES_PER_TURN = 8  # short turns: what else the computer does meanwhile slows everybody alike
WARM_UP_FRAMES = 4

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__.partition("\n")[0] if __doc__ else None)


@app.command()
def speed(
    bundle: Annotated[str, typer.Option(help="VMFM's bundle: lite, full or a folder.")] = "lite",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the frames.")] = "1280x720",
    frames: Annotated[int, typer.Option(min=1, help="How many frames to time.")] = 96,
    input: Annotated[Path, typer.Option(help="The video they come from.", exists=True)] = DEMO,
    json: Annotated[Path | None, typer.Option(help="Also write every number here.")] = None,
) -> None:
    """Time every contender on the same frames."""
    height, width = parse_size(size)
    times = measure((*(vmfm(bundle, detail) for detail in DETAILS), *PEERS), _read(input, width, height), frames)
    rows = summarise(times)
    table = Table("contender", "ms p50", "ms p95", "fps", "time against the first", title=f"{size}, {frames} frames")
    for row in rows:
        table.add_row(row["name"], *(f"{row[key]:.1f}" for key in ("p50_ms", "p95_ms", "fps")), f"{row['ratio']:.2f}x")
    Console().print(table)
    if json is not None:
        report = {"width": width, "height": height, "frames": frames, "input": input.name, "contenders": rows}
        json.write_text(json_format.dumps(report, indent=2) + "\n", encoding="utf-8")


@app.command()
def alphas(
    peer: Annotated[str, typer.Argument(help="Part of a peer's name: stills, landscape, general, u2netp or IS-Net.")],
    pictures: Annotated[Path, typer.Argument(help="Images and videos, in folders.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Argument(help="Gets an alpha PNG per image, a folder of them per video.")],
) -> None:
    """Matte every picture under a folder, so that `vmfm evaluate` can score a peer."""
    named = [contender for contender in PEERS if peer.lower() in contender.name.lower()]
    if len(named) != 1:
        raise typer.BadParameter(f"{peer!r} names {len(named)} of: {', '.join(contender.name for contender in PEERS)}")
    Console().print(f"{save_alphas(named[0], pictures, out)} alphas are in {out}")


def measure(contenders: tuple[Contender, ...], frames: np.ndarray, count: int) -> dict[str, list[float]]:
    """Milliseconds per frame by contender, who take turns on the frames, uint8 (N, H, W, 3).

    The first, VMFM at its fastest, has to run; a peer that cannot be installed or started here is left out, which stderr is told.
    """
    times: dict[str, list[float]] = {}
    running: list[Running] = []
    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "frames.npy"
        np.save(file, frames)
        for contender in contenders:
            try:
                running.append(stack.enter_context(Running(contender)))
            except ContenderError as error:
                if not running:
                    raise
                print(f"left out: {error}", file=sys.stderr)
        for at_work in running:
            times[at_work.contender.name] = []
            at_work.time(file, 0, WARM_UP_FRAMES)
        for first in range(0, count, FRAMES_PER_TURN):
            for at_work in running:
                turn = min(FRAMES_PER_TURN, count - first)
                times[at_work.contender.name] += at_work.time(file, first, turn)
    return times


def summarise(times: dict[str, list[float]]) -> list[dict]:
    """A row per contender; ratio: its median time over that of the first, VMFM at its fastest."""
    reference = float(np.median(next(iter(times.values()))))
    rows = []
    for name, milliseconds in times.items():
        p50, p95 = (float(value) for value in np.percentile(milliseconds, (50, 95)))
        fps = 1000 * len(milliseconds) / sum(milliseconds)
        rows.append({"name": name, "p50_ms": p50, "p95_ms": p95, "fps": fps, "ratio": p50 / reference})
    return rows


def save_alphas(contender: Contender, pictures: Path, out: Path) -> int:
    """Writes out/SUB/NAME.png for pictures/SUB/NAME.*, and out/SUB/NAME/000000.png on for a video; says how many."""
    count = 0
    with Running(contender) as running:
        for file in sorted(pictures.rglob("*")):
            if file.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
                continue
            target = out / file.relative_to(pictures).with_suffix("")
            is_video = file.suffix.lower() in VIDEO_SUFFIXES
            with open_reader(file) as reader:
                for number, frame in enumerate(reader):
                    png = target / f"{number:06d}.png" if is_video else target.with_name(f"{target.name}.png")
                    png.parent.mkdir(parents=True, exist_ok=True)
                    write_image(png, running.alpha(frame.image))
                    count += 1
    return count


def _read(video: Path, width: int, height: int) -> np.ndarray:
    with open_reader(video) as reader:
        images = (frame.image for frame in itertools.islice(reader, 64))
        return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR) for image in images])


if __name__ == "__main__":
    try:
        app()
    except Exception as error:
        if not getattr(error, "user_facing", False):
            raise
        sys.exit(f"compare: {error}")
