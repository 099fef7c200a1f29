"""The CPU backend: OpenVINO runs the bundle's ONNX files, in int8 where the bundle has ranges for that."""

import math
import os
import platform
import re
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.host import HostBackend, HostSlot
from vmfm.runtime.bundle import Bundle, Ranges
from vmfm.runtime.errors import BackendError
from vmfm.runtime.graph import Node

# Where OpenVINO's int8 was seen to be faster than its float32: from AVX on, and most with VNNI.
INT8_MACHINES = ("x86_64", "amd64")
OUTPUT_AXIS = {"Convolution": 0, "ConvolutionBackpropData": 1}  # of kernels; grouped ones gain nothing in int8
KEPT_SIZES = 4  # net sizes kept compiled: a folder of landscape, portrait and square photos alternates between few


class OpenVinoSlot(HostSlot):
    """A host slot with one inference request per net, bound to the slot's arrays."""

    requests: dict[str, ov.InferRequest]


class OpenVinoBackend(HostBackend):
    name = "cpu"
    slot_type = OpenVinoSlot
    takes_int8: ClassVar[bool] = platform.machine().lower() in INT8_MACHINES

    def __init__(self, bundle: Bundle, nodes: tuple[Node, ...], threads: int | None = None) -> None:
        """threads: CPU threads per net; by default two, or half the cores where there are more than four.

        Lanes side by side are faster than one net at a time with all cores, even on two cores (by a quarter, step and
        pipelined): small nets do not keep several threads busy, and operations between nets keep none.
        """
        super().__init__(bundle, nodes)
        cores = usable_cores()
        self.one_lane = cores == 1
        self._threads = threads or min(cores, max(2, cores // 2))
        self._core = ov.Core()
        self._models = {node.name: self._read(node) for node in nodes if node.is_net}
        self._compiled: OrderedDict[tuple, dict[str, ov.CompiledModel]] = OrderedDict()
        device = self._core.get_property("CPU", "FULL_DEVICE_NAME").strip()
        self.note = f"OpenVINO {ov.__version__.split('-')[0]} on {device}, {cores} cores"
        if in_int8 := [name for name in self._models if self._takes(name)]:
            self.note += f", {len(in_int8)} of {len(self._models)} nets in int8"

    def open_slot(self, shape: SlotShape) -> OpenVinoSlot:
        compiled = self._compile(shape)
        slot = super().open_slot(shape)
        assert isinstance(slot, OpenVinoSlot)
        slot.requests = {
            node.name: _bind(compiled[node.name].create_infer_request(), slot, node)
            for node in self.nodes
            if node.is_net
        }
        return slot

    def close_slot(self, slot: HostSlot) -> None:
        assert isinstance(slot, OpenVinoSlot)
        slot.requests.clear()
        super().close_slot(slot)

    def run_net(self, slot: HostSlot, node: Node) -> None:
        assert isinstance(slot, OpenVinoSlot)
        request = slot.requests[node.name]
        request.start_async()
        request.wait()

    def close(self) -> None:
        super().close()
        self._compiled.clear()
        self._models.clear()

    def _read(self, node: Node) -> ov.Model:
        path = self.bundle.net_path(node.name)
        try:
            model = self._core.read_model(path)
        except (RuntimeError, UnicodeDecodeError) as error:  # its messages quote what it read
            raise BackendError(f"OpenVINO cannot read {path}: {_reason(error)}") from error
        if self._takes(node.name):
            try:
                quantise(model, self.bundle.ranges[node.name], kernel_bits=8 if has_vnni() else 7)
            except KeyError as error:
                raise BackendError(
                    f"{self.bundle.path} has an int8 range for {error}, and {path.name} no such tensor; "
                    "quantise or install the bundle again, or use the backend cpu-f32"
                ) from error
        return model

    def _takes(self, net: str) -> bool:
        """Whether a net runs in int8."""
        return self.takes_int8 and net in self.bundle.ranges

    def _compile(self, shape: SlotShape) -> dict[str, ov.CompiledModel]:
        """All nets for one size, static shapes: OpenVINO then plans memory and kernels once."""
        key = (shape.net_size, shape.patches)
        if key not in self._compiled:
            self._compiled[key] = {node.name: self._compile_net(node, shape) for node in self.nodes if node.is_net}
            while len(self._compiled) > KEPT_SIZES:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key]

    def _compile_net(self, node: Node, shape: SlotShape) -> ov.CompiledModel:
        model = self._models[node.name].clone()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # of what is not in int8; bf16 gains with AMX only, and else loses
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # lanes share the cores; pinned ones would all sit on the first
        }
        try:
            model.reshape({name: list(shape.of(name)) for name in node.reads})
            return self._core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise BackendError(
                f"OpenVINO cannot compile the net {node.name!r} of {self.bundle.path} "
                f"for {shape.net_size[1]}x{shape.net_size[0]}: {_reason(error)}"
            ) from error


