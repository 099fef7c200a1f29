"""The operations of the graph as launches of our kernels, prepared once for the tensors of a slot."""

import math
from collections.abc import Mapping

from vmfm.runtime import fusion, patches, temporal, upsample
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.cuda.compositing import blur_planes, prepare_blur, prepare_composite
from vmfm.runtime.cuda.launch import Kernels, Launch
from vmfm.runtime.cuda.layouts import cells
from vmfm.runtime.graph import MEMORY, PATCH_PX, Node
from vmfm.runtime.preprocess import halvings

CHOOSE_THREADS = 1024  # of the one block that picks the patches


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
        if node.has_memory:  # the first one stands in for the second where there is nothing to remember
            launches = (launches[0 if first else 1], *launches[2:])
        for launch in launches:
            launch(stream)

    def _preprocess(self, node: Node) -> tuple[Launch, ...]:
        h, w = self._shape.net_size
        halved = halvings(self._shape.frame_size, (h, w))
        return (self._prepare("preprocess", (w, h), "frame", *self._shape.frame_size, "image", h, w, halved),)

    def _fuse(self, node: Node) -> tuple[Launch, ...]:
        (h, w), count = self._shape.net_size, math.prod(self._shape.net_size)
        if len(node.reads) == 2:
            return (self._prepare("fuse", (count,), *node.reads, 0, 0, 0, *node.writes, count, 1.0, 0.0),)
        reach = fusion.reach_px(h, w)
        softness = fusion.SOFTNESS * (2 * reach + 1) ** 2  # the boxes hold sums
        deviations = [name for name in node.reads if name.startswith("deviation")]
        limits = count, softness, fusion.DRAW
        return (
            self._prepare("compare", (count,), *deviations, "difference", count),
            *blur_planes(self._prepare, "difference", "difference_blurring", (h, w), 1, reach, 0.0),
            self._prepare("fuse", (count,), *node.reads, "difference", *node.writes, *limits),
        )

    def _temporal(self, node: Node) -> tuple[Launch, ...]:
        (h, w), area = self._shape.net_size, math.prod(self._shape.net_size)
        limits = temporal.SURE, temporal.UNSURE, temporal.LASTING, temporal.STILL, temporal.MOVED
        maps: tuple[str | float, ...] = (*node.reads, "distance", MEMORY, h, w, temporal.BOX_PX // 2, temporal.LONGEST)
        return (
            self._prepare("forget", (area,), "distance", area),
            self._prepare("distance_to_mean", (area,), "image", MEMORY, "distance", area),
            self._prepare("steady", (w, h), *maps, *limits),
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
        (height, width), count, cell_count = self._shape.frame_size, self._shape.patches, cells(self._shape)
        middles = ("deviation", height, width, "keys", "middles", cell_count, patches.LEVELS)
        picked = ("keys", "middles", cell_count, patches.LEAST_DEVIATION, patches.FADE, "winners", "places", count)
        block = (CHOOSE_THREADS, 1, 1)
        return (
            self._prepare("find_middles", (cell_count,), *middles, block=(64, 1, 1)),
            self._prepare("choose", (CHOOSE_THREADS,), *picked, block=block),
        )

    def _gather(self, node: Node) -> tuple[Launch, ...]:
        count = self._shape.patches
        cut = ("frame", "alpha", *self._shape.frame_size, "places", "patches", count)
        return (self._prepare("gather", (count * PATCH_PX**2,), *cut),)

    def _scatter(self, node: Node) -> tuple[Launch, ...]:
        count = self._shape.patches
        limits = patches.SURE, patches.UNSURE
        put = ("alpha", "deviation", *self._shape.frame_size, "refined", "places", count, *limits)
        return (self._prepare("scatter", (count * PATCH_PX**2,), *put),)

    def _blur(self, node: Node) -> tuple[Launch, ...]:
        return prepare_blur(self._prepare, self._shape.frame_size, node.over)

    def _composite(self, node: Node) -> tuple[Launch, ...]:
        return prepare_composite(self._prepare, self._shape.frame_size, node.over)

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
