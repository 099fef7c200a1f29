"""The findings of gpu_check.py for people, as Markdown."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_RUN = re.compile(r"(?P<bundle>\S+) (?P<size>\S+) (?P<mode>low latency|throughput), lanes")


def to_markdown(results: Mapping[str, Any]) -> str:
    """Whatever has been found so far."""
    environment = results.get("environment", {})
    lines = [f"# `benchmarks/gpu_check.py` on {environment.get('gpu', 'a computer without a GPU')}", ""]
    lines += [
        ", ".join(f"{key} {value}" for key, value in environment.items() if key not in ("gpu", "seconds", "failed")),
        "",
    ]
    lines += [*_speed(results.get("bench", {})), *_floors(results.get("bench", {})), *_idle(results.get("idle", {}))]
    lines += [*_host(results.get("host", {}))]
    lines += [*_half(results.get("half", {})), *_tensorrt(results.get("tensorrt", {}))]
    lines += ["## Sections", "", "| section | | seconds |", "|---|---|---:|"]
    lines += [_section(name, result) for name, result in results.items()]
    return "\n".join(lines) + "\n"


def _speed(bench: Mapping[str, Any]) -> Iterator[str]:
    runs = [(match, bench[key]) for key in bench if (match := _RUN.fullmatch(key))]
    if not runs:
        return
    yield "## Speed"
    yield ""
    yield (
        "| bundle | input | mode | mattes, fps | p50 / p95 / p99 ms | on one lane, fps | lanes buy "
        "| sum of nets there, ms | of all rows | pictures, fps |"
    )
    yield "|---|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for match, run in runs:
        alone, picture = (bench.get(match[0].replace(", lanes", f", {way}")) for way in ("one lane", "picture"))
        latency = " / ".join(f"{run['latency_ms'][key]:.2f}" for key in ("p50", "p95", "p99"))
        others = [""] * 4
        if alone:
            others = [f"{alone['fps']:.0f}", f"{run['fps'] / alone['fps']:.2f}x"]
            others += [f"{alone[key]:.2f}" for key in ("nets_ms", "rows_ms")]
        cells = (*match.groups(), f"{run['fps']:.0f}", latency, *others, f"{picture['fps']:.0f}" if picture else "")
        yield f"| {' | '.join(cells)} |"
    yield ""


def _floors(bench: Mapping[str, Any]) -> Iterator[str]:
    floors = {
        key.removesuffix(" against the floor"): value
        for key, value in bench.items()
        if key.endswith("against the floor")
    }
    if not floors:
        return
    rates = bench["rates"]
    yield "## Against the floor"
    yield ""
    yield (
        f"Measured in the same run: {rates['matrix'] / 1e12:.3g} TFLOP/s, {rates['memory'] / 1e9:.4g} GB/s of memory, "
        f"{rates['upload'] / 1e9:.0f} GB/s up, {rates['download'] / 1e9:.0f} GB/s down."
    )
    yield ""
    yield "| bundle, input | GFLOP | MB | floor, ms | bound by | ms a frame in flight | share of the floor |"
    yield "|---|---:|---:|---:|---|---:|---:|"
    for key, value in floors.items():
        frame = value["frame"]
        numbers = f"{frame['gflop']:.1f} | {frame['megabytes']:.0f} | {frame['floor_ms']:.3f} | {frame['bound']}"
        yield f"| {key} | {numbers} | {frame['ms']:.3f} | {frame['share']:.1%} |"
    yield ""


def _idle(idle: Mapping[str, Any]) -> Iterator[str]:
    runs = {key: value for key, value in idle.items() if isinstance(value, dict) and "fps_watched" in value}
    if not runs:
        return
    yield "## When nothing runs on the GPU, with frames in flight"
    yield ""
    yield "| bundle, input | idle | of it gaps over 1 ms | longest gap, ms | fps | fps while watched |"
    yield "|---|---:|---:|---:|---:|---:|"
    for key, run in runs.items():
        longest = max((gap["ms"] for gap in run["long_gaps"]), default=0)
        shares = f"{run['idle_share']:.1%} | {run['idle_share_of_long_gaps']:.1%}"
        yield f"| {key} | {shares} | {longest:.1f} | {run['fps']:.0f} | {run['fps_watched']:.0f} |"
    yield ""


def _host(host: Mapping[str, Any]) -> Iterator[str]:
    runs = {key: value for key, value in host.items() if isinstance(value, dict)}
    if not runs:
        return
    yield "## What the host takes for a frame in flight"
    yield ""
    yield "| bundle, input, way | fps | submit p50 / p99 / max ms | collect p50 / p99 / max ms |"
    yield "|---|---:|---:|---:|"
    for key, run in runs.items():
        calls = (
            " / ".join(f"{run[call][of]:.2f}" for of in ("p50", "p99", "max")) for call in ("submit_ms", "collect_ms")
        )
        yield f"| {key} | {run['fps']:.0f} | {' | '.join(calls)} |"
    yield ""


def _half(half: Mapping[str, Any]) -> Iterator[str]:
    bundles = {key: value for key, value in half.items() if isinstance(value, dict) and "holds" in value}
    if not bundles:
        return
    yield "## Half precision against single, alpha"
    yield ""
    yield f"| bundle, {half['pictures']} pictures | mean | largest | largest over 2x2 pixels | one grey level of noise: mean | over 2x2 |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, error in bundles.items():
        moved = (error["half"][key] for key in ("mean_abs", "max_abs", "edge_max"))
        noise = (error["noise"][key] for key in ("mean_abs", "edge_max"))
        yield f"| {name} | {' | '.join(f'{value:.5f}' for value in (*moved, *noise))} |"
    yield ""


def _tensorrt(tensorrt: Mapping[str, Any]) -> Iterator[str]:
    if not tensorrt:
        return
    yield "## TensorRT"
    yield ""
    yield from (f"* {key}: {value}" for key, value in tensorrt.items() if key not in ("seconds", "failed"))
    yield ""


def _section(name: str, result: Mapping[str, Any]) -> str:
    failures = [failure.strip() for failure in result.get("failed", [])]
    failed = "; ".join(said.splitlines()[-1][:200].replace("|", "/") for said in failures if said)
    left_out = f"left out: {result['left out']}" if "left out" in result else "ok"
    return f"| {name} | {'FAILED: ' + failed if failed else left_out} | {result.get('seconds', '')} |"
