"""kernels.cu: compiled for every GPU we support, and run on the CPU (see cuda_on_host.hpp) against its definitions."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.blur import blur_background
from vmfm.runtime.composite import composite
from vmfm.runtime.cuda import compile as compiling
from vmfm.runtime.cuda.compile import installed_nvrtcs, kernels_for
from vmfm.runtime.cuda.launch import Kernels, geometry, signatures
from vmfm.runtime.cuda.layouts import memory_layout, scratch_layout, tensor_layout
from vmfm.runtime.cuda.nv12 import BT601, BT709, Coding, nv12_to_rgb, rgb_to_nv12
from vmfm.runtime.cuda.operations import CHOOSE_THREADS, Operations
from vmfm.runtime.fusion import fuse
from vmfm.runtime.gpus import Gpus
from vmfm.runtime.graph import GRAPH, RESULTS, Over, build_graph
from vmfm.runtime.patches import LEAST_DEVIATION, gather, scatter, select
from vmfm.runtime.preprocess import preprocess
from vmfm.runtime.temporal import LONGEST, steady
from vmfm.runtime.upsample import upsample

NODES = {node.name: node for node in GRAPH}
HALF = 1e-3  # half precision on [0, 1], twice rounded
CAPABILITIES = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (12, 0)]
SHAPES = {
    "landscape": SlotShape((120, 213), (64, 96), 8),
    "portrait": SlotShape((201, 99), (96, 64), 8),
    "halved twice": SlotShape((264, 400), (64, 96), 8),
    "smaller than the nets": SlotShape((40, 90), (64, 96), 40),
    "smaller than a patch": SlotShape((9, 7), (64, 64), 8),
    "one pixel": SlotShape((1, 1), (64, 64), 8),
    "many overlapping patches": SlotShape((70, 50), (64, 64), 64),
}


@pytest.mark.parametrize("half", [True, False], ids=["half", "float"])
@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda capability: "sm{}{}".format(*capability))
def test_every_kernel_compiles(capability: tuple[int, int], half: bool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("VMFM_CACHE", str(tmp_path))
    cubin = kernels_for(capability, half=half)
    assert cubin.startswith(b"\x7fELF")
    assert all(name.encode() in cubin for name in signatures())
    (kept,) = (tmp_path / "kernels").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert kernels_for(capability, half=half) == cubin, "a file cut short is made again"
    assert kernels_for(capability, half=half) == cubin


class Bench:
    """A slot of random tensors in host memory, and a way to run one operation on it."""

    def __init__(self, kernels: Kernels, shape: SlotShape, nodes=GRAPH) -> None:
        rng = np.random.default_rng(0)
        layouts = {**tensor_layout(shape, nodes), **scratch_layout(shape, nodes), **memory_layout(shape)}
        self.arrays = {
            name: rng.integers(0, 256, size).astype(kind) if kind is np.uint8 else rng.random(size).astype(kind)
            for name, (size, kind) in layouts.items()
        }
        self.arrays["places"] *= (*shape.frame_size, 1)
        addresses = {name: array.ctypes.data for name, array in self.arrays.items()}
        self.nodes = {node.name: node for node in nodes}
        self.operations = Operations(kernels, shape, nodes, addresses)
        self.before = {name: array.astype(_host_type(array)) for name, array in self.arrays.items()}

    def run(self, name: str, *, first: bool = False) -> tuple[np.ndarray, ...]:
        node = self.nodes[name]
        self.operations.run(node, 0, first=first)
        return tuple(self.arrays[written].astype(_host_type(self.arrays[written])) for written in node.writes)


def _host_type(array: np.ndarray) -> np.dtype:
    return np.dtype(np.float32) if array.dtype == np.float16 else array.dtype


@pytest.fixture(params=sorted(SHAPES))
def bench(request: pytest.FixtureRequest, kernels: Kernels) -> Bench:
    return Bench(kernels, SHAPES[request.param])


def test_preprocess(bench: Bench) -> None:
    expected = np.empty_like(bench.before["image"])
    preprocess(bench.before["frame"], expected)
    (image,) = bench.run("preprocess")
    # The definition shrinks by halves and rounds each time; one level is what that may cost.
    np.testing.assert_allclose(image, expected, atol=1.01 / 255 + HALF)


def test_fuse(bench: Bench) -> None:
    b = bench.before
    expected = [np.empty_like(b["alpha_net"]) for _ in range(3)]
    fuse([b["alpha_s"], b["alpha_d"]], [b["deviation_s"], b["deviation_d"]], *expected)
    for got, wanted in zip(bench.run("fuse"), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_fuse_of_one_net(kernels: Kernels) -> None:
    bench = Bench(kernels, SHAPES["landscape"], build_graph("d"))
    alpha, deviation, doubt = bench.run("fuse")
    np.testing.assert_array_equal(doubt, deviation)
    np.testing.assert_array_equal(alpha, bench.before["alpha_d"])
    np.testing.assert_array_equal(deviation, bench.before["deviation_d"])


def test_upsample(bench: Bench) -> None:
    b = bench.before
    alpha, deviation = np.empty_like(b["alpha"]), np.empty_like(b["alpha"])
    upsample(b["frame"], b["image"], b["alpha_net"], b["deviation_net"], alpha, deviation)
    for got, expected in zip(bench.run("upsample"), (alpha, deviation), strict=True):
        np.testing.assert_allclose(got, expected, atol=3e-4)


def test_select(bench: Bench) -> None:
    expected = np.empty_like(bench.before["places"])
    select(bench.before["deviation"], expected)
    (places,) = bench.run("select")
    np.testing.assert_array_equal(places, expected)


@pytest.mark.parametrize(
    "values",
    [
        lambda rng, size: np.round(rng.random(size) * 3) / 3,  # ties
        lambda rng, size: rng.random(size) * LEAST_DEVIATION * 1.02,  # few cells are worth a patch
        lambda rng, size: rng.random(size) * LEAST_DEVIATION / 2,  # none is
        lambda rng, size: np.zeros(size),
        lambda rng, size: np.ones(size),
    ],
    ids=["ties", "few", "none", "zeros", "ones"],
)
def test_select_from_special_maps(kernels: Kernels, values: Callable[..., np.ndarray]) -> None:
    bench = Bench(kernels, SlotShape((333, 517), (64, 96), 100))
    deviation = values(np.random.default_rng(1), (333, 517)).astype(np.float32)
    bench.arrays["deviation"][:] = deviation
    expected = np.empty_like(bench.before["places"])
    select(deviation, expected)
    (places,) = bench.run("select")
    np.testing.assert_array_equal(places, expected)


def test_gather(bench: Bench) -> None:
    b = bench.before
    expected = np.empty_like(b["patches"])
    gather(b["frame"], b["alpha"], b["places"], expected)
    (patches,) = bench.run("gather")
    np.testing.assert_allclose(patches, expected, atol=HALF)


def test_scatter(bench: Bench) -> None:
    b = bench.before
    expected = b["alpha"].copy()
    scatter(expected, b["deviation"], b["refined"], b["places"])
    (alpha,) = bench.run("scatter")
    np.testing.assert_allclose(alpha, expected, atol=1e-6)


@pytest.fixture
def steadied(bench: Bench) -> Callable[[bool], dict[str, np.ndarray]]:
    """Makes a bench's image one that moved in places, and gives what its `temporal` should come to."""
    moved = 0.1 * (cv2.resize(bench.before["image"][0, 0], (4, 4)) > 0.5).astype(np.float32)
    moved = cv2.resize(moved, bench.before["image"].shape[:1:-1], interpolation=cv2.INTER_NEAREST)
    bench.before["memory"][0, 6] *= LONGEST
    bench.arrays["memory"][0, 6] *= LONGEST
    bench.arrays["image"][:] = bench.before["memory"][:, :3] + moved

    def expect(first: bool) -> dict[str, np.ndarray]:
        maps = {name: bench.before[name].copy() for name in ("doubt", "alpha_net", "deviation_net", "memory")}
        steady(bench.arrays["image"].astype(np.float32), *maps.values(), first=first)
        return maps

    return expect


