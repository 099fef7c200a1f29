"""The least time that a device needs for a frame's arithmetic, its memory traffic and its copies."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from vmfm.apps.speed import Speed
from work import FrameWork, Work


@dataclass(frozen=True)
class Rates:
    """FLOP per second of matrix products; bytes per second: read or written in memory, and copied to the device and back."""

    matrix: float
    memory: float
    upload: float = math.inf
    download: float = math.inf


@dataclass(frozen=True)
class Floor:
    """The least times of a frame in seconds, of each part of the device. With frames in flight they hide each other."""

    matrix: float
    memory: float
    upload: float
    download: float

    @property
    def computing(self) -> float:
        """Without the copies."""
        return max(self.matrix, self.memory)

    @property
    def copying(self) -> float:
        return max(self.upload, self.download)

    @property
    def seconds(self) -> float:
        """The least time between two frames."""
        return max(self.computing, self.copying)

    @property
    def bound(self) -> str:
        """The busiest part."""
        return max(asdict(self).items(), key=lambda part: part[1])[0]


def row_floor(work: Work, rates: Rates) -> float:
    """The least time of a row in seconds, with the device to itself."""
    return max(work.flops / rates.matrix, work.nbytes / rates.memory)


def frame_floor(work: FrameWork, rates: Rates) -> Floor:
    total = work.total
    return Floor(
        total.flops / rates.matrix, total.nbytes / rates.memory, work.up / rates.upload, work.down / rates.download
    )


def compare(work: FrameWork, rates: Rates, lanes: Speed, one_lane: Speed) -> dict[str, Any]:
    """Floors beside what was measured: of rows with the device to themselves, of frames in flight."""
    alone, floor, fps = one_lane.low_latency.nodes_ms, frame_floor(work, rates), lanes.throughput.fps
    rows = {
        name: {**_size(row), "floor_ms": row_floor(row, rates) * 1000, "p50_ms": alone[name].p50}
        for name, row in work.rows.items()
    }
    frame = {
        **_size(work.total),
        "floor_ms": floor.seconds * 1000,
        "bound": floor.bound,
        "ms": 1000 / fps,
        "share": floor.seconds * fps,
    }
    return {"rows": rows, "frame": frame}


def _size(work: Work) -> dict[str, float]:
    return {"gflop": work.flops / 1e9, "megabytes": work.nbytes / 1e6}
