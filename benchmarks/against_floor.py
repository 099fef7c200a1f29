"""How near a bundle comes to the least time that this device needs for its arithmetic and its memory traffic.

PYTHONPATH=.dev python benchmarks/against_floor.py [--bundle lite] [--size 1280x720 ...] [--backend auto] [--json FILE]

It measures as `vmfm bench --one-lane` does, and the device's rates in the same run: a large matrix product, a large
copy, copies to the device and back. Work is counted from the bundle's ONNX files.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from floor import Rates, compare
from rates import measure_cpu_rates
from rich.console import Console
from rich.table import Table
from vmfm.apps.bench import Workload, measure
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.graph import build_graph
from work import count_frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="lite", help="a shipped bundle, or a folder")
    parser.add_argument(
        "--backend", default="auto", help="a CPU's rates are of float32: cpu-f32 compares like with like"
    )
    parser.add_argument("--size", action="append", default=[], help="WIDTHxHEIGHT, may be repeated")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = measure(options.bundle, options.backend, Workload.parse(options.size, options.frames, None), one_lane=True)
    value_bytes, rates = (4, measure_cpu_rates()) if report.backend.startswith("cpu") else (2, _cuda_rates())
    console = Console(highlight=False, markup=False)
    console.print(f"{report.bundle} on {report.backend}: {report.backend_note}; {report.computer}")
    console.print(
        f"measured here: {rates.matrix / 1e12:.3g} TFLOP/s, {rates.memory / 1e9:.4g} GB/s of memory, "
        f"{rates.upload / 1e9:.3g} GB/s to the device, {rates.download / 1e9:.3g} GB/s back"
    )
    cases, bundle, nodes = {}, Bundle.open(options.bundle), build_graph()
    for case in report.cases:
        assert case.one_lane is not None
        work = count_frame(bundle, nodes, (case.height, case.width), value_bytes)
        size = f"{case.width}x{case.height}"
        cases[size] = compare(work, rates, case.lanes, case.one_lane)
        console.print(f"{size}, nets at {case.net_width}x{case.net_height}", _table(cases[size]))
    if options.json:
        content = {"report": asdict(report), "rates": asdict(rates), "against_floor": cases}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _cuda_rates() -> Rates:
    from cuda_rates import measure_cuda_rates

    return measure_cuda_rates()


def _table(compared: dict[str, Any]) -> Table:
    table = Table("row", "GFLOP", "MB", "floor ms", "alone p50 ms", "of the floor")
    for name, row in compared["rows"].items():
        numbers = (f"{row[key]:.3g}" for key in ("gflop", "megabytes", "floor_ms", "p50_ms"))
        table.add_row(name, *numbers, f"{row['floor_ms'] / row['p50_ms']:.0%}")
    frame = compared["frame"]
    numbers = (f"{frame[key]:.3g}" for key in ("gflop", "megabytes", "floor_ms", "ms"))
    table.add_section()
    table.add_row(f"frame, in flight ({frame['bound']})", *numbers, f"{frame['share']:.0%}")
    return table


if __name__ == "__main__":
    main()
