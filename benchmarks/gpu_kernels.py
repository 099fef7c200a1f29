"""Do our kernels compute what their NumPy definitions do? Sections of gpu_check.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from gpu_options import Options, smooth_picture
from vmfm.runtime.backends.base import Backend, SlotShape
from vmfm.runtime.backends.torch_backend import TorchCpuBackend, TorchCudaBackend
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.cuda.compile import kernels_for
from vmfm.runtime.cuda.launch import Module
from vmfm.runtime.cuda.nv12 import BT709, nv12_to_rgb, rgb_to_nv12
from vmfm.runtime.graph import GRAPH, RESULT, Node
from vmfm.runtime.schedule import plan

OPERATIONS = tuple(node for node in GRAPH if not node.is_net)
SHAPES = {
    "landscape": SlotShape((120, 213), (64, 96), 8),
    "portrait": SlotShape((201, 99), (96, 64), 8),
    "smaller than a patch": SlotShape((9, 7), (64, 64), 8),
    "one pixel": SlotShape((1, 1), (64, 64), 8),
    "720p": SlotShape((720, 1280), (224, 384), 256),
    "4K": SlotShape((2160, 3840), (384, 672), 512),
}
HALF = 2e-3  # half precision on [0, 1]
# Of operations whose largest difference may be another. Pictures: in levels of 255.
TOLERANCES = {"preprocess": 1.01 / 255 + 1e-3, "select": 0.0, "blur": 8.0, "composite": 3.0}


def check_operations(options: Options) -> Iterator[tuple[str, Any]]:
    """Every operation of the graph on the GPU against the CPU's, which are the definitions: the largest difference."""
    bundle = Bundle.open(options.bundles[0])
    with TorchCudaBackend(bundle, OPERATIONS) as ours, TorchCpuBackend(bundle, OPERATIONS) as theirs:
        yield from compare_operations(ours, theirs, SHAPES)


def compare_operations(
    ours: Backend, theirs: Backend, shapes: dict[str, SlotShape]
) -> Iterator[tuple[str, dict[str, float] | list[str]]]:
    """Per shape the largest difference of each operation's results, and what is beyond its tolerance."""
    failed: list[str] = []
    for backend in (ours, theirs):
        backend.start(plan(OPERATIONS))
    for name, shape in shapes.items():
        slots = [(backend, backend.open_slot(shape)) for backend in (ours, theirs)]
        differences = {node.name: _difference(slots, node) for node in OPERATIONS if RESULT not in node.writes}
        for backend, slot in slots:
            backend.close_slot(slot)
        yield name, differences
        failed += [
            f"{node} of {name}: {difference:.4f}"
            for node, difference in differences.items()
            if not difference <= TOLERANCES.get(node, HALF)
        ]
    if failed:
        yield "failed", failed


def _difference(slots: list[tuple[Backend, Any]], node: Node) -> float:
    """Both run a node on the same random tensors; then again, as it may remember, with others where it overwrites them."""
    rng, shape = np.random.default_rng(0), slots[0][1].shape
    frame = _random(rng, shape, "frame")
    given: dict[str, np.ndarray] = {}
    for first in (True, False):
        given |= {name: _random(rng, shape, name) for name in node.reads if name in node.writes or name not in given}
        given["frame"] = frame
        results = []
        for backend, slot in slots:
            backend.put_frame(slot, frame, first=first)
            for name in set(node.reads) - {"frame"}:
                backend.write(slot, name, given[name])
                given[name] = backend.read(slot, name)  # as the GPU keeps it, so the other gets no more digits
            results.append(_run(backend, slot, node))
    pairs = zip(*results, strict=True)
    return max(float(np.abs(got.astype(np.float64) - expected).max()) for got, expected in pairs)


def _random(rng: np.random.Generator, shape: SlotShape, tensor: str) -> np.ndarray:
    extents, kind = shape.of(tensor), shape.dtype(tensor)
    if kind is np.uint8:
        return rng.integers(0, 256, extents, kind)
    values = rng.random(extents, np.float32)
    return values * np.float32([*shape.frame_size, 1]) if tensor == "places" else values


def _run(backend: Backend, slot: Any, node: Node) -> list[np.ndarray]:
    """Runs a node and then the last one, which is how a frame ends; returns what the node wrote."""
    for step in (node, OPERATIONS[-1]):
        backend.run(step.lane, slot, step)
        backend.record(step.lane, slot, step.name)
        if step is node:
            backend.wait(OPERATIONS[-1].lane, slot, node.name)
    backend.matte(slot, OPERATIONS[-1].name)
    return [backend.read(slot, tensor) for tensor in node.writes]


def check_nv12(options: Options) -> Iterator[tuple[str, Any]]:
    """Decoders' and encoders' frames to RGB and back, against the definitions: largest difference in levels of 255."""
    torch.zeros(1, device="cuda")  # puts the context in place
    module, failed = Module(kernels_for(torch.cuda.get_device_capability())), []
    for name, size in {"odd": (91, 121), **options.sizes}.items():
        difference = _nv12_differs(module, smooth_picture(size, 0))
        yield name, difference
        if difference > 1:
            failed.append(f"{name}: {difference}")
            yield "failed", failed
    module.close()


def _nv12_differs(module: Module, frame: np.ndarray) -> float:
    height, width = frame.shape[:2]
    there = torch.from_numpy(frame).cuda()
    coded = torch.zeros((height + (height + 1) // 2, width + 1), device="cuda", dtype=torch.uint8)
    decoded = torch.zeros(frame.shape, device="cuda", dtype=torch.uint8)
    pitch, stream = width + 1, torch.cuda.current_stream().cuda_stream
    planes = coded.data_ptr(), coded.data_ptr() + height * pitch
    constants = (BT709.red, BT709.blue, *BT709.levels)
    chroma_size = ((width + 1) // 2, (height + 1) // 2)
    encode = (there.data_ptr(), height, width, *planes, pitch, *constants)
    module.prepare("rgb_to_nv12", chroma_size, *encode)(stream)
    decode = (*planes, pitch, decoded.data_ptr(), height, width, *constants)
    module.prepare("nv12_to_rgb", (width, height), *decode)(stream)
    torch.cuda.synchronize()
    surface, (luma, chroma) = coded.cpu().numpy(), rgb_to_nv12(frame)
    got_luma, got_chroma = surface[:height, :width], surface[height:, : chroma_size[0] * 2].reshape(chroma.shape)
    pairs = ((got_luma, luma), (got_chroma, chroma), (decoded.cpu().numpy(), nv12_to_rgb(got_luma, got_chroma)))
    return max(float(np.abs(got.astype(int) - expected).max()) for got, expected in pairs)
