"""How fast streams run on a CUDA GPU: the measurements of gpu_check.py."""

import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from vmfm.runtime.backends.torch_backend import TorchCudaBackend
from vmfm.runtime.stream import MattingStream

DEMO = Path(__file__).parent.parent / "apps" / "demo" / "woman_with_mug.mp4"
SIZES = {"720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}
BENCH_SECONDS = 1.2  # of each measurement


def picture(size: tuple[int, int], seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).random((7, 9, 3), np.float32)
    smooth = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth * 255, 0, 255).astype(np.uint8)


def demo_frames(size: tuple[int, int], count: int) -> list[np.ndarray]:
    """Frames of the demo clip, resized; or pictures, where it cannot be read."""
    video = cv2.VideoCapture(str(DEMO))
    frames: list[np.ndarray] = []
    while len(frames) < count:
        read, frame = video.read()
        frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if read else picture(size, len(frames))
        frames.append(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_LINEAR))
    return frames


def gpu_ms(run: Callable[[], object], times: int = 20) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    run()
    begin.record()
    for _ in range(times):
        run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / times


def pipelined(stream: MattingStream, frames: Iterable[np.ndarray]) -> Iterable[Any]:
    for frame in frames:
        if stream.in_flight == stream.slots:
            yield stream.collect()
        stream.submit(frame)
    while stream.in_flight:
        yield stream.collect()


def bench(bundles: list[str]) -> dict[str, Any]:
    """Frames per second and latency: one frame at a time and three in flight, three lanes against one."""
    result: dict[str, Any] = {"failed": []}
    for bundle in bundles:
        for size_name, size in SIZES.items():
            frames = demo_frames(size, 6)
            for lanes in ("lanes", "one lane"):
                with patch.object(TorchCudaBackend, "one_lane", lanes == "one lane"):
                    for mode, slots in (("low latency", 1), ("throughput", 3)):
                        key = f"{bundle} {size_name} {mode}, {lanes}"
                        try:
                            result[key] = _measure(bundle, frames, slots)
                        except Exception:  # noqa: BLE001 - the other measurements are made all the same
                            result["failed"].append(f"{key}: {traceback.format_exc()}")
                            continue
                        print(f"  {key}: {result[key]['fps']:.1f} fps, {result[key]['p50_ms']:.2f} ms", flush=True)
    return result


def _measure(bundle: str, frames: list[np.ndarray], slots: int) -> dict[str, Any]:
    with MattingStream(bundle, backend="torch", slots=slots) as stream:
        for _ in pipelined(stream, frames * 2):  # opens every slot and warms up
            pass
        stream.timings.clear()
        spans = stream._backend.trace()  # type: ignore[attr-defined]
        latencies: list[float] = []
        begun: list[float] = []
        start = time.perf_counter()
        for count in range(100_000):
            if stream.in_flight == stream.slots:
                stream.collect()
                latencies.append(time.perf_counter() - begun.pop(0))
            if latencies and time.perf_counter() - start > BENCH_SECONDS:
                break
            begun.append(time.perf_counter())
            stream.submit(frames[count % len(frames)])
            if slots == 1:
                stream.collect()
                latencies.append(time.perf_counter() - begun.pop(0))
        seconds = time.perf_counter() - start
        while stream.in_flight:
            stream.collect()
        p50, p95, p99 = (1000 * np.percentile(latencies, (50, 95, 99))).tolist()
        per_node = {name: values[0] for name, values in stream.timings.percentiles(50).items()}
        return {
            "fps": len(latencies) / seconds,
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "node_p50_ms": per_node,
            "sum_of_nodes_ms": sum(per_node.values()),
            "idle_share_by_events": _idle_share([(begin, end) for _, begin, end in spans]),
        }


def _idle_share(spans: list[tuple[float, float]]) -> float:
    """The share of the time from the first span's start to the last one's end in which no span runs."""
    spans = sorted(spans)
    first, reached, busy = spans[0][0], spans[0][0], 0.0
    for begin, end in spans:
        busy += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return 1 - busy / (reached - first)


def profile_idle(bundles: list[str]) -> dict[str, Any]:
    """The share of time in which no kernel and no copy runs, as the profiler saw it, with three frames in flight."""
    result: dict[str, Any] = {}
    for bundle in bundles:
        for size_name, size in SIZES.items():
            frames = demo_frames(size, 6)
            with MattingStream(bundle, backend="torch", slots=3) as stream:
                for _ in pipelined(stream, frames * 2):
                    pass
                with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
                    for _ in pipelined(stream, frames * 6):
                        pass
                    torch.cuda.synchronize()
            cuda = torch.autograd.DeviceType.CUDA
            events = [event for event in profiler.events() if event.device_type == cuda]
            kernels = [event for event in events if not event.name.startswith(("Memcpy", "Memset"))]
            by_kernel: dict[str, float] = {}
            for event in kernels:
                by_kernel[event.name[:80]] = by_kernel.get(event.name[:80], 0.0) + event.time_range.elapsed_us()
            top = sorted(by_kernel.items(), key=lambda item: -item[1])[:25]
            frame_count = len(frames) * 6
            result[f"{bundle} {size_name}"] = {
                "idle_share": _idle_share([(e.time_range.start, e.time_range.end) for e in events]),
                "idle_share_of_kernels": _idle_share([(e.time_range.start, e.time_range.end) for e in kernels]),
                "kernel_us_per_frame": {name: us / frame_count for name, us in top},
            }
    return result
