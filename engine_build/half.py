"""The ONNX files of a bundle, rewritten to compute in fp16: what TensorRT's strong typing turns into fp16 engines.

Needs the onnx package and NumPy, no torch: whoever has a bundle and a GPU can build engines.

Convolutions and all that lies between them run in fp16. What squashes into [0, 1], what averages over a whole picture,
and what follows these stays fp32: their inputs are few, and a rounding there would show in the matte. So does the first
convolution over a normalised picture: rounding there acts like noise of the camera (benchmarks/results/fp16.md). Nets
read and write fp16. Whoever changes what comes out changes RECIPE in runtime/engines.py, so that old engines are built anew.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from vmfm.engine_build.errors import BuildError

SINGLE = frozenset({"Sigmoid", "Tanh", "Softmax", "GlobalAveragePool", "ReduceMean"})
HALF = frozenset({"Conv", "ConvTranspose"})
ALWAYS_SINGLE_INPUT = {"Resize": (1, 2)}  # by the operator's definition: its region of interest and scales

_TYPES: dict[int, type[np.floating]] = {TensorProto.FLOAT16: np.float16, TensorProto.FLOAT: np.float32}
_LARGEST = float(np.finfo(np.float16).max)


def to_half(model: bytes, net: str) -> bytes:
    """The fp16 version of one net of a bundle; the same bytes in give the same bytes out.

    Inputs and outputs keep their names and free sizes and become fp16. Raises BuildError where `model` is not an ONNX
    file, or holds a constant beyond fp16 where fp16 is needed.
    """
    try:
        proto = onnx.load_from_string(model)
    except Exception as error:  # protobuf's own class of error moves between its releases
        raise BuildError(
            f"the net {net!r} is not an ONNX file ({error}); export or install the bundle again"
        ) from error
    _Rewriter(proto, net).rewrite()
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BuildError(f"the net {net!r} cannot be rewritten to fp16: {error}") from error
    return proto.SerializeToString(deterministic=True)


class _Rewriter:
    """Walks the nodes in order and knows each value's type so far."""

    def __init__(self, proto: onnx.ModelProto, net: str) -> None:
        self.graph, self.net = proto.graph, net
        # Constants have no type until a node asks for one; all others are turned by a Cast.
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        self.types: dict[str, int] = {value.name: TensorProto.FLOAT16 for value in self.graph.input}
        self.inputs = set(self.types)
        self.normalised: set[str] = set()
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.alias: dict[str, str] = {}  # what a Cast of the original is called here

    def rewrite(self) -> None:
        for node in self.graph.node:
            self._node(node)
        for value in self.graph.output:
            self._deliver(value.name)
        for value in (*self.graph.input, *self.graph.output):
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
        for field, content in (("node", self.nodes), ("initializer", self.initializers.values()), ("value_info", [])):
            del getattr(self.graph, field)[:]
            getattr(self.graph, field).extend(content)

    def _node(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Constant":
            self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type in ("Cast", "Identity") and node.input[0] in self.constants:
            self.constants[node.output[0]] = self.constants[
                node.input[0]
            ]  # how kernels are stored; they stay as they are
        elif node.op_type == "Cast":
            self.alias[node.output[0]] = self._as(node.input[0], _cast_target(node, self.net))
        else:
            self._operation(node)

    def _operation(self, node: onnx.NodeProto) -> None:
        kind = self._kind(node)
        if self._normalises(node):
            self.normalised.update(node.output)
        single_inputs = ALWAYS_SINGLE_INPUT.get(node.op_type, ())
        inputs = [
            self._as(name, TensorProto.FLOAT if index in single_inputs else kind)
            for index, name in enumerate(node.input)
        ]
        del node.input[:]
        node.input.extend(inputs)
        self.nodes.append(node)
        self.types.update(dict.fromkeys(node.output, kind))

    def _kind(self, node: onnx.NodeProto) -> int:
        """The type that a node computes in: given by its operator, else fp32 if anything it reads is."""
        if node.op_type in HALF:
            return TensorProto.FLOAT if node.input[0] in self.normalised else TensorProto.FLOAT16
        read = {self.types.get(self.alias.get(name, name)) for name in node.input}
        is_single = node.op_type in SINGLE or TensorProto.FLOAT in read or self._normalises(node)
        return TensorProto.FLOAT if is_single else TensorProto.FLOAT16

    def _normalises(self, node: onnx.NodeProto) -> bool:
        """Whether a node does arithmetic on what the net reads, as with the mean and the deviation of pictures."""
        pictures = self.inputs | self.normalised
        return node.op_type in ("Sub", "Mul", "Div", "Add") and any(name in pictures for name in node.input)

    def _as(self, name: str, kind: int) -> str:
        """The name under which a value is there as `kind`; makes it so if need be."""
        if not name:
            return name
        if name in self.constants:
            return self._constant(name, kind)
        name = self.alias.get(name, name)
        if self.types[name] == kind:
            return name
        turned = f"{name}.{_TYPES[kind].__name__}"
        if turned not in self.types:
            self.nodes.append(helper.make_node("Cast", [name], [turned], name=turned, to=kind))
            self.types[turned] = kind
        return turned

    def _constant(self, name: str, kind: int) -> str:
        value = self.constants[name]
        if value.dtype not in (np.float16, np.float32):
            kind_name = name  # indices and shapes are what they are
        else:
            kind_name = f"{name}.{_TYPES[kind].__name__}"
            if kind == TensorProto.FLOAT16 and np.abs(value, dtype=np.float32).max(initial=0) > _LARGEST:
                raise BuildError(
                    f"net {self.net!r}: the constant {name} reaches {np.abs(value).max():g}, fp16 holds up to 65504; "
                    "the training has diverged, export a sound checkpoint"
                )
            value = value.astype(_TYPES[kind])
        if kind_name not in self.initializers:
            self.initializers[kind_name] = numpy_helper.from_array(np.ascontiguousarray(value), kind_name)
        return kind_name

    def _deliver(self, output: str) -> None:
        """Makes the graph's output fp16 under its own name."""
        if output in self.alias or self.types[output] != TensorProto.FLOAT16:
            inner = self.alias.get(output, output)
            if inner == output:
                inner = f"{output}.inner"
                for node in self.nodes:
                    for names in (node.input, node.output):
                        for index, name in enumerate(names):
                            if name == output:
                                names[index] = inner
            self.nodes.append(helper.make_node("Cast", [inner], [output], name=f"{output}.out", to=TensorProto.FLOAT16))


def _cast_target(node: onnx.NodeProto, net: str) -> int:
    kind = next(attribute.i for attribute in node.attribute if attribute.name == "to")
    if kind not in _TYPES:
        name = TensorProto.DataType.Name(kind)
        raise BuildError(f"net {net!r} casts to {name} at {node.name}; wanted a net that computes in floating point")
    return kind
