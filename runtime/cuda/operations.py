"""The operations of the graph as launches of our kernels, prepared once for the tensors of a slot."""

import math
from collections.abc import Mapping

import numpy as np
from vmfm.runtime import fusion, patches, temporal, upsample
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.cuda.launch import Kernels, Launch
from vmfm.runtime.graph import PATCH_PX, TENSORS, Node

CHOOSE_THREADS = 1024  # of the one block that picks the patches

# name -> (shape, dtype) of arrays in the GPU's memory
Layout = dict[str, tuple[tuple[int, ...], type[np.generic]]]


def tensor_layout(shape: SlotShape, nodes: tuple[Node, ...], net_type: type[np.generic] = np.float16) -> Layout:
    """A slot's tensors as they are kept on a GPU: what nets read and write in net_type, the rest as `read` gives it."""
    names = {name for node in nodes for name in (*node.reads, *node.writes)} - {"matte"} | {"frame"}
    return {name: (shape.of(name), net_type if name in TENSORS else shape.dtype(name)) for name in sorted(names)}


def scratch_layout(shape: SlotShape) -> Layout:
    """Arrays of a slot that the operations work in."""
    cells = _cells(shape)
    return {
        "slope": (shape.net_size, np.float32),
        "offset": (shape.net_size, np.float32),
        "trust": (shape.net_size, np.float32),
        "keys": ((cells,), np.uint64),
        "peaks": ((cells,), np.int32),
        "winners": ((shape.patches,), np.uint64),
    }


def memory_layout(shape: SlotShape, net_type: type[np.generic] = np.float16) -> Layout:
    """Arrays that carry the previous frame; all slots of one shape share them."""
    return {"previous_image": (shape.of("image"), net_type), "previous_alpha": (shape.frame_size, np.float32)}


def nbytes(layout: Layout) -> dict[str, int]:
    """The size of each array of a layout in bytes."""
    return {name: math.prod(shape) * np.dtype(dtype).itemsize for name, (shape, dtype) in layout.items()}


def halvings(size: tuple[int, int], target: tuple[int, int]) -> int:
    """How many times shrink() of preprocess.py halves a picture of a size (H, W) on its way to another."""
    count = 0
    while all(have % 2 == 0 and have >= 2 * want for have, want in zip(size, target, strict=True)):
        size, count = (size[0] // 2, size[1] // 2), count + 1
    return count


class Operations:
    """What the nodes that are no nets do to one slot, all but `deliver`."""

    def __init__(
        self, kernels: Kernels, shape: SlotShape, nodes: tuple[Node, ...], addresses: Mapping[str, int]
    ) -> None:
        """addresses: on the GPU, of every array in tensor_layout, scratch_layout and memory_layout."""
        self._kernels, self._shape, self._at = kernels, shape, addresses
        self._launches: dict[str, tuple[Launch, ...]] = {
            node.name: getattr(self, f"_{node.name}")(node)
            for node in nodes
            if not node.is_net and node.name != "deliver"
        }

    def run(self, node: Node, stream: int, *, first: bool) -> None:
        """Issues an operation to a stream, given by its handle. first: no earlier frame may influence this one."""
        launches = self._launches[node.name]
        for launch in launches[-1:] if first and node.has_memory else launches:
            launch(stream)

    def _preprocess(self, node: Node) -> tuple[Launch, ...]:
        h, w = self._shape.net_size
        halved = halvings(self._shape.frame_size, (h, w))
        return (self._prepare("preprocess", (w, h), "frame", *self._shape.frame_size, "image", h, w, halved),)

    def _fuse(self, node: Node) -> tuple[Launch, ...]:
        count = math.prod(self._shape.net_size)
        reads = [self._at[name] for name in node.reads] + [0] * (4 - len(node.reads))
        return (
            self._prepare("fuse", (count,), *reads, "alpha_net", "deviation_net", count, fusion.SOFTNESS, fusion.DRAW),
        )

    def _upsample(self, node: Node) -> tuple[Launch, ...]:
        (height, width), (h, w) = self._shape.frame_size, self._shape.net_size
        window = upsample.RADIUS_PX, upsample.EDGE_CONTRAST
        coefficients = ("image", "alpha_net", "slope", "offset", h, w, *window)
        maps = ("frame", "slope", "offset", "deviation_net", h, w, "alpha", "deviation", height, width)
        return (
            self._prepare("guided_coefficients", (w, h), *coefficients),
            self._prepare("upsample", (width, height), *maps),
        )

    def _select(self, node: Node) -> tuple[Launch, ...]:
        (height, width), cells, count = self._shape.frame_size, _cells(self._shape), self._shape.patches
        picked = ("keys", "peaks", cells, height, width, patches.LEAST_DEVIATION, "winners", "corners", count)
        block = (CHOOSE_THREADS, 1, 1)
        return (
            self._prepare("find_peaks", (cells,), "deviation", height, width, "keys", "peaks", cells, block=(64, 1, 1)),
            self._prepare("choose", (CHOOSE_THREADS,), *picked, block=block),
        )

    def _gather(self, node: Node) -> tuple[Launch, ...]:
        count = self._shape.patches
        cut = ("frame", "alpha", *self._shape.frame_size, "corners", "patches", count)
        return (self._prepare("gather", (count * PATCH_PX**2,), *cut),)

    def _scatter(self, node: Node) -> tuple[Launch, ...]:
        count = self._shape.patches
        put = ("alpha", *self._shape.frame_size, "refined", "corners", count)
        return (self._prepare("scatter", (count * PATCH_PX**2,), *put),)

    def _temporal(self, node: Node) -> tuple[Launch, ...]:
        (height, width), (h, w) = self._shape.frame_size, self._shape.net_size
        limits = temporal.MOST, temporal.SURE, temporal.UNSURE, temporal.STILL, temporal.MOVED
        values, pixels = 3 * h * w, height * width
        kept = ("image", "previous_image", values, "alpha", "previous_alpha", pixels)
        return (
            self._prepare(
                "trust_in_previous", (w, h), "image", "previous_image", "deviation_net", "trust", h, w, *limits
            ),
            self._prepare("blend_previous", (width, height), "alpha", "previous_alpha", "trust", h, w, height, width),
            self._prepare("remember", (max(values, pixels),), *kept),  # the last one, and all that a first frame needs
        )

    def _prepare(
        self,
        name: str,
        extent: tuple[int, ...],
        *arguments: str | float,
        block: tuple[int, int, int] | None = None,
    ) -> Launch:
        """A launch whose arrays are given by name."""
        values = [self._at[value] if isinstance(value, str) else value for value in arguments]
        return self._kernels.prepare(name, extent, *values, block=block)


def _cells(shape: SlotShape) -> int:
    height, width = shape.frame_size
    return -(-height // PATCH_PX) * -(-width // PATCH_PX)
