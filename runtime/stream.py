"""The stream: frames in, mattes out, in order."""

import warnings
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from vmfm.runtime.backends import open_backend
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.bundle import DETAILS, MOST_PATCHES, Bundle, Detail
from vmfm.runtime.composite import check_background
from vmfm.runtime.errors import BackendError, FrameError, StreamError
from vmfm.runtime.graph import BACKGROUND, GIVEN, MEMORY, OUTPUTS, RESULTS, Output, Over, Result, build_graph, inputs
from vmfm.runtime.preprocess import check_frame
from vmfm.runtime.schedule import plan
from vmfm.runtime.timing import Timings

_FRAME_SIZE = "frame_size"  # (H, W), beside MEMORY in what a stream hands out


@dataclass(frozen=True)
class Matte:
    """What came of one frame.

    frame: the uint8 (H, W, 3) RGB frame this belongs to, the very array that was handed in.
    results: what the stream delivers, by name. They belong to the caller; the stream does not touch them again.
    """

    frame: np.ndarray
    results: Mapping[str, np.ndarray]

    @property
    def alpha(self) -> np.ndarray:
        """float32 (H, W) in [0, 1], how much of each pixel is the person and what he or she holds."""
        return self._result("alpha")

    @property
    def deviation(self) -> np.ndarray:
        """float32 (H, W) in [0, 1], how unsure the nets are of alpha there (higher = less sure)."""
        return self._result("deviation")

    @property
    def picture(self) -> np.ndarray:
        """uint8 (H, W, 3) RGB, the foreground over the new background."""
        return self._result("picture")

    def _result(self, name: str) -> np.ndarray:
        if name not in self.results:
            held = ", ".join(self.results)
            raise StreamError(f"this matte holds {held} and no {name}: open the stream with {name!r} in `deliver`")
        return self.results[name]


