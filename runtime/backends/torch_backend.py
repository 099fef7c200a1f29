"""The torch backend: the bundle's nets on any CUDA GPU, without TensorRT; or, without a GPU, on the CPU.

On CUDA each lane is a stream and each net a CUDA graph, recorded when a slot opens; operations are our kernels. A frame
is uploaded once and stays on the GPU until its matte is downloaded; the host waits for nothing but the matte it
collects. Uploads and downloads have streams of their own, so that copying overlaps with computing.
"""

import contextlib
from functools import partial

import numpy as np
import torch
from torch import Tensor
from vmfm.runtime.backends.base import Backend, Slot, SlotShape
from vmfm.runtime.backends.host import HostBackend, HostSlot
from vmfm.runtime.backends.torch_nets import OnnxNet
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.cuda.compile import kernels_for
from vmfm.runtime.cuda.errors import cuda_error, told
from vmfm.runtime.cuda.launch import Module
from vmfm.runtime.cuda.layouts import Layout, memory_layout, scratch_layout, tensor_layout
from vmfm.runtime.cuda.operations import Operations
from vmfm.runtime.cuda.whole import WHOLE_DEVICE
from vmfm.runtime.errors import BackendError
from vmfm.runtime.graph import BACKGROUND, INPUT, TENSORS, Node, inputs
from vmfm.runtime.schedule import Schedule

OLDEST_GPU = (7, 5)
WARM_UP_RUNS = 3  # before a net is recorded: libraries choose their algorithms and set themselves up
_TYPES = {
    np.uint8: torch.uint8,
    np.uint64: torch.int64,  # for its size; only our kernels look inside
    np.float16: torch.float16,
    np.float32: torch.float32,
}


def open_torch_backend(bundle: Bundle, nodes: tuple[Node, ...]) -> Backend:
    """On the GPU if torch can use one, else on the CPU. Raises BackendError if the GPU or its driver is unusable."""
    backend = TorchCudaBackend if torch.cuda.is_available() else TorchCpuBackend
    return backend(bundle, nodes)


def _load_nets(bundle: Bundle, nodes: tuple[Node, ...]) -> dict[str, OnnxNet]:
    return {node.name: OnnxNet(bundle.net_path(node.name)) for node in nodes if node.is_net}


class TorchCpuBackend(HostBackend):
    """The nets in float32 on the CPU, the operations by their definitions."""

    name = "torch"

    def __init__(self, bundle: Bundle, nodes: tuple[Node, ...]) -> None:
        super().__init__(bundle, nodes)
        self._nets = _load_nets(bundle, nodes)
        self.note = f"torch {torch.__version__} on the CPU, {torch.get_num_threads()} threads; torch sees no CUDA GPU"

    @torch.inference_mode()
    def run_net(self, slot: HostSlot, node: Node) -> None:
        result = self._nets[node.name](*(torch.from_numpy(slot.tensors[name]) for name in node.reads))
        torch.from_numpy(slot.tensors[node.writes[0]]).copy_(result)


class CudaSlot(Slot):
    """A slot on the GPU: its tensors, what was recorded or prepared for them, and events around every node."""

    def __init__(self, shape: SlotShape, nodes: tuple[Node, ...]) -> None:
        super().__init__(shape)
        self.tensors: dict[str, Tensor] = {}
        self.arrays: dict[str, Tensor] = {}  # these and what the operations work in: kernels know addresses alone
        self.graphs: dict[str, torch.cuda.CUDAGraph] = {}
        self.operations: Operations
        self.staging: dict[str, Tensor] = {}  # inputs in pinned host memory
        self.uploaded = {name: torch.cuda.Event() for name in inputs(nodes)}
        self.started = {node.name: torch.cuda.Event(enable_timing=True) for node in nodes}
        # The host sleeps until the last one, where it would by default keep a core busy asking.
        self.done = {node.name: torch.cuda.Event(enable_timing=True, blocking=node.name == "deliver") for node in nodes}
        self.ran: dict[str, None] = {}  # the nodes of the frame in flight, in order
        self.first = True
        self.error: Exception | None = None
        self.matte: dict[str, Tensor] | None = None

    def clear(self) -> None:
        """Graphs go before the memory that they work on."""
        for resources in (self.graphs, self.tensors, self.arrays, self.staging):
            resources.clear()


