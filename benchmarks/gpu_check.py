"""Does the CUDA path work on this computer's GPU, and how fast? One call, about a minute, results as JSON.

PYTHONPATH=.dev python3 benchmarks/gpu_check.py --out gpu_check.json [--bundle lite] [--bundle full]

Needs torch with CUDA, onnx, numpy and OpenCV. Sections run one after the other; one that fails prints its traceback,
and the others run all the same. What is known is written after each. Exit code 1 if a section failed.
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from gpu_speed import SIZES, bench, demo_frames, gpu_ms, picture, pipelined, profile_idle
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.torch_backend import _TYPES, TorchCudaBackend
from vmfm.runtime.backends.torch_nets import OnnxNet
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.composite import composite
from vmfm.runtime.cuda.compile import kernels_for, load_nvrtc
from vmfm.runtime.cuda.compositing import CompositeShape, Compositor, composite_layout
from vmfm.runtime.cuda.launch import Module
from vmfm.runtime.cuda.nv12 import BT709, nv12_to_rgb, rgb_to_nv12
from vmfm.runtime.errors import BackendError
from vmfm.runtime.fusion import fuse
from vmfm.runtime.graph import GRAPH, NETS, PATCH_PX
from vmfm.runtime.patches import gather, scatter, select
from vmfm.runtime.preprocess import preprocess
from vmfm.runtime.schedule import plan
from vmfm.runtime.stream import MattingStream
from vmfm.runtime.temporal import blend_previous, trust_in_previous
from vmfm.runtime.upsample import upsample

DEVICE = torch.device("cuda")
SHAPES = {
    "landscape": SlotShape((120, 213), (64, 96), 8),
    "portrait": SlotShape((201, 99), (96, 64), 8),
    "smaller than a patch": SlotShape((9, 7), (64, 64), 8),
    "one pixel": SlotShape((1, 1), (64, 64), 8),
    "720p": SlotShape((720, 1280), (224, 384), 128),
    "4K": SlotShape((2160, 3840), (224, 384), 128),
}
TOLERANCES = {"preprocess": 1.01 / 255 + 1e-3, "select": 0.0, "composite": 3.0, "nv12": 1.0}
HALF = 2e-3  # of everything else: half precision on [0, 1]


def check_environment(bundles: list[str]) -> dict[str, Any]:
    return {
        "gpu": torch.cuda.get_device_name(),
        "capability": torch.cuda.get_device_capability(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "nvrtc": load_nvrtc().version,
        "tensorrt_rtx": _importable("tensorrt_rtx"),
        "tensorrt": _importable("tensorrt"),
        "pycuda": _importable("pycuda.driver"),
        "cpu_cores": os.cpu_count(),
    }


def _importable(module: str) -> str:
    try:
        return str(getattr(__import__(module), "__version__", "yes"))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return f"no: {error}"


def check_operations(bundles: list[str]) -> dict[str, Any]:
    """Every operation of the graph, by our kernels, against its NumPy definition: the largest difference."""
    nodes = tuple(node for node in GRAPH if not node.is_net)
    result: dict[str, Any] = {}
    with TorchCudaBackend(Bundle.open(bundles[0]), nodes) as backend:
        backend.start(plan(nodes))
        for name, shape in SHAPES.items():
            result[name] = _operations_differ(backend, nodes, shape)
    return _judged(result)


def _operations_differ(backend: TorchCudaBackend, nodes: tuple, shape: SlotShape) -> dict[str, float]:
    rng = np.random.default_rng(0)
    by_name = {node.name: node for node in nodes}
    slot = backend.open_slot(shape)
    frame = rng.integers(0, 256, shape.of("frame"), dtype=np.uint8)
    backend.put_frame(slot, frame, first=False)
    host: dict[str, np.ndarray] = {"frame": frame}
    for name in {name for node in nodes for name in node.reads} - {"frame", "corners"}:
        backend.write(slot, name, rng.random(shape.of(name), np.float32))
        host[name] = backend.read(slot, name)  # as the GPU keeps it
    host["corners"] = np.zeros(shape.of("corners"), np.int32)
    highest = [max(side - PATCH_PX, 0) for side in shape.frame_size]
    host["corners"][:] = rng.integers(0, highest, host["corners"].shape, endpoint=True)
    backend.write(slot, "corners", host["corners"])

    def run(name: str) -> list[np.ndarray]:
        backend.run(by_name[name].lane, slot, by_name[name])
        if slot.error:
            raise slot.error
        return [backend.read(slot, tensor) for tensor in by_name[name].writes]

    def empty(*names: str) -> list[np.ndarray]:
        return [np.zeros(shape.of(name), shape.dtype(name)) for name in names]

    differences = {}

    def compare(name: str, expected: list[np.ndarray]) -> None:
        pairs = zip(run(name), expected, strict=True)
        differences[name] = max(float(np.abs(got.astype(np.float64) - want).max()) for got, want in pairs)

    # Those that change alpha come last.
    expected = empty("image")
    preprocess(frame, expected[0])
    compare("preprocess", expected)
    host["image"] = backend.read(slot, "image")
    expected = empty("alpha_net", "deviation_net")
    fuse([host["alpha_s"], host["alpha_d"]], [host["deviation_s"], host["deviation_d"]], *expected)
    compare("fuse", expected)
    for name in ("alpha_net", "deviation_net"):
        host[name] = backend.read(slot, name)
    expected = empty("patches")
    gather(frame, host["alpha"], host["corners"], expected[0])
    compare("gather", expected)
    expected = [host["alpha"].copy()]
    scatter(expected[0], host["refined"], host["corners"])
    compare("scatter", expected)
    expected = empty("corners")
    select(host["deviation"], expected[0])
    compare("select", expected)
    expected = empty("alpha", "deviation")
    upsample(frame, host["image"], host["alpha_net"], host["deviation_net"], *expected)
    compare("upsample", expected)
    backend.run("r", slot, by_name["temporal"])  # against a memory of zeros; it is then this frame
    second = rng.random(shape.frame_size, np.float32)
    previous = backend.read(slot, "alpha")
    backend.write(slot, "alpha", second)
    trust = trust_in_previous(host["image"], host["image"], host["deviation_net"])
    expected = [second.copy()]
    blend_previous(expected[0], previous, trust, np.empty_like(second))
    compare("temporal", expected)
    backend.close_slot(slot)
    return differences


def check_compositing(bundles: list[str]) -> dict[str, Any]:
    """Composite and NV12 on the GPU against their definitions, largest difference in levels of 255; and their time."""
    torch.zeros(1, device=DEVICE)  # puts the context in place
    module = Module(kernels_for(torch.cuda.get_device_capability()))
    result: dict[str, Any] = {}
    for name, size in {"small": (90, 121), **SIZES}.items():
        frame = picture(size, 0)
        result[name] = {**_composite_differs(module, frame), "nv12": _nv12_differs(module, frame)}
    module.close()
    return _judged(result)


def _composite_differs(module: Module, frame: np.ndarray) -> dict[str, float]:
    height, width = frame.shape[:2]
    background = picture((height, width), 1)
    y, x = np.mgrid[:height, :width]
    inside = min(height, width) / 3 - np.hypot(y - height / 2, x - width / 2)
    alpha = np.clip(inside / 8 + 0.5, 0, 1).astype(np.float32)
    shape = CompositeShape((height, width))
    layout = composite_layout(shape)
    work = {key: torch.zeros(size, dtype=_TYPES[kind], device=DEVICE) for key, (size, kind) in layout.items()}
    tensors = [torch.from_numpy(array).to(DEVICE) for array in (frame, alpha, background, np.zeros_like(frame))]
    frame_at, alpha_at, background_at, out_at = (tensor.data_ptr() for tensor in tensors)
    compositor = Compositor(module, shape, {key: tensor.data_ptr() for key, tensor in work.items()})
    stream = torch.cuda.current_stream().cuda_stream
    compositor.over(stream, frame_at, alpha_at, out_at, background=background_at)
    torch.cuda.synchronize()
    difference = np.abs(tensors[3].cpu().numpy().astype(int) - composite(frame, alpha, background))
    return {
        "composite": float(difference.max()),
        "composite_ms": gpu_ms(lambda: compositor.over(stream, frame_at, alpha_at, out_at)),
        "blur_background_ms": gpu_ms(lambda: compositor.blur_background(stream, frame_at, alpha_at)),
    }


def _nv12_differs(module: Module, frame: np.ndarray) -> float:
    height, width = frame.shape[:2]
    there = torch.from_numpy(frame).to(DEVICE)
    coded = torch.zeros((height + (height + 1) // 2, width + 1), dtype=torch.uint8, device=DEVICE)
    decoded = torch.zeros(frame.shape, dtype=torch.uint8, device=DEVICE)
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


def _judged(result: dict[str, Any]) -> dict[str, Any]:
    failed = [
        f"{name} of {shape}: {difference:.4f}"
        for shape, differences in result.items()
        for name, difference in differences.items()
        if not name.endswith("_ms") and not difference <= TOLERANCES.get(name, HALF)
    ]
    return {**result, "failed": failed}


def check_nets(bundles: list[str]) -> dict[str, Any]:
    """Each net in half precision, replayed from its CUDA graph, against float32 on the CPU."""
    result: dict[str, Any] = {"failed": []}
    for name in bundles:
        bundle = Bundle.open(name)
        (frame,) = demo_frames((720, 1280), 1)
        shape = SlotShape((720, 1280), bundle.net_size(720, 1280), bundle.patches)
        with TorchCudaBackend(bundle, GRAPH) as backend:
            backend.start(plan(GRAPH))
            slot = backend.open_slot(shape)
            backend.put_frame(slot, frame, first=True)
            for node in GRAPH:
                backend.run(node.lane, slot, node)
                torch.cuda.synchronize()  # one after the other: here nothing else keeps the lanes in step
            backend.matte(slot, "deliver")
            for net in NETS:
                inputs = [torch.from_numpy(backend.read(slot, tensor)) for tensor in net.reads]
                with torch.inference_mode():
                    expected = OnnxNet(bundle.net_path(net.name))(*inputs).numpy()
                difference = np.abs(backend.read(slot, net.writes[0]) - expected)
                result[f"{name} {net.name}"] = {"max": float(difference.max()), "mean": float(difference.mean())}
                if not difference.mean() < 2e-3:
                    result["failed"].append(f"{name} {net.name}: mean {difference.mean():.5f}")
    return result


def check_stream(bundles: list[str]) -> dict[str, Any]:
    """A clip on the GPU, several frames in flight, against the same clip on the CPU."""
    result: dict[str, Any] = {"failed": []}
    frames = demo_frames((720, 1280), 6)
    for name in bundles:
        with MattingStream(name, backend="torch", slots=3) as stream:
            result["note"] = stream.backend_note
            alphas = [matte.alpha for matte in pipelined(stream, frames)]
        with (
            patch.object(torch.cuda, "is_available", return_value=False),
            MattingStream(name, backend="torch") as stream,
        ):
            expected = [stream.step(frame).alpha for frame in frames]
        difference = np.abs(np.stack(alphas) - np.stack(expected))
        result[name] = {"max": float(difference.max()), "mean": float(difference.mean())}
        if not difference.mean() <= 2e-3:
            result["failed"].append(f"{name}: mean {difference.mean():.5f}")
    return result


def check_failures(bundles: list[str]) -> dict[str, Any]:
    """Out of memory is told, and the GPU goes on working."""
    frame = picture((2160, 3840), 0)
    torch.cuda.empty_cache()
    told = ""
    torch.cuda.set_per_process_memory_fraction(1e-3)
    try:
        with MattingStream(bundles[0], backend="torch") as stream:
            stream.step(frame)
    except BackendError as error:
        told = str(error)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    with MattingStream(bundles[0], backend="torch") as stream:
        stream.step(frame)
    return {"told": told, "failed": [] if "memory is full" in told else [f"out of memory was told as {told!r}"]}


SECTIONS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "environment": check_environment,
    "operations": check_operations,
    "compositing": check_compositing,
    "nets": check_nets,
    "stream": check_stream,
    "bench": bench,
    "idle": profile_idle,
    "failures": check_failures,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the results")
    parser.add_argument("--bundle", action="append", help="name or folder, may be repeated; default: lite")
    parser.add_argument("--section", action="append", choices=SECTIONS, help="run only these")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("torch sees no CUDA GPU here: nothing can be checked", file=sys.stderr)
        return 1
    results: dict[str, Any] = {}
    failures = 0
    for name in options.section or SECTIONS:
        start = time.perf_counter()
        try:
            results[name] = SECTIONS[name](options.bundle or ["lite"])
        except Exception:  # noqa: BLE001 - the other sections run all the same
            results[name] = {"failed": [traceback.format_exc()]}
        failed = results[name].get("failed", [])
        failures += bool(failed)
        results[name]["seconds"] = time.perf_counter() - start
        print(f"{name}: {'FAILED' if failed else 'ok'} in {results[name]['seconds']:.1f} s", *failed, sep="\n  ")
        print(json.dumps(results[name], default=str)[:3000], flush=True)
        scratch = options.out.with_name(options.out.name + ".part")
        scratch.write_text(json.dumps(results, indent=2, default=str) + "\n", encoding="utf-8")
        os.replace(scratch, options.out)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
