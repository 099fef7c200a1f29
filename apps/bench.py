"""How fast a bundle is on this computer: one frame at a time, and with all slots in flight."""

import hashlib
import itertools
import json
import platform
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Column, Table
from vmfm.apps.media.atomic import replacing
from vmfm.apps.media.errors import write_errors
from vmfm.apps.media.logs import silence_codecs
from vmfm.apps.media.reader import open_reader
from vmfm.runtime import FrameError, MattingStream, composite

_WARM_UP_FRAMES = 5
_MADE_UP_FRAMES = 12
_KEPT_BYTES = 512 << 20  # frames of a video that are kept decoded, so that decoding is not timed
_LIBRARIES = ("numpy", "opencv-python", "openvino")


@dataclass(frozen=True)
class Workload:
    """What is timed. source: a video to take frames from, or None for made-up ones of width x height pixels."""

    width: int
    height: int
    frames: int
    source: Path | None = None

    @classmethod
    def parse(cls, size: str, frames: int, source: Path | None) -> "Workload":
        """size: WIDTHxHEIGHT. Raises FrameError."""
        width, _, height = size.lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
            raise FrameError(f"size {size!r} is not understood: wanted WIDTHxHEIGHT, for example 1280x720")
        return cls(int(width), int(height), frames, source)


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds."""

    mean: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, milliseconds: Iterable[float]) -> "Percentiles":
        values = np.fromiter(milliseconds, float)
        return cls(float(values.mean()), *(float(p) for p in np.percentile(values, (50, 95, 99))))


@dataclass(frozen=True)
class Mode:
    """One way of running. latency_ms: from handing a frame in to holding its matte. nodes_ms: per row of the graph."""

    fps: float
    frames_in_flight: int
    latency_ms: Percentiles
    nodes_ms: Mapping[str, Percentiles]


@dataclass(frozen=True)
class Report:
    """What `vmfm bench` found out."""

    versions: Mapping[str, str]
    computer: str
    backend: str
    backend_note: str
    bundle: str
    bundle_sha256: str  # of the manifest, which names the sha256 of every net
    nets: tuple[str, ...]
    width: int
    height: int
    frames: int
    source: str
    net_height: int
    net_width: int
    low_latency: Mode  # step(): one frame at a time
    throughput: Mode  # submit() and collect(): all slots in flight
    composite_ms: Percentiles  # over a still background, on the CPU


def measure(bundle: str, backend: str, workload: Workload) -> Report:
    """Times both modes. Raises BundleError, BackendError, FrameError or ReadError."""
    silence_codecs()
    frames = _frames(workload)
    height, width = frames[0].shape[:2]
    with MattingStream(bundle, backend=backend) as stream:
        for frame in _take(frames, _WARM_UP_FRAMES):
            matte = stream.step(frame)
        low_latency = _time_steps(stream, _take(frames, workload.frames))
        throughput = _time_in_flight(stream, _take(frames, workload.frames))
        background = frames[0][::-1].copy()
        composite_ms = Percentiles.of(
            _milliseconds(lambda: composite(matte.frame, matte.alpha, background))
            for _ in range(min(20, workload.frames))
        )
        net_height, net_width = stream.bundle.net_size(height, width)
        return Report(
            versions={name: version(name) for name in ("vmfm", *_LIBRARIES)} | {"python": platform.python_version()},
            computer=f"{_processor()}, {platform.system()} {platform.machine()}",
            backend=stream.backend_name,
            backend_note=stream.backend_note,
            bundle=stream.bundle.name,
            bundle_sha256=hashlib.sha256((stream.bundle.path / "manifest.json").read_bytes()).hexdigest(),
            nets=tuple(name for name in low_latency.nodes_ms if name in stream.bundle.nets),
            width=width,
            height=height,
            frames=workload.frames,
            source=str(workload.source or "made up"),
            net_height=net_height,
            net_width=net_width,
            low_latency=low_latency,
            throughput=throughput,
            composite_ms=composite_ms,
        )


def print_report(report: Report) -> None:
    """Two tables on stdout."""
    console = Console(highlight=False, markup=False)
    console.print(f"{report.bundle} ({report.bundle_sha256[:12]}) on {report.backend}: {report.backend_note}")
    console.print(
        f"{report.width}x{report.height}, {report.frames} frames ({report.source}), "
        f"nets at {report.net_width}x{report.net_height}; {report.computer}"
    )
    modes = {"low latency (step)": report.low_latency, "throughput (in flight)": report.throughput}
    table = Table("mode", "in flight", "fps", "latency p50 ms", "p95", "p99")
    for name, mode in modes.items():
        table.add_row(name, str(mode.frames_in_flight), f"{mode.fps:.1f}", *_cells(mode.latency_ms))
    console.print(table)
    table = Table(Column("node", no_wrap=True), "", "step p50 ms", "p95", "p99", "in flight p50", "p95", "p99")
    for node, times in report.low_latency.nodes_ms.items():
        kind = "net" if node in report.nets else ""
        table.add_row(node, kind, *_cells(times), *_cells(report.throughput.nodes_ms[node]))
    table.add_row("composite", "", *_cells(report.composite_ms), "", "", "")
    console.print(table)


def write_report(report: Report, path: Path) -> None:
    """The report as JSON. Raises WriteError."""
    with write_errors(path), replacing(path) as partial:
        partial.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")


def _time_steps(stream: MattingStream, frames: Iterable[np.ndarray]) -> Mode:
    stream.timings.clear()
    started = time.perf_counter()
    latencies = [_milliseconds(partial(stream.step, frame)) for frame in frames]
    return _mode(stream, 1, time.perf_counter() - started, latencies)


def _time_in_flight(stream: MattingStream, frames: Iterable[np.ndarray]) -> Mode:
    stream.timings.clear()
    submitted: deque[float] = deque()
    latencies: list[float] = []

    def collect() -> None:
        stream.collect()
        latencies.append((time.perf_counter() - submitted.popleft()) * 1000)

    started = time.perf_counter()
    for frame in frames:
        if stream.in_flight == stream.slots:
            collect()
        submitted.append(time.perf_counter())
        stream.submit(frame)
    while submitted:
        collect()
    return _mode(stream, stream.slots, time.perf_counter() - started, latencies)


def _mode(stream: MattingStream, in_flight: int, seconds: float, latencies: list[float]) -> Mode:
    nodes = {node: Percentiles.of(times) for node, times in stream.timings.milliseconds.items()}
    return Mode(len(latencies) / seconds, in_flight, Percentiles.of(latencies), nodes)


def _milliseconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def _take(frames: list[np.ndarray], count: int) -> Iterator[np.ndarray]:
    return itertools.islice(itertools.cycle(frames), count)


def _frames(workload: Workload) -> list[np.ndarray]:
    """(H, W, 3) uint8 frames to cycle through."""
    if workload.source is None:
        return [_made_up(workload.height, workload.width, number) for number in range(_MADE_UP_FRAMES)]
    with open_reader(workload.source) as reader:
        fitting = max(1, _KEPT_BYTES // (reader.info.width * reader.info.height * 3))
        return [frame.image for frame in itertools.islice(reader, min(workload.frames, fitting))]


def _made_up(height: int, width: int, number: int) -> np.ndarray:
    """A bright blob that moves over smooth noise: pictures with edges, the same in every run."""
    noise = np.random.default_rng(0).integers(0, 160, (9, 16, 3), np.uint8)
    frame = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    centre = (width * (2 * number + _MADE_UP_FRAMES) // (4 * _MADE_UP_FRAMES), height * 3 // 5)
    return cv2.ellipse(frame, centre, (max(1, width // 8), max(1, height // 3)), 0, 0, 360, (230, 190, 170), -1)


def _cells(times: Percentiles) -> list[str]:
    return [f"{value:.2f}" for value in (times.p50, times.p95, times.p99)]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
