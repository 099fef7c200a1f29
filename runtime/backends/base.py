"""What a backend is: the promises that the stream, and the schedule, rely on.

A backend owns a device. It gives every frame in flight a slot full of tensors, runs nodes of the graph on lanes, and
lets lanes wait for each other. The stream drives it like this, for each frame, from one thread:

    slot = backend.open_slot(shape)              # once per place in flight, or when the frames' size changes
    backend.put_frame(slot, frame, first=False, background=background)
    for step in schedule.steps:
        for name in step.waits: backend.wait(step.lane, slot, name)
        backend.run(step.lane, slot, step.node)
        if step.records: backend.record(step.lane, slot, step.node.name)
    results = backend.matte(slot, schedule.last)  # later, in the order of put_frame

Guarantees a backend gives
* `run`, `wait` and `record` return without waiting for the device. Work on one lane happens in the order issued;
  lanes are independent but for `wait`.
* A slot's tensors live as long as the slot. Nothing is allocated on the device between open_slot and close_slot.
* An error in `put_frame` or while running a node never hangs: later nodes of the same frame are passed over, events
  still fire, and `matte` raises BackendError with the cause.
* `read` and `write` give access to any tensor of a slot as NumPy arrays, while nothing runs, for tests and tools.
* Every operation of the graph agrees with its NumPy definition in preprocess, fusion, upsample, patches, temporal, blur
  and composite.

Guarantees a backend gets
* One thread calls it. A slot is given to put_frame again only after its matte was taken.
* The nodes of a frame are issued in schedule order, and frames in order.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.graph import BACKGROUND, INPUT, MEMORY, MEMORY_PLANES, PATCH_PX, RESULT, TENSORS, Node
from vmfm.runtime.schedule import Schedule, Step
from vmfm.runtime.timing import Timings

PICTURES = (INPUT, BACKGROUND, "picture")  # tensors that are uint8 RGB at the frame's size


@dataclass(frozen=True)
class SlotShape:
    """Everything that fixes the sizes of a slot's tensors: (H, W) of frame and nets, and K."""

    frame_size: tuple[int, int]
    net_size: tuple[int, int]
    patches: int

    def of(self, tensor: str) -> tuple[int, ...]:
        """The shape of a tensor of the graph."""
        if tensor in PICTURES:
            return (*self.frame_size, 3)
        if tensor in ("alpha", "deviation"):
            return self.frame_size
        if tensor == "places":
            return (self.patches, 3)
        channels = MEMORY_PLANES if tensor == MEMORY else TENSORS[tensor].channels if tensor in TENSORS else 1
        if tensor in ("patches", "refined"):
            return (self.patches, channels, PATCH_PX, PATCH_PX)
        return (1, channels, *self.net_size)

    @staticmethod
    def dtype(tensor: str) -> type[np.generic]:
        """The element type that `read` and `write` speak for a tensor; a device may keep another one."""
        return np.uint8 if tensor in PICTURES else np.float32


class Slot:
    """The place of one frame in flight. Backends derive from it and own its buffers."""

    def __init__(self, shape: SlotShape) -> None:
        self.shape = shape
        self.background: np.ndarray | None = None  # the one it holds, as it was handed in; the stream's to keep


class Backend(ABC):
    """See the module's text for the contract. Backends are context managers; close() may be called twice."""

    name: ClassVar[str]
    on_gpu: ClassVar[bool] = False
    one_lane: bool = False  # True where running lanes side by side does not pay
    note: str = ""  # one line for people: which device and library, and what is not used and why

    def __init__(self, bundle: Bundle, nodes: tuple[Node, ...]) -> None:
        self.bundle = bundle
        self.nodes = nodes
        self.delivers = tuple(name for node in nodes if RESULT in node.writes for name in node.reads)
        self.timings = Timings()

    @abstractmethod
    def start(self, schedule: Schedule) -> None:
        """Creates the lanes of the schedule. Called once, before any slot is opened."""

    @abstractmethod
    def open_slot(self, shape: SlotShape) -> Any:
        """Allocates a slot's tensors and readies every net for their sizes. May take seconds the first time."""

    @abstractmethod
    def close_slot(self, slot: Any) -> None:
        """Frees a slot that no frame is in flight in."""

    @abstractmethod
    def put_frame(self, slot: Any, frame: np.ndarray, *, first: bool, background: np.ndarray | None = None) -> None:
        """Takes a copy of frame, uint8 (H, W, 3) RGB. first: no earlier frame may influence this one.

        background: a copy of it is taken too, where the graph reads one; without it the slot's last one stays.
        """

    @abstractmethod
    def run(self, lane: str, slot: Any, node: Node) -> None:
        """Issues a node on a lane."""

    @abstractmethod
    def record(self, lane: str, slot: Any, name: str) -> None:
        """Marks on a lane that the node `name` of this slot's frame is done."""

    @abstractmethod
    def wait(self, lane: str, slot: Any, name: str) -> None:
        """Makes a lane wait, on the device, until `name` of this slot's frame is marked done."""

    def issue(self, slot: Any, steps: Iterable[Step]) -> None:
        """Issues steps of a schedule in order, each after what it has to wait for. Returns without waiting itself."""
        for step in steps:
            for name in step.waits:
                self.wait(step.lane, slot, name)
            self.run(step.lane, slot, step.node)
            if step.records:
                self.record(step.lane, slot, step.node.name)

    @abstractmethod
    def matte(self, slot: Any, name: str) -> dict[str, np.ndarray]:
        """Waits on the host for `name`; returns the tensors of `delivers` by name, which the caller then owns."""

    @abstractmethod
    def drain(self) -> None:
        """Waits until nothing runs any more of what was issued, and tells no failure: its frames do."""

    @abstractmethod
    def read(self, slot: Any, tensor: str) -> np.ndarray:
        """A copy of a tensor."""

    @abstractmethod
    def write(self, slot: Any, tensor: str, value: np.ndarray) -> None:
        """Overwrites a tensor."""

    @abstractmethod
    def close(self) -> None:
        """Waits for what is in flight and frees everything."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
