"""Which arrays there are in the GPU's memory, derived from the graph's rows."""

import math

import numpy as np
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.blur import blur_radius, blur_work
from vmfm.runtime.composite import work_size
from vmfm.runtime.graph import INPUT, MEMORY, PATCH_PX, RESULT, TENSORS, Node

# name -> (shape, dtype)
Layout = dict[str, tuple[tuple[int, ...], type[np.generic]]]


def tensor_layout(shape: SlotShape, nodes: tuple[Node, ...], net_type: type[np.generic] = np.float16) -> Layout:
    """A slot's tensors as they are kept on a GPU: what nets read and write in net_type, the rest as `read` gives it."""
    names = {name for node in nodes for name in (*node.reads, *node.writes)} - {RESULT, MEMORY} | {INPUT}
    return {name: (shape.of(name), net_type if name in TENSORS else shape.dtype(name)) for name in sorted(names)}


def scratch_layout(shape: SlotShape, nodes: tuple[Node, ...]) -> Layout:
    """Arrays of a slot that the operations work in."""
    layout: Layout = {}
    for node in nodes:
        layout |= _scratch(node, shape)
    return layout


def memory_layout(shape: SlotShape) -> Layout:
    """What carries from frame to frame; all slots of one shape share it."""
    return {MEMORY: (shape.of(MEMORY), np.float32)}


def nbytes(layout: Layout) -> dict[str, int]:
    """The size of each array of a layout in bytes."""
    return {name: math.prod(shape) * np.dtype(dtype).itemsize for name, (shape, dtype) in layout.items()}


def cells(shape: SlotShape) -> int:
    """How many cells `select` divides a frame into."""
    height, width = shape.frame_size
    return -(-height // PATCH_PX) * -(-width // PATCH_PX)


def _scratch(node: Node, shape: SlotShape) -> Layout:
    size = shape.frame_size
    match node.name:
        case "fuse":
            return {name: (shape.net_size, np.float32) for name in ("difference", "difference_blurring")}
        case "upsample":
            return {"slope": (shape.net_size, np.float32), "offset": (shape.net_size, np.float32)}
        case "select":
            count = cells(shape)
            winners: Layout = {"winners": ((shape.patches,), np.uint64)}
            return winners | {"keys": ((count,), np.uint64), "middles": ((count, 2), np.float32)}
        case "temporal":
            return {"distance": (shape.net_size, np.float32)}
        case "blur":
            work, _ = blur_work(size, blur_radius(size[0], node.over.radius_px))
            return {"behind": ((4, *work), np.float32), "behind_blurring": ((4, *work), np.float32)}
        case "composite":
            planes: tuple[tuple[int, ...], type[np.generic]] = ((8, *work_size(size)), np.float32)
            return {"small": ((4, *work_size(size)), np.float32), "planes": planes, "blurring": planes}
    return {}
