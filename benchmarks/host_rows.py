"""What each row of the graph costs on a CPU, by the frame's size: milliseconds of one thread.

    python benchmarks/host_rows.py [--bundle lite] [--size 1280x720 --size 3840x2160]

CPU time, the least of some rounds, so that other work on the computer hardly counts. On the demo clip's first frames.
"""

import time
from typing import Annotated

import cv2
import numpy as np
import typer
from gpu_options import demo_frames
from rich.console import Console
from vmfm.apps.sizes import parse_size
from vmfm.runtime import Bundle, Detail
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.openvino_backend import OpenVinoBackend
from vmfm.runtime.graph import BACKGROUND, RESULTS, build_graph
from vmfm.runtime.schedule import plan
from vmfm.trainer.report import markdown_table

FRAMES = 7

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__.partition("\n")[0] if __doc__ else None)


@app.command()
def run(
    bundle: Annotated[str, typer.Option(help="A shipped bundle, or a folder.")] = "lite",
    detail: Annotated[Detail, typer.Option()] = "fine",
    size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT; the first is what others are compared to.")
    ] = None,
) -> None:
    """Measure, and print a table."""
    cv2.setNumThreads(1)
    sizes = size or ["1280x720", "3840x2160"]
    columns = [measure(Bundle.open(bundle), parse_size(text), detail) for text in sizes]
    Console(soft_wrap=True, highlight=False, markup=False).print(table(sizes, columns))


def measure(bundle: Bundle, size: tuple[int, int], detail: Detail) -> dict[str, float]:
    """By row, ms for a frame of size (H, W) and a picture of it over a background; "copy in" is the frame's way in."""
    graph = build_graph(deliver=RESULTS)
    frames = demo_frames(size, FRAMES)
    rounds: dict[str, list[float]] = {}
    with OpenVinoBackend(bundle, graph, threads=1) as backend:
        schedule = plan(graph, one_lane=True)
        backend.start(schedule)
        slot = backend.open_slot(SlotShape(size, bundle.net_size(*size, detail), bundle.patches))
        for number, frame in enumerate(frames):
            started = time.process_time()
            backend.put_frame(slot, frame, first=number == 0)
            rounds.setdefault("copy in", []).append(time.process_time() - started)
            backend.write(slot, BACKGROUND, np.ascontiguousarray(frame[::-1]))
            for step in schedule.steps:
                started = time.process_time()
                backend.run(step.lane, slot, step.node)
                backend.record(step.lane, slot, step.node.name)
                slot.events[step.node.name].wait()
                rounds.setdefault(step.node.name, []).append(time.process_time() - started)
            backend.matte(slot, schedule.last)
    return {name: 1000 * min(seconds[1:]) for name, seconds in rounds.items()}


def table(sizes: list[str], columns: list[dict[str, float]]) -> str:
    """Markdown, one line per row of the graph; the last column compares the last size to the first."""
    lines = [["ms", *sizes, "ratio"]]
    for name in (*columns[0], "all"):
        cells = [column.get(name, sum(column.values())) for column in columns]
        lines.append([name, *(f"{cell:.2f}" for cell in cells), f"{cells[-1] / cells[0]:.2f}" if cells[0] else ""])
    return markdown_table(lines)


if __name__ == "__main__":
    app()