def test_temporal(bench: Bench, steadied: Callable[[bool], dict[str, np.ndarray]]) -> None:
    expected = steadied(False)
    bench.run("temporal")
    for name, wanted in expected.items():
        np.testing.assert_allclose(bench.arrays[name], wanted, atol=1e-4, err_msg=name)
    assert 0.1 < (expected["memory"][0, 6] > 0).mean() < 0.9  # some of it moved, some stood still


def test_a_first_frame_leans_on_nothing(bench: Bench, steadied: Callable[[bool], dict[str, np.ndarray]]) -> None:
    expected = steadied(True)
    bench.arrays["memory"][:] = np.nan
    bench.run("temporal", first=True)
    for name, wanted in expected.items():
        np.testing.assert_array_equal(bench.arrays[name], wanted, err_msg=name)
    np.testing.assert_array_equal(expected["alpha_net"], bench.before["alpha_net"])


def made_over(kernels: Kernels, over: Over, frame: np.ndarray, alpha: np.ndarray, **arrays: np.ndarray) -> Bench:
    """A bench whose `blur` and `composite` find these pictures."""
    shape = SlotShape(frame.shape[:2], (64, 64), 8)
    bench = Bench(kernels, shape, build_graph(deliver=RESULTS, over=over))
    for name, array in {"frame": frame, "alpha": alpha, **arrays}.items():
        bench.arrays[name][:] = array
    return bench


