"""Int8 on CPUs: rounding stays within its steps on every CPU, and a bundle's ranges reach the nets."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from vmfm.runtime.backends import open_backend
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.openvino_backend import INT8_MACHINES, has_vnni, quantise
from vmfm.runtime.bundle import INT8, Bundle, Ranges, write_bundle
from vmfm.runtime.errors import BackendError, BundleError
from vmfm.runtime.gpus import Gpus
from vmfm.runtime.graph import NETS
from vmfm.runtime.stream import MattingStream

on_x86 = pytest.mark.skipif(platform.machine().lower() not in INT8_MACHINES, reason="float32 is used here")


def convolution(kernel: np.ndarray, transposed: bool = False, read: str = "x", written: str = "y") -> bytes:
    """The ONNX bytes of a net of one layer, its kernel stored in fp16 as in bundles: (out, in, 3, 3), or in first."""
    channels = {read: kernel.shape[not transposed], written: kernel.shape[transposed]}
    borders = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, "H", "W"]) for name, count in channels.items()
    ]
    nodes = [
        helper.make_node("Cast", ["stored"], ["kernel"], to=TensorProto.FLOAT),
        helper.make_node("ConvTranspose" if transposed else "Conv", [read, "kernel"], [written], pads=[1, 1, 1, 1]),
    ]
    stored = numpy_helper.from_array(kernel.astype(np.float16), "stored")
    graph = helper.make_graph(nodes, "net", borders[:1], borders[1:], [stored])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def compute(model: ov.Model, x: np.ndarray) -> tuple[np.ndarray, bool]:
    """y, and whether the convolution ran in int8."""
    model.reshape(x.shape)
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    steps = [op.get_rt_info() for op in compiled.get_runtime_model().get_ops()]
    kernels = [step["primitiveType"].astype(str) for step in steps if "onvolution" in step["layerType"].astype(str)]
    return compiled(x)[0].copy(), any(kernel.lower().endswith("i8") for kernel in kernels)


with_vnni = pytest.mark.skipif(not has_vnni(), reason="this CPU is given kernels of 7 bits")


@on_x86
@pytest.mark.parametrize("kernel_bits", [7, pytest.param(8, marks=with_vnni)])
@pytest.mark.parametrize("transposed", [False, True])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), high=st.floats(0.1, 20), scale=st.floats(0.01, 10))
def test_an_error_is_no_larger_than_the_steps_allow(
    transposed: bool, kernel_bits: int, seed: int, high: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    kernel = (rng.normal(0, scale, (16, 16, 3, 3))).astype(np.float16)
    kernel[3] = 0  # a channel that training has switched off
    x = rng.uniform(0, high, (1, 16, 16, 16)).astype(np.float32)
    model = ov.Core().read_model(convolution(kernel, transposed))
    exact, was_int8 = compute(model, x)
    assert not was_int8
    quantise(model, {"x": (0.0, high)}, kernel_bits)
    rounded, is_int8 = compute(model, x)
    assert is_int8
    size = np.abs(kernel.astype(np.float32))
    axes = (0, 2, 3) if transposed else (1, 2, 3)
    in_steps = (
        size.sum(axis=axes) * high / 255 / 2 + 9 * 16 * high * size.max(axis=axes) * 2 ** (9 - kernel_bits) / 254 / 2
    )
    error = np.abs(rounded - exact).max(axis=(0, 2, 3))
    assert (error <= in_steps * 1.01 + 1e-3).all()
    assert error.max() > 0


SATURATING = """
import numpy as np, openvino as ov
from vmfm.runtime.backends.openvino_backend import quantise
model = ov.Core().read_model(bytes.fromhex(input()))
quantise(model, {"x": (0.0, 1.0)}, kernel_bits=7)
compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
print(compiled(np.ones((1, 16, 16, 16), np.float32))[0][0, 0, 8, 8])
"""


@on_x86
@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE_VNNI"])
def test_sums_do_not_overflow_on_cpus_that_add_in_16_bits(instructions: str) -> None:
    """The largest kernel on the largest input. CPUs that lack what the variable allows use what they have."""
    given = convolution(np.full((16, 16, 3, 3), 0.5)).hex()
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": instructions}
    command = [sys.executable, "-c", SATURATING]
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, check=True)
    assert float(done.stdout) == pytest.approx(16 * 9 * 0.5, rel=0.01)


@pytest.fixture
def with_ranges(tiny_models: dict[str, bytes], tmp_path: Path) -> Callable[[Mapping[str, Ranges]], Bundle]:
    """Makes a bundle whose depth is the picture's mean over 3x3 pixels, a convolution, and which has these ranges."""
    models = tiny_models | {"depth": convolution(np.full((1, 3, 3, 3), 1 / 27), read="image", written="depth")}
    sizes = {"pixel_budget": 96 * 64, "patches": 4}
    return lambda ranges: write_bundle(tmp_path / "b", models, name="b", **sizes, trained={}, scores={}, ranges=ranges)


MakeBundle = Callable[[Mapping[str, Ranges]], Bundle]
DEPTH = {"depth": {"image": (0.0, 1.0)}}


def depth_of(bundle: Bundle, backend: str) -> tuple[np.ndarray, str]:
    """What the depth net says of noise, and the backend's note."""
    shape = SlotShape((64, 96), (64, 96), 4)
    with open_backend(backend, bundle, NETS) as opened:
        slot = opened.open_slot(shape)
        opened.write(slot, "image", np.random.default_rng(0).random(shape.of("image"), np.float32))
        opened.run_net(slot, next(node for node in NETS if node.name == "depth"))
        return opened.read(slot, "depth"), opened.note


def test_ranges_come_back_as_they_were_written(with_ranges: MakeBundle, tiny_bundle: Bundle) -> None:
    assert Bundle.open(with_ranges(DEPTH).path).ranges == DEPTH
    assert tiny_bundle.ranges == {} and not (tiny_bundle.path / INT8).exists()


@pytest.mark.parametrize("harm", [lambda file: file.write_bytes(file.read_bytes() + b" "), lambda file: file.unlink()])
def test_a_harmed_file_of_ranges_is_named(with_ranges: MakeBundle, harm: Callable[[Path], object]) -> None:
    bundle = with_ranges(DEPTH)
    harm(bundle.path / INT8)
    with pytest.raises(BundleError, match=INT8):
        Bundle.open(bundle.path)


@on_x86
def test_only_nets_with_ranges_are_rounded_and_only_by_cpu(with_ranges: MakeBundle) -> None:
    bundle = with_ranges(DEPTH)
    rounded, note = depth_of(bundle, "cpu")
    exact, exact_note = depth_of(bundle, "cpu-f32")
    without, without_note = depth_of(with_ranges({}), "cpu")
    assert 0 < np.abs(rounded - exact).max() < 0.01
    np.testing.assert_array_equal(without, exact)
    assert "1 of 8 nets in int8" in note
    assert "int8" not in exact_note and "int8" not in without_note


@on_x86
def test_a_range_for_no_tensor_is_told_and_auto_goes_on_in_float32(
    with_ranges: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = with_ranges({"depth": {"of another net": (0.0, 1.0)}})
    with pytest.raises(BackendError, match="'of another net'.*cpu-f32"):
        MattingStream(bundle, backend="cpu")
    monkeypatch.setattr("vmfm.runtime.backends.find_gpus", lambda: Gpus(None, (), "none"))
    with MattingStream(bundle) as stream:
        assert stream.backend_name == "cpu-f32"
        assert "of another net" in stream.backend_note
        assert stream.step(np.zeros((64, 96, 3), np.uint8)).alpha.shape == (64, 96)
