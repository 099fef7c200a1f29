"""Does a TensorRT that is installed build, load and run our nets on the GPU here? A section of gpu_check.py.

Needs no PyCUDA: torch gives memory and stream. TensorRT for RTX knows GeForce cards; for another GPU it is asked to build for the
GPU at hand, and then for the nearest older one that it knows. What it says is written down.
"""

import time
from collections.abc import Iterator
from typing import Any

import torch
from gpu_options import Options
from vmfm.engine_build.compile import build_engine, from_onnx
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.tensorrt_flavor import Flavor, open_flavor
from vmfm.runtime.backends.torch_nets import OnnxNet
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.engines import EngineKey
from vmfm.runtime.errors import BackendError
from vmfm.runtime.graph import NETS, Node

_FRAME = (720, 1280)
_FALLBACK = 89  # built for where there is no GPU
_RUNS = 50


class OfThisGpu(Flavor):
    """Builds for the GPU at hand, whatever it is: what a builder does that is told nothing."""

    def aim(self, config: Any, capabilities: Any) -> None:
        pass


def check_tensorrt(options: Options) -> Iterator[tuple[str, Any]]:
    """Net by net for the first aim that works; of each bundle."""
    try:
        flavor = open_flavor()
    except BackendError as error:
        yield "flavor", str(error)
        return
    yield "flavor", flavor.label
    yield "knows", flavor.capabilities
    works = None
    for aim, (kind, capability) in _aims(flavor, options).items():
        found = try_net(kind, Bundle.open(options.bundles[0]), NETS[-1], capability, options.on_gpu)
        yield aim, found
        if "ms" in found:
            works = kind, capability
            break
    if works:
        for name in options.bundles:
            for node in NETS:
                yield f"{name} {node.name}", try_net(works[0], Bundle.open(name), node, works[1], True)


def _aims(flavor: Flavor, options: Options) -> dict[str, tuple[Flavor, int]]:
    """What to try in turn: how the builder is told about the GPU, and the compute capability."""
    if not options.on_gpu:
        return {f"sm{_FALLBACK}, without a GPU": (flavor, _FALLBACK)}
    major, minor = torch.cuda.get_device_capability()
    here = 10 * major + minor
    known = flavor.capabilities or (here,)
    aims = {f"sm{here}": (flavor, here)} if here in known else {}
    aims["the GPU at hand"] = (OfThisGpu(flavor.name, flavor.library), here)
    if here not in known and (older := [capability for capability in known if capability < here]):
        aims[f"sm{older[-1]}"] = (flavor, older[-1])
    return aims


def try_net(flavor: Flavor, bundle: Bundle, node: Node, capability: int, on_gpu: bool) -> dict[str, Any]:
    """How far a net gets: built, loaded, run and timed; and what was said where it got no further."""
    found: dict[str, Any] = {}
    log = flavor.log()
    try:
        key = EngineKey.of(bundle, node, flavor.name, flavor.version, (capability,))
        started = time.perf_counter()
        blob = build_engine(bundle, node, flavor, key, from_onnx)
        found |= {"built_bytes": len(blob), "built_seconds": round(time.perf_counter() - started, 2)}
        runtime = flavor.library.Runtime(log)
        engine = runtime.deserialize_cuda_engine(blob)
        found["loaded"] = engine is not None
        if engine is not None and on_gpu:
            found |= _run(flavor, engine, bundle, node)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        found["raised"] = f"{type(error).__name__}: {error}"
    return found | ({"said": log.errors} if log.errors else {})


def _run(flavor: Flavor, engine: Any, bundle: Bundle, node: Node) -> dict[str, Any]:
    """Against torch in the same precision: the largest difference; and its time, as it goes out and as a CUDA graph's."""
    shape = SlotShape(_FRAME, bundle.net_size(*_FRAME), bundle.patches)
    tensors = {name: torch.rand(shape.of(name), device="cuda", dtype=torch.float16) for name in node.reads}
    result = tensors[node.writes[0]] = torch.zeros(shape.of(node.writes[0]), device="cuda", dtype=torch.float16)
    context = engine.create_execution_context(flavor.runtime_config(engine))
    stream = torch.cuda.Stream()
    done = context is not None and context.set_optimization_profile_async(0, stream.cuda_stream)
    for name, tensor in tensors.items():
        if name in node.reads:
            done = done and context.set_input_shape(name, tuple(tensor.shape))
        done = done and context.set_tensor_address(name, tensor.data_ptr())
    for _ in range(3):
        done = done and context.execute_async_v3(stream.cuda_stream)
    stream.synchronize()
    if not done:
        return {"ran": False}
    with torch.inference_mode():
        net = OnnxNet(bundle.net_path(node.name)).to("cuda", torch.float16)
        expected = net(*(tensors[name] for name in node.reads))
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record(stream)
    for _ in range(_RUNS):
        context.execute_async_v3(stream.cuda_stream)
    end.record(stream)
    end.synchronize()
    return {"ms": begin.elapsed_time(end) / _RUNS, "difference": float((result - expected).abs().max())}
