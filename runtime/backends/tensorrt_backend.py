"""The TensorRT backend: FP16 engines and our kernels on an NVIDIA GPU; lanes are CUDA streams.

Engines come from the engine cache, where `vmfm build` puts them. Every slot has an execution context of its own per net:
a context must not run twice at a time, and one whose addresses never change can be replayed as a CUDA graph. Uploads and
downloads have streams of their own, so that copying overlaps with computing.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from vmfm.runtime.backends.base import Backend, Slot, SlotShape
from vmfm.runtime.backends.tensorrt_flavor import Flavor, open_flavor
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.cuda.compile import kernels_for
from vmfm.runtime.cuda.driver import Device, DeviceBuffer, Event, PinnedArray, Stream
from vmfm.runtime.cuda.errors import hint
from vmfm.runtime.cuda.launch import Module
from vmfm.runtime.cuda.layouts import Layout, memory_layout, nbytes, scratch_layout, tensor_layout
from vmfm.runtime.cuda.operations import Operations
from vmfm.runtime.cuda.whole import WHOLE_DEVICE
from vmfm.runtime.engines import EngineCache, EngineKey, Profile, tensor_shape
from vmfm.runtime.errors import BackendError, FrameError
from vmfm.runtime.files import cache_folder, write_whole
from vmfm.runtime.graph import BACKGROUND, INPUT, MEMORY, Node, inputs
from vmfm.runtime.schedule import Schedule, Step

WARM_UP_RUNS = 2  # the first one compiles what is left to compile, the second one captures CUDA graphs


class Engine:
    """One net's engine on the GPU, and the sizes it was built for."""

    def __init__(self, engine: Any, profiles: tuple[Profile, ...]) -> None:
        self.engine, self.profiles = engine, profiles

    def profile_for(self, size: tuple[int, ...]) -> int:
        """The first profile that takes a size, exact ones coming first. Raises FrameError: other frames may fit."""
        for index, profile in enumerate(self.profiles):
            if profile.covers(size):
                return index
        widest = "x".join(map(str, self.profiles[-1].high))
        raise FrameError(
            f"the engines take sizes up to {widest}, these frames need {'x'.join(map(str, size))}; "
            "crop the frames, or use another backend"
        )


class UnusableEngineError(BackendError):
    """An engine that has to be built again."""


class TensorRTSlot(Slot):
    """Buffers by array name, and per node a context or launches, and the events before and after."""

    def __init__(self, shape: SlotShape, layout: Layout) -> None:
        super().__init__(shape)
        self.layout = layout
        self.buffers: dict[str, DeviceBuffer] = {}
        self.pinned: dict[str, PinnedArray] = {}
        self.contexts: dict[str, Any] = {}
        self.starts: dict[str, Event] = {}
        self.ends: dict[str, Event] = {}
        self.uploads: dict[str, Event] = {}
        self.operations: Operations | None = None
        self.ran: list[str] = []  # of the frame in flight
        self.first = True
        self.error: BackendError | None = None

    def close(self) -> None:
        """Contexts go before the memory that they point to."""
        self.contexts.clear()
        for resources in (self.buffers, self.pinned, self.starts, self.ends, self.uploads):
            for resource in resources.values():
                resource.close()
            resources.clear()