def picture(size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A frame of smooth noise, and a disc of alpha with a soft edge."""
    rng = np.random.default_rng(seed)
    noise = cv2.resize(rng.random((7, 9, 3), np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[: size[0], : size[1]]
    inside = min(size) / 3 - np.hypot(y - size[0] / 2, x - size[1] / 2)
    return np.clip(noise * 255, 0, 255).astype(np.uint8), np.clip(inside / 8 + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("linear", [False, True], ids=["gamma", "linear"])
@pytest.mark.parametrize("size", [(90, 120), (450, 333), (502, 870), (1, 1), (5, 300)], ids=str)
def test_composite(kernels: Kernels, size: tuple[int, int], linear: bool) -> None:
    frame, alpha = picture(size)
    background = picture(size, 1)[0]
    expected = composite(frame, alpha, background, linear=linear).astype(int)
    (got,) = made_over(kernels, Over(linear=linear), frame, alpha, background=background).run("composite")
    # The definition samples colours in 32 steps between pixels and rounds while it shrinks.
    assert np.abs(got - expected).max() <= 3
    assert np.abs(got - expected).mean() <= 0.05


@pytest.mark.parametrize("radius_px", [None, 0, 0.6, 3, 9, 500])
@pytest.mark.parametrize("size", [(360, 480), (50, 80), (1, 1)], ids=str)
def test_blur(kernels: Kernels, size: tuple[int, int], radius_px: float | None) -> None:
    frame, alpha = picture(size)
    expected = np.empty_like(frame)
    blur_background(frame, alpha, expected, radius_px)
    (background,) = made_over(kernels, Over(blur=True, radius_px=radius_px), frame, alpha).run("blur")
    difference = np.abs(background.astype(int) - expected)
    assert difference.max() <= 3 and difference.mean() <= 1
    if radius_px == 0:
        np.testing.assert_array_equal(background, frame)


@pytest.mark.parametrize("coding", [BT709, BT601, Coding(full_range=True)], ids=["709", "601", "full range"])
@pytest.mark.parametrize("size", [(32, 48), (7, 5), (1, 1)], ids=str)
def test_nv12(kernels: Kernels, size: tuple[int, int], coding: Coding) -> None:
    height, width = size
    frame, pitch = picture(size)[0], width + 11
    rows = height + (height + 1) // 2
    surface = np.zeros((rows, pitch), np.uint8)
    luma, chroma = surface.ctypes.data, surface.ctypes.data + height * pitch
    constants = (coding.red, coding.blue, *coding.levels)
    chroma_size = ((width + 1) // 2, (height + 1) // 2)
    encode = (frame.ctypes.data, height, width, luma, chroma, pitch, *constants)
    kernels.prepare("rgb_to_nv12", chroma_size, *encode)(0)
    expected_luma, expected_chroma = rgb_to_nv12(frame, coding)
    got_chroma = surface[height:, : chroma_size[0] * 2].reshape(expected_chroma.shape)
    assert np.abs(surface[:height, :width].astype(int) - expected_luma).max() <= 1
    assert np.abs(got_chroma.astype(int) - expected_chroma).max() <= 1
    back = np.zeros_like(frame)
    kernels.prepare("nv12_to_rgb", (width, height), luma, chroma, pitch, back.ctypes.data, height, width, *constants)(0)
    expected = nv12_to_rgb(surface[:height, :width].copy(), got_chroma, coding)
    assert np.abs(back.astype(int) - expected).max() <= 1


def test_nv12_agrees_with_opencv() -> None:
    frame = picture((32, 48))[0]
    luma, chroma = rgb_to_nv12(frame, BT601)
    planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
    assert np.abs(luma.astype(int) - planes[:32]).max() <= 1
    decoded = cv2.cvtColorTwoPlane(luma, chroma, cv2.COLOR_YUV2RGB_NV12)
    assert np.abs(nv12_to_rgb(luma, chroma, BT601).astype(int) - decoded).max() <= 2


def test_a_launch_with_too_few_arguments_is_refused(kernels: Kernels) -> None:
    with pytest.raises(TypeError, match="takes 2 arguments, got 1"):
        kernels.prepare("settle", (1,), 0)
    assert geometry((1000,), None) == ((4, 1, 1), (256, 1, 1))
    assert geometry((CHOOSE_THREADS,), (CHOOSE_THREADS, 1, 1)) == ((1, 1, 1), (CHOOSE_THREADS, 1, 1))


def test_finds_the_compiler_by_the_names_it_has_on_each_system_newest_first(tmp_path: Path) -> None:
    """The files of the wheels nvidia-cuda-nvrtc, nvidia-cuda-nvrtc-cu12 and torch, whose neighbours are no compilers."""
    newest_first = [
        "nvidia/cu14/lib/libnvrtc.so.14",
        "nvidia/cu13/bin/x86_64/nvrtc64_130_0.dll",
        "torch/lib/libnvrtc-672ee683.so.12.9",
        "nvidia/cuda_nvrtc/bin/nvrtc64_120_0.dll",
        "torch/lib/nvrtc64_112_0.dll",
    ]
    neighbours = [
        "nvidia/cu13/bin/x86_64/nvrtc-builtins64_135.dll",
        "nvidia/cuda_nvrtc/bin/nvrtc-builtins64_129.dll",
        "nvidia/cuda_nvrtc/bin/nvrtc64_120_0.alt.dll",
        "torch/lib/libnvrtc-builtins.so.13.5",
        "torch/lib/libnvrtc-builtins-07fb3db5.so.12.9",
    ]
    for name in newest_first[::-1] + neighbours:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = installed_nvrtcs([tmp_path, tmp_path / "nvidia"])
    assert [file.relative_to(tmp_path).as_posix() for file in found] == newest_first


@pytest.mark.parametrize(("driver", "chosen"), [(None, 13), (13, 13), (12, 12), (11, 13)])
def test_the_compiler_is_the_newest_that_the_driver_keeps_up_with(driver, chosen, monkeypatch) -> None:
    """What CUDA 13 makes, a driver for CUDA 12 does not load; where there is nothing older, it is tried all the same."""
    folders = [Path("/x/nvrtc.13"), Path("/x/nvrtc.12")]
    monkeypatch.setattr(compiling, "installed_nvrtcs", lambda _: folders)
    monkeypatch.setattr(compiling, "_systems_own", list)
    monkeypatch.setattr(compiling, "_open", lambda name: name)
    monkeypatch.setattr(compiling, "Nvrtc", lambda name: SimpleNamespace(major=int(name.rpartition(".")[2])))
    monkeypatch.setattr(compiling, "find_gpus", lambda: Gpus(driver and (driver, 0), ()))
    assert compiling.load_nvrtc.__wrapped__().major == chosen
