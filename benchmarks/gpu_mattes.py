"""Do streams on the GPU make the mattes that they make on the CPU? Sections of gpu_check.py."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from gpu_options import SLOTS, Options, demo_frames, smooth_picture
from vmfm.engine_build.half_error import EDGE_TOLERANCE, MEAN_TOLERANCE, Change, HalfError
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.torch_backend import TorchCudaBackend
from vmfm.runtime.backends.torch_nets import OnnxNet
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.errors import BackendError
from vmfm.runtime.graph import build_graph
from vmfm.runtime.schedule import plan
from vmfm.runtime.stream import MattingStream

_STANDARD = (720, 1280)
_MOST_PICTURES = 16
_NET_TOLERANCE = 2e-3  # mean over a net's output


@contextmanager
def stream_on_cpu(bundle: str, **settings: Any) -> Iterator[MattingStream]:
    """In float32."""
    with (
        patch.object(torch.cuda, "is_available", return_value=False),
        MattingStream(bundle, backend="torch", **settings) as stream,
    ):
        yield stream


def check_half(options: Options) -> Iterator[tuple[str, Any]]:
    """How far half precision moves alpha, each picture by itself; and how far one grey level of noise does."""
    pictures, random, failed = _pictures(options.pictures), np.random.default_rng(0), []
    yield "pictures", len(pictures)
    for bundle in options.bundles:
        half, noise = [], []
        with (
            MattingStream(bundle, backend="torch", temporal=False) as rounding,
            stream_on_cpu(bundle, temporal=False) as exact,
        ):
            for picture in pictures:
                noisy = np.clip(picture + random.choice((-1, 0, 0, 1), picture.shape), 0, 255).astype(np.uint8)
                alpha = rounding.step(picture).alpha
                half.append(np.abs(alpha - exact.step(picture).alpha))
                noise.append(np.abs(alpha - rounding.step(noisy).alpha))
        error = HalfError(Change.of(half), Change.of(noise))
        yield bundle, {**asdict(error), "holds": error.holds}
        if not error.holds:
            failed.append(
                f"{bundle}: {error}; wanted mean {MEAN_TOLERANCE}, edges {EDGE_TOLERANCE} or no more than noise"
            )
            yield "failed", failed


def _pictures(folder: Path | None) -> list[np.ndarray]:
    if folder is None:
        return demo_frames(_STANDARD, 8)
    found = (cv2.imread(str(file)) for file in sorted(folder.iterdir()) if file.is_file())
    colours = (cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in found if picture is not None)
    return list(itertools.islice(colours, _MOST_PICTURES))


def check_stream(options: Options) -> Iterator[tuple[str, Any]]:
    """A clip, several frames in flight on all lanes, against the same clip on one."""
    frames, failed = demo_frames(_STANDARD, 12), []
    for bundle in options.bundles:
        with MattingStream(bundle, backend="torch", slots=SLOTS) as stream:
            yield "note", stream.backend_note
            alphas = []
            for frame in frames:
                if stream.in_flight == stream.slots:
                    alphas.append(stream.collect().alpha)
                stream.submit(frame)
            alphas += [stream.collect().alpha for _ in range(stream.in_flight)]
        with MattingStream(bundle, backend="torch", one_lane=True) as stream:
            expected = [stream.step(frame).alpha for frame in frames]
        difference = np.abs(np.stack(alphas) - np.stack(expected))
        yield bundle, {"max": float(difference.max()), "mean": float(difference.mean())}
        if not difference.mean() <= _NET_TOLERANCE:
            failed.append(f"{bundle}: mean {difference.mean():.5f}")
            yield "failed", failed


def check_nets(options: Options) -> Iterator[tuple[str, Any]]:
    """Each net in half precision, replayed from its CUDA graph, against float32 on the CPU."""
    nodes, (frame,), failed = build_graph(), demo_frames(_STANDARD, 1), []
    for name in options.bundles:
        bundle = Bundle.open(name)
        shape = SlotShape(_STANDARD, bundle.net_size(*_STANDARD), bundle.patches)
        with TorchCudaBackend(bundle, nodes) as backend:
            backend.start(plan(nodes))
            slot = backend.open_slot(shape)
            backend.put_frame(slot, frame, first=True)
            for node in nodes:
                backend.run(node.lane, slot, node)
                torch.cuda.synchronize()  # one after the other: here nothing else keeps the lanes in step
            backend.matte(slot, "deliver")
            for net in (node for node in nodes if node.is_net):
                inputs = [torch.from_numpy(backend.read(slot, tensor)) for tensor in net.reads]
                with torch.inference_mode():
                    expected = OnnxNet(bundle.net_path(net.name))(*inputs).numpy()
                difference = np.abs(backend.read(slot, net.writes[0]) - expected)
                yield f"{name} {net.name}", {"max": float(difference.max()), "mean": float(difference.mean())}
                if not difference.mean() < _NET_TOLERANCE:
                    failed.append(f"{name} {net.name}: mean {difference.mean():.5f}")
                    yield "failed", failed


def check_memory(options: Options) -> Iterator[tuple[str, Any]]:
    """A GPU whose memory is full is told, and goes on working."""
    frame, told = smooth_picture((2160, 3840), 0), "nothing"
    torch.cuda.set_per_process_memory_fraction(1e-3)
    try:
        with MattingStream(options.bundles[0], backend="torch") as stream:
            stream.step(frame)
    except BackendError as error:
        told = str(error)
    torch.cuda.set_per_process_memory_fraction(1.0)
    yield "told", told
    with MattingStream(options.bundles[0], backend="torch") as stream:
        stream.step(frame)
    if "memory is full" not in told:
        yield "failed", [f"a full memory was told as {told!r}"]
