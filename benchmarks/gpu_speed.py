"""How fast streams run, how near to the floor, and when the GPU idles: sections of gpu_check.py."""

import itertools
import json
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from cuda_rates import measure_cuda_rates
from floor import Rates, compare
from gpu_options import SLOTS, Options, demo_frames, for_seconds
from rates import measure_cpu_rates
from vmfm.apps.speed import Speed, time_in_flight, time_steps, warm_up
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.graph import build_graph
from vmfm.runtime.stream import MattingStream
from work import count_frame

_CLIP_FRAMES = 6
_PROFILED_FRAMES = 150
_LONG_GAP_MS = 1.0
_WORK = ("kernel", "gpu_memcpy", "gpu_memset")  # categories of a trace


# Mattes on all lanes and on one; finished pictures, of which less is copied back; and mattes with a third of the work for the nets.
_WAYS: dict[str, dict[str, Any]] = {
    "lanes": {},
    "one lane": {"one_lane": True},
    "picture": {"deliver": ("picture",)},
    "fast": {"detail": "fast"},
}


def check_bench(options: Options) -> Iterator[tuple[str, Any]]:
    """Frame after frame and in flight, in all ways; and against the least time that the device needs."""
    rates = measure_cuda_rates() if options.on_gpu else measure_cpu_rates()
    yield "rates", asdict(rates)
    failed: list[str] = []
    for bundle in options.bundles:
        speeds: dict[str, dict[str, Speed]] = {}
        for way, settings in _WAYS.items():
            try:
                with MattingStream(bundle, backend="torch", slots=SLOTS, **settings) as stream:
                    for size in options.sizes:
                        speed = speeds.setdefault(size, {})[way] = _time(stream, size, options, way == "picture")
                        yield f"{bundle} {size} low latency, {way}", asdict(speed.low_latency)
                        yield f"{bundle} {size} throughput, {way}", asdict(speed.throughput)
            except Exception:  # noqa: BLE001 - the other measurements are made all the same
                failed.append(f"{bundle}, {way}: {traceback.format_exc()}")
                yield "failed", failed
        for size, ways in speeds.items():
            if {"lanes", "one lane"} <= set(ways):
                yield f"{bundle} {size} against the floor", _against_floor(bundle, options, size, rates, ways)


def _time(stream: MattingStream, size: str, options: Options, picture: bool) -> Speed:
    frames = demo_frames(options.sizes[size], _CLIP_FRAMES)
    background = frames[0][::-1].copy() if picture else None
    warm_up(stream, frames * 2, background)
    steps = time_steps(stream, for_seconds(frames, options.seconds), background)
    flight = time_in_flight(stream, for_seconds(frames, options.seconds), background)
    print(f"  {stream.bundle.name} {size}: {steps.fps:.1f} fps, {flight.fps:.1f} in flight", flush=True)
    return Speed(steps, flight)


def _against_floor(bundle: str, options: Options, size: str, rates: Rates, ways: dict[str, Speed]) -> dict[str, Any]:
    work = count_frame(Bundle.open(bundle), build_graph(), options.sizes[size], 2 if options.on_gpu else 4)
    return compare(work, rates, ways["lanes"], ways["one lane"])


@dataclass(frozen=True)
class Span:
    """A kernel or copy as a profiler saw it, in milliseconds."""

    name: str
    begin: float
    end: float


def check_idle(options: Options) -> Iterator[tuple[str, Any]]:
    """The share of time in which no kernel and no copy runs, with frames in flight; and what the GPU waited for."""
    for bundle, size in itertools.product(options.bundles, options.sizes):
        frames = demo_frames(options.sizes[size], _CLIP_FRAMES)
        with ExitStack() as stack:
            stream = stack.enter_context(MattingStream(bundle, backend="torch", slots=SLOTS))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            warm_up(stream, frames * 2)
            unwatched = time_in_flight(stream, for_seconds(frames, options.seconds / 2)).fps
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
                watched = time_in_flight(stream, itertools.islice(itertools.cycle(frames), _PROFILED_FRAMES)).fps
                torch.cuda.synchronize()
            profiler.export_chrome_trace(str(folder / "trace.json"))
            spans = read_trace(folder / "trace.json")
        busiest = Counter[str]()
        for span in spans:
            busiest[span.name[:80]] += span.end - span.begin
        per_frame = {name: 1000 * ms / _PROFILED_FRAMES for name, ms in busiest.most_common(25)}
        # Being watched slows the host: a GPU that waits for it idles less when nobody watches.
        yield (
            f"{bundle} {size}",
            {"fps": unwatched, "fps_watched": watched, **idleness(spans), "us_per_frame": per_frame},
        )


def read_trace(file: Path) -> list[Span]:
    """The kernels and copies of a trace in Chrome's format."""
    events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    work = (event for event in events if event.get("ph") == "X" and event.get("cat") in _WORK)
    return [Span(event["name"], event["ts"] / 1000, (event["ts"] + event["dur"]) / 1000) for event in work]


def idleness(spans: list[Span]) -> dict[str, Any]:
    """When nothing runs from the first begin to the last end: the share of time, that of long gaps, and those in detail."""
    ordered = sorted(spans, key=lambda span: span.begin)
    gaps, last = [], ordered[0]
    for span in ordered[1:]:
        if span.begin > last.end:
            gaps.append((span.begin - last.end, last.name[:60], span.name[:60]))
        last = max(last, span, key=lambda span: span.end)
    whole = last.end - ordered[0].begin
    long = sorted((gap for gap in gaps if gap[0] > _LONG_GAP_MS), reverse=True)
    return {
        "idle_share": sum(gap[0] for gap in gaps) / whole,
        "idle_share_of_long_gaps": sum(gap[0] for gap in long) / whole,
        "long_gaps": [{"ms": ms, "after": after, "before": before} for ms, after, before in long[:8]],
    }