class TensorRTBackend(Backend):
    name = "tensorrt"
    on_gpu = True

    def __init__(
        self,
        bundle: Bundle,
        nodes: tuple[Node, ...],
        *,
        flavor: Flavor | None = None,
        device: Device | None = None,
        cache: EngineCache | None = None,
    ) -> None:
        """flavor, device, cache: by default the TensorRT, the GPU and the engine cache of this computer."""
        super().__init__(bundle, nodes)
        self._flavor = flavor or open_flavor()
        self._log = self._flavor.log()
        self._lanes: dict[str, Stream] = {}
        self._upload: Stream
        self._download: Stream
        self._readers: dict[str, tuple[Stream, ...]] = {}  # of each input the lanes that read it
        self._slots: list[TensorRTSlot] = []
        self._memories: dict[SlotShape, dict[str, DeviceBuffer]] = {}
        self._engines: dict[str, Engine] = {}
        self._module: Module | None = None
        self._runtime: Any = None
        self._runtime_cache: Any = None
        self._device = device or Device.open()
        try:
            self._load([EngineCache(bundle.path / "engines"), EngineCache()] if cache is None else [cache])
        except BaseException:
            self.close()
            raise
        self.note = f"{self._flavor.label} on {self._device.name}"

    def start(self, schedule: Schedule) -> None:
        self._upload, self._download = self._device.stream(), self._device.stream()
        self._lanes = {name: self._device.stream() for name in schedule.lanes}
        self._readers = {
            name: tuple(self._lanes[lane] for lane in schedule.readers(name)) for name in inputs(self.nodes)
        }

    def open_slot(self, shape: SlotShape) -> TensorRTSlot:
        slot = TensorRTSlot(shape, tensor_layout(shape, self.nodes))
        self._slots.append(slot)
        try:
            with WHOLE_DEVICE:  # CUDA graphs are recorded
                self._fill(slot)
                self._warm_up(slot)
        except BaseException:
            self.close_slot(slot)
            raise
        return slot

    def close_slot(self, slot: TensorRTSlot) -> None:
        slot.close()
        self._slots.remove(slot)
        if not any(other.shape == slot.shape for other in self._slots):
            for buffer in self._memories.pop(slot.shape, {}).values():
                buffer.close()

    def issue(self, slot: TensorRTSlot, steps: Iterable[Step]) -> None:
        with (
            self._kept(slot),
            self._device.current("issue a frame"),
        ):  # once, not by every call: it takes longer than most
            super().issue(slot, steps)

    def put_frame(
        self, slot: TensorRTSlot, frame: np.ndarray, *, first: bool, background: np.ndarray | None = None
    ) -> None:
        slot.first, slot.error = first, None
        slot.ran.clear()
        with self._kept(slot):
            self._put(slot, INPUT, frame)
            if background is not None:
                self._put(slot, BACKGROUND, background)

    def run(self, lane: str, slot: TensorRTSlot, node: Node) -> None:
        if slot.error is None:
            with self._kept(slot):
                self._issue(self._lanes[lane], slot, node)

    def record(self, lane: str, slot: TensorRTSlot, name: str) -> None:
        """run() has marked the node's end already, to time it; a frame that failed needs no mark."""

    def wait(self, lane: str, slot: TensorRTSlot, name: str) -> None:
        if slot.error is None:
            with self._kept(slot):
                self._lanes[lane].wait(slot.ends[name])

    def matte(self, slot: TensorRTSlot, name: str) -> dict[str, np.ndarray]:
        if slot.error is None:
            with self._kept(slot):
                slot.ends[name].synchronize()
                for ran in slot.ran:
                    self.timings.add(ran, slot.ends[ran].ms_since(slot.starts[ran]))
        if slot.error is not None:
            self.drain()
            raise slot.error
        return {name: slot.pinned[name].array.copy() for name in self.delivers}

    def drain(self) -> None:
        with contextlib.suppress(BackendError):  # a GPU that is lost has nothing to wait for
            self._device.synchronize()

    def read(self, slot: TensorRTSlot, tensor: str) -> np.ndarray:
        self._device.synchronize()
        buffer, (shape, kind) = self._array(slot, tensor)
        value = np.empty(shape, kind)
        buffer.download(value)
        return value.astype(slot.shape.dtype(tensor), copy=False)

    def write(self, slot: TensorRTSlot, tensor: str, value: np.ndarray) -> None:
        self._device.synchronize()
        buffer, (_, kind) = self._array(slot, tensor)
        buffer.upload(np.ascontiguousarray(value, kind))
        self._device.synchronize()  # a copy from ordinary memory may still be on its way when the call returns

    def close(self) -> None:
        """What was compiled for this GPU is kept for next time; then contexts, engines, kernels, memory."""
        self.drain()
        self._save_runtime_cache()
        for slot in self._slots:
            slot.contexts.clear()
        self._slots.clear()
        self._memories.clear()
        self._engines.clear()
        self._runtime = self._runtime_cache = None
        module, self._module = self._module, None
        if module is not None:
            with contextlib.suppress(BackendError), self._device.current("unload its kernels"):
                module.close()
        self._device.close()

    def _load(self, caches: list[EngineCache]) -> None:
        """Kernels and engines. Raises BackendError where an engine is missing, saying how to build it."""
        found = {node: self._find(node, caches) for node in self.nodes if node.is_net}
        cubin = kernels_for(self._device.capability)
        with self._device.current("load the engines"):
            self._module = Module(cubin)
            self._runtime = self._flavor.library.Runtime(self._log)
            for node, (cache, key) in found.items():
                try:
                    self._engines[node.name] = self._deserialise(node, cache.load(key), key.profiles)
                except UnusableEngineError:
                    cache.forget(key)  # or `vmfm build` would find it whole
                    raise
            first = next(iter(self._engines.values()))
            self._runtime_cache = self._flavor.runtime_cache(first.engine)
            self._restore_runtime_cache()

    def _find(self, node: Node, caches: list[EngineCache]) -> tuple[EngineCache, EngineKey]:
        major, minor = self._device.capability
        capability = 10 * major + minor
        device = "" if self._flavor.capabilities else self._device.name
        reasons = []
        for cache in caches:
            try:
                found = cache.find(self.bundle, node, self._flavor.name, self._flavor.version, capability, device)
                return cache, found
            except BackendError as error:
                reasons.append(str(error))
        reason = max(reasons, key=lambda reason: reason != "not built yet")
        raise BackendError(
            f"the engine of {node.name} for {self._device.name} (sm{capability}) and {self._flavor.label} is {reason}: "
            f"run `vmfm build --bundle {self.bundle.path} --flavor {self._flavor.name}` once"
        )

    def _deserialise(self, node: Node, engine: bytes, profiles: tuple[Profile, ...]) -> Engine:
        made = self._runtime.deserialize_cuda_engine(engine)
        if made is None:
            said = self._said()
            if remedy := hint(said):  # full memory, say: no other engine would help
                raise BackendError(f"{self._flavor.label} cannot load the engine of {node.name} ({said}); {remedy}")
            raise UnusableEngineError(
                f"{self._flavor.label} refuses the engine of {node.name} on {self._device.name}: {said}; "
                f"check that the driver is release 580 or newer, then run `vmfm build --bundle {self.bundle.path}` again"
            )
        names = {made.get_tensor_name(index) for index in range(made.num_io_tensors)}
        types = {made.get_tensor_dtype(name) for name in names}
        if names != {*node.reads, *node.writes} or types != {self._flavor.library.DataType.HALF}:
            raise UnusableEngineError(
                f"the engine of {node.name} has tensors {sorted(names)} of {types}; wanted "
                f"{sorted({*node.reads, *node.writes})} in fp16: run `vmfm build --bundle {self.bundle.path}` again"
            )
        return Engine(made, profiles)

    def _fill(self, slot: TensorRTSlot) -> None:
        """Allocates a slot and binds every node to its memory, once."""
        scratch, memory = nbytes(scratch_layout(slot.shape, self.nodes)), nbytes(memory_layout(slot.shape))
        for name, size in (*nbytes(slot.layout).items(), *scratch.items()):
            slot.buffers[name] = self._device.buffer(size)
        if slot.shape not in self._memories:
            self._memories[slot.shape] = {name: self._device.buffer(size) for name, size in memory.items()}
            for buffer in self._memories[slot.shape].values():
                buffer.clear()  # a frame that follows a failed first one leans on it all the same
        for name in (*self._readers, *self.delivers):
            slot.pinned[name] = self._device.pinned(*slot.layout[name])
        for name in self._readers:
            slot.uploads[name] = self._device.event()
        for node in self.nodes:
            slot.starts[node.name] = self._device.event()
            slot.ends[node.name] = self._device.event(sleeping=node.name == "deliver")
            if node.is_net:
                slot.contexts[node.name] = self._context(slot, node)
        buffers = {**slot.buffers, **self._memories[slot.shape]}
        addresses = {name: buffer.pointer for name, buffer in buffers.items()}
        assert self._module is not None
        slot.operations = Operations(self._module, slot.shape, self.nodes, addresses)

    def _context(self, slot: TensorRTSlot, node: Node) -> Any:
        """An execution context of a net whose sizes and addresses are those of the slot, for good."""
        engine = self._engines[node.name]
        size = (slot.shape.patches,) if "patches" in node.reads else slot.shape.net_size
        profile = engine.profile_for(size)
        stream = self._lanes.get(node.lane) or next(iter(self._lanes.values()))
        with self._device.current(f"ready {node.name}"):
            config = self._flavor.runtime_config(engine.engine, self._runtime_cache)
            context = engine.engine.create_execution_context(config)
            done = context is not None and context.set_optimization_profile_async(profile, stream.handle)
            for name in node.reads:
                done = done and context.set_input_shape(name, tensor_shape(name, size))
            for name in (*node.reads, *node.writes):
                done = done and context.set_tensor_address(name, slot.buffers[name].pointer)
        stream.synchronize()
        if not done:
            raise BackendError(f"{self._flavor.label} could not ready {node.name} for {size}: {self._said()}")
        return context

    def _warm_up(self, slot: TensorRTSlot) -> None:
        """Runs every net, so that the first frame does not pay for compiling and capturing."""
        stream = next(iter(self._lanes.values()))
        for _ in range(WARM_UP_RUNS):
            for node in self.nodes:
                if node.is_net:
                    self._execute(stream, slot, node)
            stream.synchronize()

    def _array(self, slot: TensorRTSlot, name: str) -> tuple[DeviceBuffer, tuple[tuple[int, ...], type[np.generic]]]:
        """Where a tensor lies, its shape and type."""
        if name == MEMORY:
            return self._memories[slot.shape][name], memory_layout(slot.shape)[name]
        return slot.buffers[name], slot.layout[name]

    def _put(self, slot: TensorRTSlot, name: str, value: np.ndarray) -> None:
        """Starts the upload of an input; the lanes that read it wait for that, the host does not."""
        np.copyto(slot.pinned[name].array, value)
        slot.buffers[name].upload(slot.pinned[name].array, self._upload)
        slot.uploads[name].record(self._upload)
        for lane in self._readers[name]:
            lane.wait(slot.uploads[name])

    def _issue(self, stream: Stream, slot: TensorRTSlot, node: Node) -> None:
        slot.starts[node.name].record(stream)
        if node.is_net:
            self._execute(stream, slot, node)
        elif node.name == "deliver":
            stream = self._download
            stream.wait(slot.starts[node.name])
            for name in node.reads:
                slot.buffers[name].download(slot.pinned[name].array, stream)
        else:
            assert slot.operations is not None
            with self._device.current(f"run {node.name}"):
                slot.operations.run(node, stream.handle, first=slot.first)
        slot.ends[node.name].record(stream)
        slot.ran.append(node.name)

    def _execute(self, stream: Stream, slot: TensorRTSlot, node: Node) -> None:
        with self._device.current(f"run {node.name}"):
            done = slot.contexts[node.name].execute_async_v3(stream.handle)
        if not done:
            raise BackendError(f"{self._flavor.label} could not run {node.name}: {self._said()}")

    @contextlib.contextmanager
    def _kept(self, slot: TensorRTSlot) -> Iterator[None]:
        """Keeps a failure for matte() to tell: the host must not stop half-way through a frame."""
        try:
            yield
        except BackendError as error:
            slot.error = error

    def _said(self) -> str:
        said, self._log.errors = "; ".join(self._log.errors), []
        return said or "it does not say why"

    def _runtime_cache_file(self) -> Path:
        of = f"{self._flavor.name}-{self._flavor.version}-{self._device.name}-{self.bundle.nets['depth'].sha256}"
        return cache_folder() / "runtime" / f"{hashlib.sha256(of.encode()).hexdigest()[:20]}.cache"

    def _restore_runtime_cache(self) -> None:
        """The library checks by itself whether what was kept is still good."""
        if self._runtime_cache is not None:
            with contextlib.suppress(OSError):
                self._runtime_cache.deserialize(self._runtime_cache_file().read_bytes())

    def _save_runtime_cache(self) -> None:
        """A cache that cannot be written costs time, and is no error."""
        if self._runtime_cache is None:
            return
        file = self._runtime_cache_file()
        with contextlib.suppress(OSError, BackendError), self._device.current("keep what was compiled"):
            kept = self._runtime_cache.serialize()
            if kept is not None:
                write_whole(file, bytes(kept))
