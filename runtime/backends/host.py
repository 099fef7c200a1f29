"""A backend whose device is the host: lanes are threads, tensors are NumPy arrays, operations are their definitions.

Whoever runs nets on the CPU derives from HostBackend and adds run_net.
"""

import queue
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
from vmfm.runtime.backends.base import Backend, Slot, SlotShape
from vmfm.runtime.blur import blur_background
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.composite import composite
from vmfm.runtime.errors import BackendError, VmfmError
from vmfm.runtime.fusion import fuse
from vmfm.runtime.graph import BACKGROUND, INPUT, MEMORY, RESULT, Node
from vmfm.runtime.patches import gather, scatter, select
from vmfm.runtime.preprocess import preprocess
from vmfm.runtime.schedule import Schedule
from vmfm.runtime.temporal import steady
from vmfm.runtime.upsample import upsample


class Lane:
    """A thread that does what it is given, in order."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        # A daemon, so that a stream nobody closed does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._loop, name=f"vmfm-lane-{name}", daemon=True)
        self._thread.start()

    def issue(self, work: Callable[[], object]) -> None:
        self._work.put(work)

    def close(self) -> None:
        """Lets the lane finish what it was given, then ends it."""
        self._work.put(None)
        self._thread.join()

    def _loop(self) -> None:
        while (work := self._work.get()) is not None:
            work()


class HostSlot(Slot):
    """Arrays by tensor name, an event per node, and what went wrong with the frame in it, if anything."""

    def __init__(self, shape: SlotShape, nodes: tuple[Node, ...]) -> None:
        super().__init__(shape)
        names = {name for node in nodes for name in (*node.reads, *node.writes)} - {RESULT, MEMORY}
        self.tensors = {name: np.zeros(shape.of(name), shape.dtype(name)) for name in sorted(names | {INPUT})}
        self.events = {node.name: threading.Event() for node in nodes}
        self.first = True
        self.error: Exception | None = None
        self.matte: dict[str, np.ndarray] | None = None


class HostBackend(Backend):
    """Runs operations with NumPy and OpenCV on lanes that are threads."""

    slot_type: ClassVar[type[HostSlot]] = HostSlot

    def __init__(self, bundle: Bundle, nodes: tuple[Node, ...]) -> None:
        super().__init__(bundle, nodes)
        self._lanes: dict[str, Lane] = {}
        self._slots: list[HostSlot] = []
        self._memories: dict[tuple[int, ...], np.ndarray] = {}  # by size; all slots of a size share one

    @abstractmethod
    def run_net(self, slot: HostSlot, node: Node) -> None:
        """Runs a net on a slot's tensors and returns when it is done. Called on the lane's thread."""

    def start(self, schedule: Schedule) -> None:
        self._lanes = {name: Lane(name) for name in schedule.lanes}

    def open_slot(self, shape: SlotShape) -> HostSlot:
        slot = self.slot_type(shape, self.nodes)
        self._slots.append(slot)
        return slot

    def close_slot(self, slot: HostSlot) -> None:
        slot.tensors.clear()
        self._slots.remove(slot)
        size = slot.shape.of(MEMORY)
        if not any(other.shape.of(MEMORY) == size for other in self._slots):
            self._memories.pop(size, None)

    def put_frame(
        self, slot: HostSlot, frame: np.ndarray, *, first: bool, background: np.ndarray | None = None
    ) -> None:
        np.copyto(slot.tensors[INPUT], frame)
        if background is not None:
            np.copyto(slot.tensors[BACKGROUND], background)
        slot.first, slot.error, slot.matte = first, None, None
        for event in slot.events.values():
            event.clear()

    def run(self, lane: str, slot: HostSlot, node: Node) -> None:
        self._lanes[lane].issue(lambda: self._run_now(slot, node))

    def record(self, lane: str, slot: HostSlot, name: str) -> None:
        self._lanes[lane].issue(slot.events[name].set)

    def wait(self, lane: str, slot: HostSlot, name: str) -> None:
        self._lanes[lane].issue(slot.events[name].wait)

    def matte(self, slot: HostSlot, name: str) -> dict[str, np.ndarray]:
        slot.events[name].wait()
        if isinstance(slot.error, VmfmError):
            raise slot.error
        if slot.error is not None:
            raise BackendError(f"the {self.name} backend failed: {slot.error}") from slot.error
        assert slot.matte is not None
        matte, slot.matte = slot.matte, None
        return matte

    def drain(self) -> None:
        ended = []
        for lane in self._lanes.values():
            ended.append(threading.Event())
            lane.issue(ended[-1].set)
        for event in ended:
            event.wait()

    def read(self, slot: HostSlot, tensor: str) -> np.ndarray:
        return self._tensor(slot, tensor).copy()

    def write(self, slot: HostSlot, tensor: str, value: np.ndarray) -> None:
        np.copyto(self._tensor(slot, tensor), value)

    def close(self) -> None:
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            lane.close()
        self._slots.clear()
        self._memories.clear()

    def _tensor(self, slot: HostSlot, name: str) -> np.ndarray:
        if name != MEMORY:
            return slot.tensors[name]
        size = slot.shape.of(MEMORY)
        if size not in self._memories:
            self._memories[size] = np.zeros(size, np.float32)
        return self._memories[size]

    def _run_now(self, slot: HostSlot, node: Node) -> None:
        if slot.error is not None:
            return
        start = time.perf_counter()
        try:
            if node.is_net:
                self.run_net(slot, node)
            else:
                getattr(self, f"_{node.name}")(slot, node)
        except Exception as error:  # noqa: BLE001 - whatever it is, matte() tells it on the user's thread
            slot.error = error
        self.timings.add(node.name, (time.perf_counter() - start) * 1000)

    def _preprocess(self, slot: HostSlot, node: Node) -> None:
        preprocess(slot.tensors["frame"], slot.tensors["image"])

    def _fuse(self, slot: HostSlot, node: Node) -> None:
        alphas = [slot.tensors[name] for name in node.reads if name.startswith("alpha")]
        deviations = [slot.tensors[name] for name in node.reads if name.startswith("deviation")]
        fuse(alphas, deviations, *(slot.tensors[name] for name in node.writes))

    def _upsample(self, slot: HostSlot, node: Node) -> None:
        upsample(*(slot.tensors[name] for name in (*node.reads, *node.writes)))

    def _select(self, slot: HostSlot, node: Node) -> None:
        select(slot.tensors["deviation"], slot.tensors["places"])

    def _gather(self, slot: HostSlot, node: Node) -> None:
        gather(*(slot.tensors[name] for name in (*node.reads, *node.writes)))

    def _scatter(self, slot: HostSlot, node: Node) -> None:
        scatter(*(slot.tensors[name] for name in node.reads))

    def _temporal(self, slot: HostSlot, node: Node) -> None:
        image, doubt, alpha, deviation = (slot.tensors[name] for name in node.reads)
        steady(image, doubt, alpha, deviation, self._tensor(slot, MEMORY), first=slot.first)

    def _blur(self, slot: HostSlot, node: Node) -> None:
        frame, alpha, background = (slot.tensors[name] for name in (*node.reads, *node.writes))
        blur_background(frame, alpha, background, node.over.radius_px)

    def _composite(self, slot: HostSlot, node: Node) -> None:
        frame, alpha, background, picture = (slot.tensors[name] for name in (*node.reads, *node.writes))
        composite(frame, alpha, background, linear=node.over.linear, out=picture)

    def _deliver(self, slot: HostSlot, node: Node) -> None:
        slot.matte = {name: slot.tensors[name].copy() for name in node.reads}
