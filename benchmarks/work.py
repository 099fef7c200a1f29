"""What a frame costs on any device: the arithmetic of each row of the graph and the bytes it moves. Counted, not measured."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.bundle import Bundle, Detail
from vmfm.runtime.graph import INPUT, MEMORY, PATCH_PX, RESULT, TENSORS, Node

_MATRIX_OPERATORS = ("Conv", "ConvTranspose")


@dataclass(frozen=True)
class Work:
    """flops: additions and multiplications of convolutions. nbytes: read from and written to the device's memory."""

    flops: float
    nbytes: float

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.nbytes + other.nbytes)


@dataclass(frozen=True)
class FrameWork:
    """Of one frame: the work of each row, and the bytes copied to the device and back."""

    rows: Mapping[str, Work]
    up: int
    down: int

    @property
    def total(self) -> Work:
        return sum(self.rows.values(), Work(0, 0))


def count_frame(
    bundle: Bundle, nodes: Iterable[Node], size: tuple[int, int], value_bytes: int, detail: Detail = "fine"
) -> FrameWork:
    """The work for a frame of size (H, W). value_bytes: of a number in the nets, 2 for fp16."""
    shape = SlotShape(size, bundle.net_size(*size, detail), bundle.patches)
    rows, down = {}, 0
    for node in nodes:
        if RESULT in node.writes:
            down = sum(_nbytes(name, shape, value_bytes) for name in node.reads)
        elif node.is_net:
            rows[node.name] = count_net(bundle.net_path(node.name), shape, value_bytes)
        else:
            rows[node.name] = Work(0, _touched(node, shape, value_bytes))
    return FrameWork(rows, _nbytes(INPUT, shape, value_bytes), down)


def count_net(path: Path, shape: SlotShape, value_bytes: int) -> Work:
    """The work of an ONNX file, as engines run it: layer after layer, each convolution reading its input and its kernel
    and writing its output once. All other operators are fused into these, and cost nothing."""
    model = onnx.load(str(path))
    for value in model.graph.input:
        for axis, extent in zip(value.type.tensor_type.shape.dim, shape.of(value.name), strict=True):
            axis.dim_value = extent
    for value in model.graph.output:  # else the sizes that its names stand for would be kept free
        value.type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    known = (*graph.value_info, *graph.input, *graph.output)
    sizes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in known}
    sizes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    work = Work(0, 0)
    for node in graph.node:
        if node.op_type in _MATRIX_OPERATORS:
            source, kernel, result = (sizes[name] for name in (node.input[0], node.input[1], node.output[0]))
            # A kernel of (out, in / groups, ...) makes each output; one of (in, out / groups, ...) spreads each input.
            places = result if node.op_type == "Conv" else source
            values = sum(math.prod(extents) for extents in (source, kernel, result))
            work += Work(2 * math.prod(places) * math.prod(kernel[1:]), values * value_bytes)
    return work


def _touched(node: Node, shape: SlotShape, value_bytes: int) -> float:
    """What an operation reads and writes of its tensors, in bytes."""
    height, width = shape.frame_size
    # Where the patches lie is known, nothing else of a frame is touched.
    part = min(1.0, shape.patches * PATCH_PX**2 / (height * width)) if "places" in node.reads else 1.0
    nbytes = 0.0
    for name in (*node.reads, *node.writes, *([MEMORY] if node.has_memory else [])):  # memory is read and written
        nbytes += _nbytes(name, shape, value_bytes) * (part if shape.of(name)[:2] == shape.frame_size else 1)
    return nbytes


def _nbytes(tensor: str, shape: SlotShape, value_bytes: int) -> int:
    itemsize = value_bytes if tensor in TENSORS else np.dtype(shape.dtype(tensor)).itemsize
    return math.prod(shape.of(tensor)) * itemsize
