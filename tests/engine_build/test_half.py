"""The fp16 rewriting and the imitation of fp16 engines."""

from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import TensorProto, numpy_helper
from vmfm.apps.media.reader import open_reader
from vmfm.engine_build.errors import BuildError
from vmfm.engine_build.export import export_model
from vmfm.engine_build.half import to_half
from vmfm.engine_build.half_error import MEAN_TOLERANCE, imitate, measure_half_error
from vmfm.runtime.bundle import Bundle, shipped_bundles
from vmfm.runtime.graph import NETS, Node

DEMO = Path(__file__).parents[2] / "apps" / "demo" / "woman_with_mug.mp4"


@pytest.fixture(scope="module")
def tiny(tiny_model, tmp_path_factory) -> Bundle:
    path = tmp_path_factory.mktemp("bundle") / "tiny"
    return export_model(tiny_model, path, name="tiny", trained={}, scores={}).bundle


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


@pytest.mark.parametrize("node", NETS, ids=lambda node: node.name)
def test_convolutions_are_fp16_and_what_squashes_is_fp32(tiny: Bundle, node: Node) -> None:
    model = onnx.load_from_string(to_half(tiny.net_path(node.name).read_bytes(), node.name))
    types = element_types(model)
    reads_picture = "/normalise/Div_output_0"
    for operation in model.graph.node:
        (output,) = operation.output
        if reads_picture in operation.input:
            assert operation.op_type == "Conv" and types[output] == TensorProto.FLOAT
        elif operation.op_type in ("Conv", "ConvTranspose", "Relu"):
            assert types[output] == TensorProto.FLOAT16, operation.name
        if operation.op_type in ("Sigmoid", "Tanh", "GlobalAveragePool"):
            assert types[output] == TensorProto.FLOAT, operation.name
    borders = (*model.graph.input, *model.graph.output)
    assert [value.name for value in borders] == [*node.reads, *node.writes]
    assert {value.type.tensor_type.elem_type for value in borders} == {TensorProto.FLOAT16}
    assert types.get(reads_picture, TensorProto.FLOAT) == TensorProto.FLOAT
    assert (reads_picture in types) == (node.reads == ("image",))


def test_the_same_bytes_in_give_the_same_bytes_out(tiny: Bundle) -> None:
    model = tiny.net_path("depth").read_bytes()
    assert to_half(model, "depth") == to_half(model, "depth")


def test_a_weight_beyond_fp16_is_refused(tiny: Bundle) -> None:
    model = onnx.load(tiny.net_path("refinement"))
    bias = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("bias"))
    bias.CopyFrom(numpy_helper.from_array(np.full(tuple(bias.dims), 1e6, np.float32), bias.name))
    with pytest.raises(BuildError, match="reaches 1e.06, fp16 holds up to 65504"):
        to_half(model.SerializeToString(), "refinement")


def test_what_is_no_onnx_file_is_refused() -> None:
    with pytest.raises(BuildError, match="not an ONNX file"):
        to_half(b"\xff\xff\xff\xff", "depth")


def test_the_imitation_rounds_as_fp16_does() -> None:
    """A net that only copies: what comes out is what went in, rounded, whatever OpenVINO makes of the graph."""
    kind, shape = TensorProto.FLOAT16, [1, 2, 64, 64]
    values = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "copy", values[:1], values[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    x = np.random.default_rng(0).uniform(1e-3, 6e4, shape).astype(np.float32)
    x[0, 1] **= np.float32(0.1)
    core = ov.Core()
    model = core.read_model(imitate(model.SerializeToString()))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_array_equal(compiled(x)[0], x.astype(np.float16).astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_bundles())
def test_fp16_moves_the_matte_less_than_a_grey_level_of_noise(name: str, record_property) -> None:
    with open_reader(DEMO) as reader:
        frames = [shown.image for index, shown in enumerate(reader) if index in (10, 40)]
    error = measure_half_error(Bundle.open(name), frames)
    record_property("half", str(error))
    assert error.half.mean_abs <= MEAN_TOLERANCE and error.half.mean_abs < error.noise.mean_abs
    assert error.holds
