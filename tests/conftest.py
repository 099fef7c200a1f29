"""A tiny bundle of real ONNX nets with known arithmetic, so that the runtime's tests run the real path in milliseconds.

Its "matte" is brightness: segmentation, depth and both alphas come out as the image's red channel, deviation_s and
deviation_d as fixed multiples of alpha * (1 - alpha), and refinement leaves its patches' alpha as it is.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from vmfm.runtime.bundle import Bundle, write_bundle
from vmfm.runtime.graph import NETS, TENSORS, Node

# The nets in tests are small: torch's threads gain them nothing, and wait on each other where the cores are shared.
# Said here, before any test imports torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

PIXEL_BUDGET, PATCHES = 96 * 64, 8
DEVIATION_GAIN = {"complementary_s": 2.0, "complementary_d": 4.0}


def _first_channel(source: str, out: str) -> list[onnx.NodeProto]:
    return [helper.make_node("Slice", [source, "zero", "one", "axis"], [out])]


def _deviation(alpha: str, out: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Mul", [alpha, alpha], ["square"]),
        helper.make_node("Sub", [alpha, "square"], ["spread"]),
        helper.make_node("Mul", ["spread", "gain"], [out]),
    ]


def tiny_model(node: Node) -> bytes:
    """The ONNX bytes of one net, with dynamic sizes and the graph's tensor names."""
    sizes = ["K", 16, 16] if node.name == "refinement" else [1, "H", "W"]

    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [sizes[0], TENSORS[name].channels, sizes[1], sizes[2]]
        )

    constants = [helper.make_tensor(name, TensorProto.INT64, [1], [n]) for name, n in (("zero", 0), ("one", 1))]
    constants.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
    gain = DEVIATION_GAIN.get(node.name)
    if gain is None:
        body = _first_channel(node.reads[0], node.writes[0])
    else:
        constants.append(helper.make_tensor("gain", TensorProto.FLOAT, [1], [gain]))
        body = _deviation(node.reads[1], node.writes[0])
    graph = helper.make_graph(
        body, node.name, [value(name) for name in node.reads], [value(name) for name in node.writes], constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


@pytest.fixture(scope="session")
def tiny_models() -> dict[str, bytes]:
    return {node.name: tiny_model(node) for node in NETS}


@pytest.fixture(scope="session")
def tiny_bundle(tiny_models: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny", tiny_models)


@pytest.fixture
def fresh_bundle(tiny_models: dict[str, bytes], tmp_path: Path) -> Callable[[], Bundle]:
    """Makes a bundle of its own, for tests that damage it."""
    return lambda: make_bundle(tmp_path / "fresh", tiny_models)


def make_bundle(path: Path, models: dict[str, bytes]) -> Bundle:
    return write_bundle(
        path,
        models,
        name="tiny",
        pixel_budget=PIXEL_BUDGET,
        patches=PATCHES,
        trained={"steps": 0},
        scores={"sad": 1.5},
    )


@pytest.fixture
def disc() -> Callable[..., np.ndarray]:
    return draw_disc


def draw_disc(
    size: tuple[int, int] = (120, 160), centre: tuple[float, float] = (60, 80), radius: float = 30.0
) -> np.ndarray:
    """A frame, uint8 (H, W, 3): a red disc with a soft edge on black."""
    y, x = np.mgrid[: size[0], : size[1]]
    brightness = np.clip((radius - np.hypot(y - centre[0], x - centre[1])) / 6 + 0.5, 0, 1)
    frame = np.zeros((*size, 3), np.uint8)
    frame[..., 0] = np.rint(255 * brightness)
    return frame