class OpenVinoF32Backend(OpenVinoBackend):
    """Computes in float32 throughout, to compare with or to be exact."""

    name = "cpu-f32"
    takes_int8 = False


def quantise(model: ov.Model, ranges: Ranges, kernel_bits: int) -> None:
    """Marks what `model` may compute in int8; OpenVINO then picks the instructions when it compiles.

    ranges: what 256 steps have to span, for each tensor that convolutions read. kernel_bits: 8, or 7 on CPUs that add two
    products in 16 bits, which 8-bit kernels overflow. Raises KeyError for a tensor that is not there.
    """
    tensors = {name: output for op in model.get_ops() for output in op.outputs() for name in output.get_names()}
    for name, (low, high) in ranges.items():
        readers = tensors[name].get_target_inputs()
        rounded = _in_steps(tensors[name], np.float32(low), np.float32(high), 256)
        for reader in readers:
            reader.replace_source_output(rounded.output(0))
    for op in model.get_ops():
        if (axis := OUTPUT_AXIS.get(op.get_type_name())) is not None:
            kernel = op.input_value(1)
            peak = np.abs(_constant(kernel)).max(axis=tuple({0, 1, 2, 3} - {axis}), keepdims=True)
            peak[peak == 0] = 1
            reach = peak * 2 ** (8 - kernel_bits)  # of all 255 steps: beyond the peak they go unused
            op.input(1).replace_source_output(_in_steps(kernel, -reach, reach, 255).output(0))


def has_vnni() -> bool:
    """Whether the CPU adds 8-bit products in 32 bits; no, where Linux cannot be asked."""
    try:
        return re.search(r"\bavx(512)?_vnni\b", Path("/proc/cpuinfo").read_text()) is not None
    except OSError:
        return False


def _in_steps(output: ov.Output, low: np.ndarray | np.float32, high: np.ndarray | np.float32, steps: int) -> ov.Node:
    return ops.fake_quantize(output, *(ops.constant(value) for value in (low, high, low, high)), steps)


def _constant(output: ov.Output) -> np.ndarray:
    """The float32 values of a kernel, which is stored in fp16 with a conversion behind it."""
    node = output.get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return node.get_data().astype(np.float32)


def _bind(request: ov.InferRequest, slot: HostSlot, node: Node) -> ov.InferRequest:
    """Makes a request read from and write to the slot's own arrays: no copies, nothing allocated per frame."""
    for name in (*node.reads, *node.writes):
        request.set_tensor(name, ov.Tensor(slot.tensors[name], shared_memory=True))
    return request


def usable_cores() -> int:
    """How many cores this process may use, which in a container is often fewer than there are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cpu_quota())))


def _cpu_quota(group: Path = Path("/sys/fs/cgroup")) -> float:
    """How many cores' time a container grants: `docker --cpus`, a limit of Kubernetes. Infinite where it does not say."""
    with suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return math.inf if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):  # the older interface
        quota, period = (
            (group / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
        )
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    return math.inf


def _reason(error: Exception) -> str:
    """The last line of an OpenVINO error: the ones above tell where in its sources it was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
