"""What the paper's own S-, D- and I-Net cost beside our light ones, each through its bundle and the CPU engine.

    python benchmarks/modality_nets.py [--out TABLE.md]

Times are CPU time on one thread, so that other work on the computer hardly counts. Weights are random: they cost as much.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode
from vmfm.engine_build.export import export_model
from vmfm.runtime import MattingStream
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.openvino_backend import OpenVinoBackend
from vmfm.runtime.graph import NETS
from vmfm.trainer.config import LITE, MODALITY_NETS, NetConfig
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.model import VMFM
from vmfm.trainer.report import markdown_table

SIZES = ((224, 384), (512, 512))  # (H, W) of the nets' input: those of `lite` and of the paper
TITLES = {"segmentation": "S-Net", "depth": "D-Net", "interaction": "I-Net"}
ROUNDS = 5
SETTLING = 4  # batches that the batch norms of an untrained net see first

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__.partition("\n")[0] if __doc__ else None)


@dataclass(frozen=True)
class Cost:
    """Of one net. At each of SIZES: multiply-adds (convolutions and matrix products), and ms of one thread, the median."""

    role: str
    name: str
    parameters: int
    file_bytes: int
    parity: float  # largest difference between engine and torch
    macs: tuple[float, ...]
    cpu_ms: tuple[float, ...]


@app.command()
def run(out: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None) -> None:
    """Measure every choice of NetConfig."""
    costs = []
    for modality, name in choices():
        try:
            costs.append(measure(replace(LITE, **{modality: name}), modality))
        except TrainerError as error:
            print(f"left out: {error}", file=sys.stderr)
    Console(soft_wrap=True, highlight=False, markup=False).print(table(costs))
    if out is not None:
        out.write_text(table(costs) + "\n", encoding="utf-8")


def choices() -> Iterator[tuple[str, str]]:
    """(modality, net): the light net once, since it is the same three times, then the paper's."""
    yield "segmentation", "autoencoder"
    for modality, (_, name) in MODALITY_NETS.items():
        yield modality, name


def measure(config: NetConfig, modality: str, sizes: tuple[tuple[int, int], ...] = SIZES) -> Cost:
    """Exports a model of `config`, mattes a frame with the bundle, and measures its net for `modality`."""
    torch.manual_seed(0)
    model = VMFM(config)
    with torch.no_grad():
        for _ in range(SETTLING):
            model.train()(torch.rand(2, 3, 64, 96))
    model.eval()
    net = model.export_nets()[modality]
    with tempfile.TemporaryDirectory() as scratch:
        export = export_model(model, Path(scratch) / "bundle", name=getattr(config, modality), trained={}, scores={})
        with MattingStream(export.bundle, backend="cpu", temporal=False) as stream:
            stream.step(np.full((90, 160, 3), 128, np.uint8))
        (node,) = (node for node in NETS if node.name == modality)
        return Cost(
            TITLES[modality],
            getattr(config, modality),
            sum(weight.numel() for weight in net.parameters()),
            export.bundle.net_path(modality).stat().st_size,
            next(parity.engine.max_abs for parity in export.parity if parity.net == modality),
            tuple(_macs(net, size) for size in sizes),
            tuple(_cpu_ms(OpenVinoBackend(export.bundle, (node,), threads=1), size) for size in sizes),
        )


def table(costs: list[Cost]) -> str:
    """Markdown, one line per net."""
    header = ["", "parameters, M", "file, MB", "engine against torch"]
    header += [f"{what} at {w}x{h}" for h, w in SIZES for what in ("GMAC", "ms")]
    lines = [header]
    for cost in costs:
        role = "S-, D- and I-Net" if cost.name == "autoencoder" else cost.role
        numbers = [f"{cost.parameters / 1e6:.1f}", f"{cost.file_bytes / 1e6:.1f}", f"{cost.parity:.0e}"]
        for macs, milliseconds in zip(cost.macs, cost.cpu_ms, strict=True):
            numbers += [f"{macs / 1e9:.2f}" if macs < 1e10 else f"{macs / 1e9:.0f}", f"{milliseconds:.0f}"]
        lines.append([f"{role} {cost.name}", *numbers])
    return markdown_table(lines)


def _macs(net: torch.nn.Module, size: tuple[int, int]) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.rand(1, 3, *size))
    return counter.get_total_flops() / 2


def _cpu_ms(backend: OpenVinoBackend, size: tuple[int, int]) -> float:
    """Median of the process's CPU time, of which the one thread of the net is all."""
    with backend:
        (node,) = backend.nodes
        slot = backend.open_slot(SlotShape(size, size, patches=1))
        backend.write(slot, "image", np.random.default_rng(0).random((1, 3, *size), np.float32))
        milliseconds = []
        for _ in range(ROUNDS + 1):
            started = time.process_time()
            backend.run_net(slot, node)
            milliseconds.append((time.process_time() - started) * 1000)
        return float(np.median(milliseconds[1:]))


if __name__ == "__main__":
    app()
