"""A bundle of real ONNX nets that know one thing: what is bright is foreground."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from vmfm.runtime.bundle import write_bundle
from vmfm.runtime.graph import NETS, TENSORS

# What each net writes, as channel weights over the concatenation of what it reads, and a bias, before a sigmoid.
_BRIGHT = ([20.0, 20.0, 20.0], -30.0)
_UNSURE = ([0.0, 0.0, 0.0, 0.0], -2.0)
_RULES = {
    "interaction": ([0.0, 0.0, 0.0], 0.0),
    "segmentation": _BRIGHT,
    "depth": _BRIGHT,
    "foreground_s": ([0.0, 0.0, 0.0, 0.0, 40.0], -20.0),
    "foreground_d": ([0.0, 0.0, 0.0, 0.0, 40.0], -20.0),
    "complementary_s": _UNSURE,
    "complementary_d": _UNSURE,
    "refinement": ([40.0, 0.0, 0.0, 0.0], -20.0),
}


@pytest.fixture(scope="session")
def bright_bundle(tmp_path_factory):
    """The path of the bundle."""
    models = {node.name: _model(node) for node in NETS}
    path = tmp_path_factory.mktemp("bundles") / "bright"
    write_bundle(path, models, name="bright", pixel_budget=32 * 32 * 24, patches=8, trained={}, scores={})
    return path


def _model(node) -> bytes:
    weights, bias = _RULES[node.name]
    side = 16 if node.name == "refinement" else None
    shape = ["k" if side else 1, None, side or "h", side or "w"]

    def value(name):
        dims = [shape[0], TENSORS[name].channels, *shape[2:]]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

    kernel = np.array(weights, np.float32).reshape(1, -1, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Concat", list(node.reads), ["all"], axis=1),
            helper.make_node("Conv", ["all", "kernel", "bias"], ["sum"]),
            helper.make_node("Sigmoid", ["sum"], list(node.writes)),
        ],
        node.name,
        [value(name) for name in node.reads],
        [value(name) for name in node.writes],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(np.array([bias], np.float32), "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()