class MattingStream:
    """Mattes frame after frame, with up to `slots` of them in flight.

    with MattingStream("lite") as stream:
        matte = stream.step(frame)

    step() is the simple way. submit() and collect() keep several frames in flight, which is faster on devices that
    can overlap them. Not thread-safe: use a stream from one thread, or submit and collect under one lock.

    A stream can deliver finished pictures in place of mattes, which on a GPU saves most of what would be downloaded:

    with MattingStream("lite", deliver=("picture",)) as stream:
        picture = stream.step(frame, background).picture
    """

    def __init__(
        self,
        bundle: str | Path | Bundle = "lite",
        *,
        backend: str = "auto",
        detail: Detail = "fine",
        output: Output = "complementary",
        patches: int | None = None,
        temporal: bool = True,
        deliver: tuple[Result, ...] = ("alpha", "deviation"),
        over: Over = GIVEN,
        slots: int = 2,
        one_lane: bool = False,
    ) -> None:
        """bundle: a shipped one by name, a bundle's folder, or an opened Bundle. backend: "auto" or a name.

        detail: at how many pixels the nets look at a frame, see Bundle.net_size; "fast" takes a third of the time of "fine".
        output: "complementary" fuses both foreground nets; "s" or "d" takes one. patches: K, how many 16x16 patches
        are refined per frame; None takes the bundle's, 0 leaves refinement out. temporal: steady unsure still areas.
        deliver: what mattes hold. over: what the foreground of a picture is put over, by default the background that
        comes with its frame. one_lane: run one thing at a time, to see what lanes side by side buy.
        Raises BundleError, BackendError, or ValueError for an option out of range.
        """
        self._closed = True  # until everything below has worked
        if output not in OUTPUTS or slots < 1 or (patches is not None and not 0 <= patches <= MOST_PATCHES):
            raise ValueError(
                f"got output={output!r}, slots={slots}, patches={patches}; "
                f"wanted one of {OUTPUTS}, at least 1 slot and 0 to {MOST_PATCHES} patches"
            )
        self.detail = detail
        if not deliver or not set(deliver) <= set(RESULTS):
            raise ValueError(f"got deliver={deliver!r}; wanted one or more of {RESULTS}")
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self._patches = self.bundle.patches if patches is None else patches
        graph = build_graph(output, refine=self._patches > 0, temporal=temporal, deliver=deliver, over=over)
        self._takes_background = BACKGROUND in inputs(graph)
        self._backend = open_backend(backend, self.bundle, graph)
        self._schedule = plan(graph, one_lane=one_lane or self._backend.one_lane)
        try:
            self._backend.start(self._schedule)
        except BaseException:
            self._backend.close()
            raise
        self._free: list[Any] = [None] * slots  # slots are opened when first used, and again for another frame size
        self._in_flight: deque[tuple[Any, np.ndarray]] = deque()
        self._latest: Any = None  # the slot of the frame that was collected last
        self._slot_shape: SlotShape | None = None
        self._first = True
        self._closed = False

    @property
    def backend_name(self) -> str:
        """The backend in use, e.g. "cpu"."""
        return self._backend.name

    @property
    def backend_note(self) -> str:
        """One line for people: device and library in use, and why nothing better is."""
        return self._backend.note

    @property
    def detail(self) -> Detail:
        """At how many pixels the nets look at a frame. What is set holds from the next frame that is submitted."""
        return self._detail

    @detail.setter
    def detail(self, detail: Detail) -> None:
        """Raises ValueError for one that there is not."""
        if detail not in DETAILS:
            raise ValueError(f"got detail={detail!r}; wanted one of {', '.join(DETAILS)}")
        self._detail = detail

    @property
    def timings(self) -> Timings:
        """Milliseconds per node of the graph."""
        return self._backend.timings

    @property
    def slots(self) -> int:
        """How many frames may be in flight."""
        return len(self._free) + len(self._in_flight)

    @property
    def in_flight(self) -> int:
        """How many submitted frames are not collected yet."""
        return len(self._in_flight)

    def step(self, frame: np.ndarray, background: np.ndarray | None = None) -> Matte:
        """The matte of one frame, uint8 (H, W, 3) RGB of any size; background: see submit().

        Raises FrameError for anything else, StreamError while submitted frames wait to be collected, BackendError
        if the device fails.
        """
        self._check_idle("calling step")
        self.submit(frame, background)
        try:
            return self.collect()
        finally:
            if self._in_flight:  # a Ctrl-C while it waited: nobody else will collect it
                slot, _ = self._in_flight.popleft()
                self._discard(slot)

    def submit(self, frame: np.ndarray, background: np.ndarray | None = None) -> None:
        """Starts a frame and returns without waiting for it. The frame may have another size than the last one.

        The pixels are copied, but Matte.frame will be this very array: write new frames into new arrays.
        background: uint8 (H, W, 3) RGB of the frame's size, wanted where pictures are put over given backgrounds. The
        array of an earlier frame is not copied again: write new backgrounds into new arrays, and hand in a still one
        with every frame.
        Raises FrameError, StreamError if all slots are in flight, BackendError.
        """
        self._check_open()
        check_frame(frame)
        self._check_background(background, frame)
        if not self._free:
            raise StreamError(f"all {self.slots} slots are in flight: collect a matte before submitting another frame")
        slot = self._slot_for(frame.shape[:2])
        new = None if background is slot.background else background
        try:
            self._backend.put_frame(slot, frame, first=self._first, background=new)
            slot.background = background
            self._backend.issue(slot, self._schedule.steps)
        except BaseException:  # a Ctrl-C, say: devices keep their own failures for collect()
            self._discard(slot)
            raise
        self._in_flight.append((slot, frame))
        self._first = False

    def collect(self) -> Matte:
        """Waits for the oldest frame in flight and returns its matte. Raises StreamError if there is none."""
        self._check_open()
        if not self._in_flight:
            raise StreamError("nothing is in flight: submit a frame before collecting")
        slot, frame = self._in_flight[0]
        try:
            results = self._backend.matte(slot, self._schedule.last)
        except BackendError:
            self._forget(slot)
            self._retire()
            raise
        self._retire()
        return Matte(frame, results)

    def reset(self) -> None:
        """Forgets the previous frame: call it between clips and at cuts."""
        self._first = True

    def memory(self) -> dict[str, np.ndarray]:
        """What the next frame leans on: arrays by name, for recall(). Empty where it leans on nothing.

        Raises StreamError while submitted frames wait to be collected.
        """
        self._check_open()
        self._check_idle("asking for the memory")
        if self._first or not any(step.node.has_memory for step in self._schedule.steps):
            return {}
        return {MEMORY: self._backend.read(self._latest, MEMORY), _FRAME_SIZE: np.array(self._latest.shape.frame_size)}

    def recall(self, memory: Mapping[str, np.ndarray]) -> None:
        """Goes on where a stream of the same bundle and options stood when it was asked for its memory().

        Raises StreamError while submitted frames wait to be collected, BackendError.
        """
        self._check_open()
        self._check_idle("recalling a memory")
        self.reset()
        if not memory:
            return
        height, width = memory[_FRAME_SIZE].tolist()
        self._latest = self._slot_for((height, width))
        self._free.append(self._latest)
        self._backend.write(self._latest, MEMORY, memory[MEMORY])
        self._first = False

    def close(self) -> None:
        """Waits for what is in flight and frees the device. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._in_flight.clear()
        self._free.clear()
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn("a MattingStream was not closed; use it in a with statement", ResourceWarning, stacklevel=2)

    def _check_idle(self, doing: str) -> None:
        if self._in_flight:
            raise StreamError(f"{self.in_flight} submitted frame(s) wait: collect them before {doing}")

    def _retire(self) -> None:
        self._latest, _ = self._in_flight.popleft()
        self._free.append(self._latest)

    def _forget(self, slot: Any) -> None:
        """No frame may lean on the one that failed in this slot, whose background may not have arrived."""
        self.reset()
        slot.background = None

    def _discard(self, slot: Any) -> None:
        """Gives a slot back whose frame nobody waits for, once the lanes have ended what they were given of it."""
        self._forget(slot)
        self._free.append(None)  # in its place, should the wait be interrupted too
        self._backend.drain()
        self._free[-1] = slot

    def _slot_for(self, size: tuple[int, int]) -> Any:
        """A free slot for frames of a size (H, W); a slot of another size gives its buffers back first."""
        shape = SlotShape(size, self.bundle.net_size(*size, self._detail), self._patches)
        if shape != self._slot_shape:
            self._slot_shape = shape
            self._first = True
        slot = self._free.pop()
        try:
            if slot is not None and slot.shape != self._slot_shape:
                self._backend.close_slot(slot)
                slot = None
            return slot or self._backend.open_slot(self._slot_shape)
        except BaseException:
            self._free.append(None)
            raise

    def _check_background(self, background: np.ndarray | None, frame: np.ndarray) -> None:
        if not self._takes_background:
            if background is not None:
                raise FrameError("got a background, but this stream puts nothing over one that is handed in")
        elif background is None:
            raise FrameError("got no background; this stream's pictures want one of the frame's size with every frame")
        else:
            check_background(background, frame)

    def _check_open(self) -> None:
        if self._closed:
            raise StreamError("the stream is closed; open a new MattingStream")
