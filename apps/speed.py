"""How fast a stream is: one frame at a time, and with all slots in flight."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from vmfm.runtime import MattingStream
from vmfm.runtime.graph import GRAPH


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
    """One way of running. Times are the device's, but for latency_ms: from handing a frame in to holding its matte.

    Sums are of medians. What latency_ms has beyond rows_ms is overhead: copying to the device, issuing, waiting; lanes
    side by side bring it below rows_ms.
    """

    fps: float
    frames_in_flight: int
    latency_ms: Percentiles
    nodes_ms: Mapping[str, Percentiles]  # per row of the graph
    lanes_ms: Mapping[str, float]  # summed per lane of the graph
    nets_ms: float  # summed over the nets
    rows_ms: float  # summed over all rows

    @classmethod
    def of(cls, stream: MattingStream, in_flight: int, seconds: float, latencies: list[float]) -> "Mode":
        """seconds: that all frames took together; latencies: of each, in milliseconds."""
        nodes = {name: Percentiles.of(times) for name, times in stream.timings.milliseconds.items()}
        rows = [row for row in GRAPH if row.name in nodes]
        lanes: dict[str, float] = {}
        for row in rows:
            lanes[row.lane] = lanes.get(row.lane, 0.0) + nodes[row.name].p50
        return cls(
            fps=len(latencies) / seconds,
            frames_in_flight=in_flight,
            latency_ms=Percentiles.of(latencies),
            nodes_ms={row.name: nodes[row.name] for row in rows},
            lanes_ms=lanes,
            nets_ms=sum(nodes[row.name].p50 for row in rows if row.is_net),
            rows_ms=sum(lanes.values()),
        )


@dataclass(frozen=True)
class Speed:
    """Both ways of running."""

    low_latency: Mode  # step(): one frame at a time
    throughput: Mode  # submit() and collect(): all slots in flight


def warm_up(stream: MattingStream, frames: Iterable[np.ndarray], background: np.ndarray | None = None) -> None:
    """Runs frames in flight, so that every slot is open and every library has settled.

    background: for streams whose pictures are put over one that is handed in; here and below a still one.
    """
    for frame in frames:
        if stream.in_flight == stream.slots:
            stream.collect()
        stream.submit(frame, background)
    while stream.in_flight:
        stream.collect()


def time_steps(stream: MattingStream, frames: Iterable[np.ndarray], background: np.ndarray | None = None) -> Mode:
    """Frame after frame, each waited for."""
    stream.timings.clear()
    latencies = []
    started = time.perf_counter()
    for frame in frames:
        submitted = time.perf_counter()
        stream.step(frame, background)
        latencies.append(_ms_since(submitted))
    return Mode.of(stream, 1, time.perf_counter() - started, latencies)


def time_in_flight(stream: MattingStream, frames: Iterable[np.ndarray], background: np.ndarray | None = None) -> Mode:
    """As many frames in flight as the stream has slots, up to the last one collected."""
    stream.timings.clear()
    submitted: deque[float] = deque()
    latencies: list[float] = []

    def collect() -> None:
        stream.collect()
        latencies.append(_ms_since(submitted.popleft()))

    started = time.perf_counter()
    for frame in frames:
        if stream.in_flight == stream.slots:
            collect()
        submitted.append(time.perf_counter())
        stream.submit(frame, background)
    while submitted:
        collect()
    return Mode.of(stream, stream.slots, time.perf_counter() - started, latencies)


def _ms_since(moment: float) -> float:
    return (time.perf_counter() - moment) * 1000
