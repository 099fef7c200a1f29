"""Does the host keep the GPU waiting? A section of gpu_check.py."""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import torch
from gpu_options import SLOTS, Options, demo_frames, for_seconds
from vmfm.apps.speed import Percentiles, warm_up
from vmfm.runtime.stream import MattingStream

# What may stall a host that has time to spare on average: threads that wait for each other where frames are copied
# for the upload, and the garbage collector.
VARIANTS: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "as it is": (lambda: None, lambda: None),
    "one copying thread": (lambda: torch.set_num_threads(1), lambda: torch.set_num_threads(_THREADS)),
    "no garbage collection": (gc.disable, gc.enable),
}
_THREADS = torch.get_num_threads()


def check_host(options: Options) -> Iterator[tuple[str, Any]]:
    """Milliseconds per frame in flight that submit() and collect() take; the latter waits for the GPU."""
    bundle = options.bundles[0]
    with MattingStream(bundle, backend="torch", slots=SLOTS) as stream:
        for size in options.sizes:
            frames = demo_frames(options.sizes[size], 6)
            warm_up(stream, frames * 2)
            for variant, (begin, end) in VARIANTS.items():
                begin()
                try:
                    yield f"{bundle} {size}, {variant}", _time_calls(stream, for_seconds(frames, options.seconds))
                finally:
                    end()


def _time_calls(stream: MattingStream, frames: Iterator[Any]) -> dict[str, Any]:
    submits: list[float] = []
    collects: list[float] = []

    def timed(times: list[float], call: Callable[[], object]) -> None:
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)

    started = time.perf_counter()
    for frame in frames:
        if stream.in_flight == stream.slots:
            timed(collects, stream.collect)
        timed(submits, lambda frame=frame: stream.submit(frame))  # type: ignore[misc]
    while stream.in_flight:
        timed(collects, stream.collect)
    return {
        "fps": len(submits) / (time.perf_counter() - started),
        "submit_ms": {**asdict(Percentiles.of(submits)), "max": max(submits)},
        "collect_ms": {**asdict(Percentiles.of(collects)), "max": max(collects)},
    }
