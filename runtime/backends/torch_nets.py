"""A bundle's ONNX file as a torch module: an interpreter of the few operators that our export writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F
from vmfm.runtime.errors import BackendError

Attributes = dict[str, Any]
_SETTINGS = ("Clip", "Resize", "Slice")  # operators whose constant inputs are settings rather than tensors
_FREE_OF_VALUES = ("Cast", "Identity")  # that merely pass constants on


class OnnxNet(nn.Module):
    """Called with the net's inputs in the file's order, (N, C, h, w); returns its one output."""

    def __init__(self, path: Path) -> None:
        """Raises BackendError for a file that cannot be read or has operators unknown here."""
        super().__init__()
        try:
            graph = onnx.load(str(path)).graph
        except Exception as error:
            raise BackendError(f"cannot read {path} ({error}); export or install the bundle again") from error
        self.inputs = tuple(value.name for value in graph.input)
        self._output = graph.output[0].name
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._steps: list[tuple[Callable[..., Tensor], Attributes, tuple[Any, ...], str]] = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
            elif node.op_type in _FREE_OF_VALUES and node.input[0] in constants:
                constants[node.output[0]] = constants[node.input[0]]
            elif node.op_type not in _OPERATORS:
                raise BackendError(f"{path} has an operator {node.op_type}, which the torch backend does not know")
            else:
                arguments = tuple(self._argument(node.op_type, name, constants) for name in node.input)
                self._steps.append((_OPERATORS[node.op_type], attributes, arguments, node.output[0]))
        self._last_use = {
            argument: i
            for i, (_, _, arguments, _) in enumerate(self._steps)
            for argument in arguments
            if isinstance(argument, str)
        }

    def forward(self, *inputs: Tensor) -> Tensor:
        values: dict[str, Tensor] = dict(zip(self.inputs, inputs, strict=True))
        for i, (operator, attributes, arguments, output) in enumerate(self._steps):
            names = [argument for argument in arguments if isinstance(argument, str)]
            values[output] = operator(attributes, *(self._value(argument, values) for argument in arguments))
            for name in set(names):
                if self._last_use[name] == i and name in values:
                    del values[name]  # so that memory is used again
        return values[self._output]

    def _argument(self, operator: str, name: str, constants: dict[str, np.ndarray]) -> Any:
        """An input as forward wants it: a name, a setting, or a _Constant for a tensor that moves with the module."""
        if name not in constants:
            return name or None
        constant = constants[name]
        if operator in _SETTINGS:
            return constant.tolist()
        buffer = f"constant_{len(list(self.buffers()))}"
        tensor = torch.from_numpy(constant.astype(np.float32))
        if tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        self.register_buffer(buffer, tensor)
        return _Constant(buffer)

    def _value(self, argument: Any, values: dict[str, Tensor]) -> Any:
        if isinstance(argument, str):
            return values[argument]
        return getattr(self, argument.buffer) if isinstance(argument, _Constant) else argument


class _Constant:
    """A tensor of the net, by the name of the module's buffer."""

    def __init__(self, buffer: str) -> None:
        self.buffer = buffer


def _convolution(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    padding = _symmetric(a)
    return F.conv2d(x, weight, bias, a.get("strides", 1), padding, a.get("dilations", 1), a.get("group", 1))


def _transposed_convolution(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    more = a.get("output_padding", 0)
    strides, dilations = a.get("strides", 1), a.get("dilations", 1)
    return F.conv_transpose2d(x, weight, bias, strides, _symmetric(a), more, a.get("group", 1), dilations)


def _symmetric(a: Attributes) -> list[int]:
    pads = a.get("pads", [0, 0, 0, 0])
    if a.get("auto_pad", b"NOTSET") != b"NOTSET" or pads[:2] != pads[2:]:
        raise BackendError(f"a layer pads by {a.get('auto_pad', pads)}; the torch backend knows equal sides alone")
    return pads[:2]


def _max_pool(a: Attributes, x: Tensor) -> Tensor:
    return F.max_pool2d(x, a["kernel_shape"], a.get("strides", 1), _symmetric(a))


def _average_pool(a: Attributes, x: Tensor) -> Tensor:
    if any(_symmetric(a)):
        raise BackendError(f"an average pooling pads by {a['pads']}; the torch backend knows one without padding alone")
    return F.avg_pool2d(x, a["kernel_shape"], a.get("strides", 1))


def _resize(a: Attributes, x: Tensor, _: None, scales: list[float]) -> Tensor:
    if (a["mode"], a.get("coordinate_transformation_mode")) != (b"linear", b"half_pixel"):
        raise BackendError(f"a net resizes by {a}; the torch backend knows linear with half_pixel alone")
    return F.interpolate(x, scale_factor=scales[2:], mode="bilinear", align_corners=False)


def _slice(
    a: Attributes,
    x: Tensor,
    starts: list[int],
    ends: list[int],
    axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> Tensor:
    for i, axis in enumerate(axes or range(len(starts))):
        part = slice(starts[i], ends[i], steps[i] if steps else 1)
        x = x[(slice(None),) * axis + (part,)]
    return x


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": _average_pool,
    "Cast": lambda a, x: x,  # all tensors of a net have one type here
    "Clip": lambda a, x, low=None, high=None: torch.clamp(x, low, high),
    "Concat": lambda a, *xs: torch.cat(xs, a["axis"]),
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Div": lambda a, x, y: x / y,
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "Identity": lambda a, x: x,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "MaxPool": _max_pool,
    "Mul": lambda a, x, y: x * y,
    "Relu": lambda a, x: torch.relu(x),
    "Resize": _resize,
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Slice": _slice,
    "Sub": lambda a, x, y: x - y,
    "Tanh": lambda a, x: torch.tanh(x),
}