class TorchCudaBackend(Backend):
    """The nets in float16 on a CUDA GPU."""

    name = "torch"
    on_gpu = True

    def __init__(self, bundle: Bundle, nodes: tuple[Node, ...]) -> None:
        super().__init__(bundle, nodes)
        self._module: Module | None = None
        self._lanes: dict[str, torch.cuda.Stream] = {}
        self._slots: list[CudaSlot] = []
        self._memories: dict[SlotShape, dict[str, Tensor]] = {}  # all slots of a shape share one
        with WHOLE_DEVICE, told("start", RuntimeError):
            self._device = torch.device("cuda", torch.cuda.current_device())
            name, capability = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
            if capability < OLDEST_GPU:
                raise cuda_error("start", f"no kernel image for {name}, compute capability {capability}")
            loaded = _load_nets(bundle, nodes)  # puts the context in place too, which the kernels are loaded into
            self._nets = {net: module.to(self._device, torch.float16) for net, module in loaded.items()}
            torch.cuda.synchronize()
            self._upload, self._download = torch.cuda.Stream(), torch.cuda.Stream()
        self._module = Module(kernels_for(capability))
        self.note = f"torch {torch.__version__} on {name}, float16"

    def start(self, schedule: Schedule) -> None:
        with told("create streams", RuntimeError):
            self._lanes = {lane: torch.cuda.Stream() for lane in schedule.lanes}
            self._lane_of = {step.node.name: step.lane for step in schedule.steps}
            self._readers = {name: schedule.readers(name) for name in inputs(self.nodes)}
            # The graphs of one lane run one after the other and may share their scratch memory.
            self._pools = {lane: torch.cuda.graph_pool_handle() for lane in schedule.lanes}

    def open_slot(self, shape: SlotShape) -> CudaSlot:
        with WHOLE_DEVICE, told(f"prepare for frames of {shape.frame_size[1]}x{shape.frame_size[0]}", RuntimeError):
            slot = CudaSlot(shape, self.nodes)
            self._slots.append(slot)
            try:
                self._fill(slot)
            except BaseException:
                self._let_go(slot)
                raise
            return slot

    def close_slot(self, slot: CudaSlot) -> None:
        with WHOLE_DEVICE, told("free a slot", RuntimeError):
            torch.cuda.synchronize()
            self._let_go(slot)

    def put_frame(
        self, slot: CudaSlot, frame: np.ndarray, *, first: bool, background: np.ndarray | None = None
    ) -> None:
        slot.first, slot.error, slot.matte = first, None, None
        slot.ran.clear()
        try:
            torch.cuda.set_device(self._device)  # the caller's thread may be a new one
            self._put(slot, INPUT, frame)
            if background is not None:
                self._put(slot, BACKGROUND, background)
        except RuntimeError as error:
            slot.error = error

    def run(self, lane: str, slot: CudaSlot, node: Node) -> None:
        if slot.error is not None:
            return
        stream = self._lanes[lane]
        try:
            slot.started[node.name].record(stream)
            if node.is_net:
                with torch.cuda.stream(stream):
                    slot.graphs[node.name].replay()
            elif node.name == "deliver":
                stream = self._deliver(slot)
            else:
                slot.operations.run(node, stream.cuda_stream, first=slot.first)
            slot.done[node.name].record(stream)
            slot.ran[node.name] = None
        except (RuntimeError, BackendError) as error:
            slot.error = error

    def record(self, lane: str, slot: CudaSlot, name: str) -> None:
        """run() has marked the end of the node already, for the timings."""

    def wait(self, lane: str, slot: CudaSlot, name: str) -> None:
        if slot.error is None:
            try:
                self._lanes[lane].wait_event(slot.done[name])
            except RuntimeError as error:
                slot.error = error

    def matte(self, slot: CudaSlot, name: str) -> dict[str, np.ndarray]:
        if slot.error is not None:
            self.drain()
        if isinstance(slot.error, BackendError):
            raise slot.error
        if slot.error is not None:
            raise cuda_error("run a frame", slot.error) from slot.error
        with told("finish a frame", RuntimeError):
            slot.done[name].synchronize()
            self._take_times(slot)
        assert slot.matte is not None
        matte, slot.matte = slot.matte, None
        return {name: result.numpy() for name, result in matte.items()}

    def drain(self) -> None:
        with WHOLE_DEVICE, contextlib.suppress(RuntimeError):  # a GPU that is lost has nothing to wait for
            torch.cuda.synchronize()

    def read(self, slot: CudaSlot, tensor: str) -> np.ndarray:
        with WHOLE_DEVICE, told("read a tensor", RuntimeError):
            torch.cuda.synchronize()
            value = slot.tensors[tensor].to("cpu", copy=True)
        return (value.float() if tensor in TENSORS else value).numpy()

    def write(self, slot: CudaSlot, tensor: str, value: np.ndarray) -> None:
        with WHOLE_DEVICE, told("write a tensor", RuntimeError):
            torch.cuda.synchronize()
            slot.tensors[tensor].copy_(torch.from_numpy(np.array(value, order="C")))
            torch.cuda.synchronize()

    def close(self) -> None:
        module, self._module = self._module, None
        if module is None:
            return
        slots, self._slots = self._slots, []
        try:
            with WHOLE_DEVICE, told("close", RuntimeError):
                torch.cuda.set_device(self._device)
                torch.cuda.synchronize()
                module.close()
        finally:
            for slot in slots:
                slot.clear()
            self._lanes.clear()
            self._nets.clear()
            self._memories.clear()
        with WHOLE_DEVICE, told("close", RuntimeError):
            torch.cuda.empty_cache()

    def _put(self, slot: CudaSlot, name: str, value: np.ndarray) -> None:
        """Starts the upload of an input; the lanes that read it wait for that, the host does not."""
        staging = slot.staging[name]
        if value.flags.c_contiguous and value.flags.writeable:
            staging.copy_(torch.from_numpy(value))  # with several threads; torch takes no other arrays
        else:
            np.copyto(staging.numpy(), value)
        with torch.cuda.stream(self._upload):
            slot.tensors[name].copy_(staging, non_blocking=True)
            slot.uploaded[name].record(self._upload)
        for lane in self._readers[name]:
            self._lanes[lane].wait_event(slot.uploaded[name])

    def _fill(self, slot: CudaSlot) -> None:
        """Allocates a slot, records its nets and prepares its operations, once."""
        shape = slot.shape
        scratch = self._allocate(scratch_layout(shape, self.nodes))
        slot.tensors = self._allocate(tensor_layout(shape, self.nodes))
        for name in self._readers:
            slot.staging[name] = torch.empty(shape.of(name), dtype=torch.uint8, pin_memory=True)
        if shape not in self._memories:
            self._memories[shape] = self._allocate(memory_layout(shape))
        slot.tensors |= self._memories[shape]
        slot.arrays = {**scratch, **slot.tensors}
        torch.cuda.synchronize()
        assert self._module is not None
        addresses = {name: tensor.data_ptr() for name, tensor in slot.arrays.items()}
        slot.operations = Operations(self._module, shape, self.nodes, addresses)
        slot.graphs = {node.name: self._record_net(slot, node) for node in self.nodes if node.is_net}

    def _let_go(self, slot: CudaSlot) -> None:
        """Frees a slot, and with the last one of its shape what they remembered."""
        slot.clear()
        self._slots.remove(slot)
        if not any(other.shape == slot.shape for other in self._slots):
            self._memories.pop(slot.shape, None)

    def _allocate(self, layout: Layout) -> dict[str, Tensor]:
        make = partial(torch.zeros, device=self._device)
        return {name: make(shape, dtype=_TYPES[dtype]) for name, (shape, dtype) in layout.items()}

    @torch.inference_mode()
    def _record_net(self, slot: CudaSlot, node: Node) -> torch.cuda.CUDAGraph:
        """A net as a CUDA graph on the slot's tensors; its scratch memory is that of its lane."""
        net, lane = self._nets[node.name], self._lane_of[node.name]
        inputs, output = [slot.tensors[name] for name in node.reads], slot.tensors[node.writes[0]]

        def compute() -> None:
            fast = (x.contiguous(memory_format=torch.channels_last) for x in inputs)
            output.copy_(net(*fast))

        stream, graph = self._lanes[lane], torch.cuda.CUDAGraph()
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_RUNS):
                    compute()
            torch.cuda.synchronize()
            # Other threads may go on with their frames meanwhile, but none may wait for the whole device.
            with torch.cuda.graph(graph, pool=self._pools[lane], stream=stream, capture_error_mode="thread_local"):
                compute()
        return graph

    def _deliver(self, slot: CudaSlot) -> torch.cuda.Stream:
        """Downloads the matte, beside the lanes; returns the stream that does.

        Into fresh pinned arrays, which the caller keeps: torch takes them from a pool, to which they go back.
        """
        self._download.wait_event(slot.started["deliver"])
        with torch.cuda.stream(self._download):
            slot.matte = {name: self._start_download(slot.tensors[name]) for name in self.delivers}
        return self._download

    @staticmethod
    def _start_download(tensor: Tensor) -> Tensor:
        result = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return result.copy_(tensor, non_blocking=True)

    def _take_times(self, slot: CudaSlot) -> None:
        for node in slot.ran:
            self.timings.add(node, slot.started[node].elapsed_time(slot.done[node]))
        slot.ran.clear()
