"""One net -> one ONNX file: named tensors, free height and width, kernels stored as fp16, computing in fp32."""

import io
import warnings
from typing import Any, cast

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from vmfm.runtime.graph import PATCH_PX, TENSORS, Node

OPSET = 18
TRACE_SIZE = (64, 96)


def example_shape(tensor: str, size: tuple[int, int] = TRACE_SIZE, patches: int = 8) -> tuple[int, int, int, int]:
    """The shape of a tensor of the graph at a net size (H, W), or with that many patches."""
    channels = TENSORS[tensor].channels
    if tensor in ("patches", "refined"):
        return patches, channels, PATCH_PX, PATCH_PX
    return 1, channels, *size


def to_onnx(net: nn.Module, node: Node) -> bytes:
    """The ONNX file of `net`, which reads and writes what `node` says. The same weights give the same bytes.

    Free are the height and width, or for the refinement the number of patches; kernels have to be numbers of fp16.
    """
    names = node.reads + node.writes
    free = {name: {0: "patches"} if "patches" in node.reads else {2: "height", 3: "width"} for name in names}
    example = tuple(torch.zeros(example_shape(name)) for name in node.reads)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter by tracing is called deprecated. The newer one yields the same operators at 15 times the
        # time, and writes the source paths of the exporting machine into the file.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            example,
            cast(Any, buffer),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(node.reads),
            output_names=list(node.writes),
            dynamic_axes=free,
        )
    model = onnx.load_from_string(buffer.getvalue())
    _store_kernels_as_fp16(model)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _store_kernels_as_fp16(model: onnx.ModelProto) -> None:
    """Halves the file: each kernel becomes an fp16 initializer and a Cast, which engines fold when they compile."""
    graph = model.graph
    kernels = {node.input[1] for node in graph.node if node.op_type in ("Conv", "ConvTranspose")}
    casts = []
    for tensor in graph.initializer:
        if tensor.name not in kernels:
            continue
        name, stored = tensor.name, f"{tensor.name}.fp16"
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float16"), stored))
        casts.append(helper.make_node("Cast", [stored], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
