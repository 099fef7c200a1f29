"""How sharp are edges at 4K? The enlarged and refined matte against the nets' own, enlarged bicubically.

    vmfm render --out RENDERS --count 4 --seed 11 --views 1 --size 2160 --assets ASSETS
    python benchmarks/edges_4k.py RENDERS --data DATA

Each rendered person stands in the middle of a photo of 3840x2160, so the true alpha of every pixel is known.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from rich.console import Console
from vmfm.runtime import Bundle, Detail, MattingStream
from vmfm.runtime.preprocess import shrink
from vmfm.trainer import metrics
from vmfm.trainer.evaluate_sets import cover
from vmfm.trainer.images import read
from vmfm.trainer.report import markdown_table

SIZE = (2160, 3840)  # (H, W)
NOISE = 1.5  # levels of 255, as a camera's
EDGE = (0.01, 0.99)  # true alpha in between is an edge; the error there is counted by itself
AROUND_PX = 8  # of it

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__.partition("\n")[0] if __doc__ else None)


@app.command()
def run(
    renders: Annotated[Path, typer.Argument(help="Made by `vmfm render --size 2160`.")],
    data: Annotated[Path, typer.Option(help="A data folder, for its photos.")],
    bundle: Annotated[str, typer.Option(help="A shipped bundle, or a folder.")] = "lite",
    backend: Annotated[str, typer.Option()] = "auto",
    detail: Annotated[Detail, typer.Option()] = "fine",
    out: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
) -> None:
    """Measure every render, and print a table."""
    scores: dict[str, list[dict[str, float]]] = {}
    for frame, truth in pictures(renders, data):
        for name, alpha in mattes(frame, bundle, backend, detail):
            scores.setdefault(name, []).append(score(alpha, truth))
    if not scores:
        raise typer.BadParameter(f"{renders} holds no render")
    Console(soft_wrap=True, highlight=False, markup=False).print(table(scores))
    if out is not None:
        out.write_text(table(scores) + "\n", encoding="utf-8")


def pictures(renders: Path, data: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames, uint8 (H, W, 3) RGB of SIZE, and their alphas, uint8 (H, W)."""
    photos = sorted((data / "real" / "backgrounds").glob("*.jpg"))
    for number, file in enumerate(sorted(renders.glob("*_fg.webp"))):
        cutout = read(file, cv2.IMREAD_UNCHANGED)
        side = (SIZE[1] - SIZE[0]) // 2
        padded = cv2.resize(cutout, (SIZE[0], SIZE[0]), interpolation=cv2.INTER_AREA)
        padded = cv2.copyMakeBorder(padded, 0, 0, side, side, cv2.BORDER_CONSTANT)
        alpha = padded[..., 3:].astype(np.float32) / 255
        behind = cover(read(photos[(2 * number + 1) * len(photos) // 24 % len(photos)]), *SIZE)
        noise = np.random.default_rng(number).normal(0, NOISE, behind.shape).astype(np.float32)
        frame = alpha * padded[..., :3] + (1 - alpha) * behind + noise
        yield np.clip(np.rint(frame), 0, 255).astype(np.uint8), padded[..., 3]


def mattes(frame: np.ndarray, bundle: str, backend: str, detail: Detail) -> Iterator[tuple[str, np.ndarray]]:
    """Alphas, float32 (H, W), by what made them."""
    height, width = frame.shape[:2]
    options: dict[str, Any] = {"backend": backend, "detail": detail, "deliver": ("alpha",), "temporal": False}
    with MattingStream(bundle, patches=0, **options) as stream:
        # At their own size the nets' alpha is not enlarged at all.
        small = stream.step(shrink(frame, Bundle.open(bundle).net_size(height, width, detail))).alpha
        bicubic = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        yield "the nets' alpha, bicubic", np.clip(bicubic, 0, 1)
        yield "the nets' alpha, bilinear", cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        yield "along the frame's edges", stream.step(frame).alpha
    with MattingStream(bundle, **options) as stream:
        yield "and refined", stream.step(frame).alpha


def score(alpha: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    edge = (truth > 255 * EDGE[0]) & (truth < 255 * EDGE[1])
    around = cv2.dilate(edge.astype(np.uint8), np.ones((2 * AROUND_PX + 1,) * 2, np.uint8)) > 0
    return {
        "Grad": metrics.gradient_error(alpha, truth),
        "Grad at edges": metrics.gradient_error(alpha, truth, around),
        "SAD": metrics.sad(alpha, truth),
        "SAD at edges": metrics.sad(alpha, truth, around),
        "MSE": metrics.mse(alpha, truth) or 0.0,
    }


def table(scores: dict[str, list[dict[str, float]]]) -> str:
    """Markdown: means over the pictures."""
    names = list(next(iter(scores.values()))[0])
    lines = [[f"{len(next(iter(scores.values())))} pictures", *names]]
    for made_by, found in scores.items():
        lines.append([made_by, *(f"{np.mean([picture[name] for picture in found]):.4g}" for name in names)])
    return markdown_table(lines)


if __name__ == "__main__":
    app()
