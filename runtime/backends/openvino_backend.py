"""The CPU backend: OpenVINO runs the bundle's ONNX files."""

import os
from collections import OrderedDict

import openvino as ov
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.host import HostBackend, HostSlot
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.errors import BackendError
from vmfm.runtime.graph import Node

KEPT_SIZES = 4  # net sizes kept compiled: a folder of landscape, portrait and square photos alternates between few


class OpenVinoSlot(HostSlot):
    """A host slot with one inference request per net, bound to the slot's arrays."""

    requests: dict[str, ov.InferRequest]


class OpenVinoBackend(HostBackend):
    name = "cpu"

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

    def open_slot(self, shape: SlotShape) -> OpenVinoSlot:
        slot = OpenVinoSlot(shape, self.nodes)
        compiled = self._compile(shape)
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
            return self._core.read_model(path)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot read {path}: {_reason(error)}") from error

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
            "INFERENCE_PRECISION_HINT": "f32",  # bf16 would be faster on some CPUs, but it moves soft edges
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


def _bind(request: ov.InferRequest, slot: HostSlot, node: Node) -> ov.InferRequest:
    """Makes a request read from and write to the slot's own arrays: no copies, nothing allocated per frame."""
    for name in (*node.reads, *node.writes):
        request.set_tensor(name, ov.Tensor(slot.tensors[name], shared_memory=True))
    return request


def usable_cores() -> int:
    """How many cores this process may use, which in a container is often fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _reason(error: Exception) -> str:
    """The last line of an OpenVINO error: the ones above tell where in its sources it was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
