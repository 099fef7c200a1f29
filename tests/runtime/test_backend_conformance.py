"""One contract, one suite: every operation of every backend against its NumPy definition."""

from collections.abc import Iterator

import numpy as np
import pytest
from vmfm.engine_build.compile import build_engines
from vmfm.runtime.backends import BACKENDS, open_backend
from vmfm.runtime.backends.base import Backend, SlotShape
from vmfm.runtime.backends.tensorrt_flavor import open_flavor
from vmfm.runtime.blur import blur_background
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.composite import composite
from vmfm.runtime.engines import EngineCache
from vmfm.runtime.errors import BackendError
from vmfm.runtime.fusion import fuse
from vmfm.runtime.gpus import find_gpus
from vmfm.runtime.graph import GRAPH, RESULTS, Node, Over
from vmfm.runtime.patches import gather, scatter, select
from vmfm.runtime.preprocess import preprocess
from vmfm.runtime.schedule import plan
from vmfm.runtime.stream import MattingStream
from vmfm.runtime.temporal import steady
from vmfm.runtime.upsample import upsample

NODES = {node.name: node for node in GRAPH}
ATOL = 2e-3  # half precision on [0, 1]
SHAPES = {
    "landscape": SlotShape((120, 213), (64, 96), 8),
    "portrait": SlotShape((201, 99), (96, 64), 8),
    "smaller than a patch": SlotShape((9, 7), (64, 64), 8),
    "one pixel": SlotShape((1, 1), (64, 64), 8),
}


def tensorrt_runs_here() -> bool:
    """Whether there is a GPU that an installed TensorRT can run on."""
    try:
        known = open_flavor().capabilities
    except BackendError:
        return False
    return any(known is None or gpu.capability in known for gpu in find_gpus().devices)


@pytest.fixture(scope="session")
def engines(tiny_bundle: Bundle) -> None:
    """The tiny bundle's engines, beside it."""
    gpu, flavor = find_gpus().devices[0], open_flavor()
    device = "" if flavor.capabilities else gpu.name
    build_engines(tiny_bundle, flavor, (gpu.capability,), EngineCache(tiny_bundle.path / "engines"), device=device)


@pytest.fixture(params=[name for name in sorted(BACKENDS) if name != "tensorrt" or tensorrt_runs_here()])
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "tensorrt":
        request.getfixturevalue("engines")
    return request.param


@pytest.fixture
def backend(name: str, tiny_bundle: Bundle) -> Iterator[Backend]:
    with open_backend(name, tiny_bundle, GRAPH) as backend:
        backend.start(plan(GRAPH))
        yield backend


class Bench:
    """A slot filled with reproducible random tensors, and a way to run one node on it."""

    def __init__(self, backend: Backend, shape: SlotShape, seed: int = 0) -> None:
        self.backend, self.shape = backend, shape
        self.slot = backend.open_slot(shape)
        self.rng = np.random.default_rng(seed)
        self.put_frame(first=True)
        self.host = {name: self.random(name) for node in GRAPH for name in node.reads if name != "frame"}
        for name, value in self.host.items():
            backend.write(self.slot, name, value)
        self.host["frame"] = self.frame

    def random(self, name: str) -> np.ndarray:
        shape = self.shape.of(name)
        if self.shape.dtype(name) is np.uint8:
            return self.rng.integers(0, 256, shape, dtype=np.uint8)
        values = self.rng.random(shape, np.float32)
        return values * np.float32([*self.shape.frame_size, 1]) if name == "places" else values

    def put_frame(self, *, first: bool) -> None:
        self.frame = self.random("frame")
        self.backend.put_frame(self.slot, self.frame, first=first)

    def write(self, name: str, value: np.ndarray) -> None:
        self.host[name] = value
        self.backend.write(self.slot, name, value)

    def run(self, name: str) -> tuple[np.ndarray, ...]:
        """Runs a node and then `deliver`, which is how a frame ends; returns what the node wrote."""
        for node in (NODES[name], NODES["deliver"]):
            self.backend.run(node.lane, self.slot, node)
            self.backend.record(node.lane, self.slot, node.name)
            if node.name != "deliver":
                self.backend.wait(NODES["deliver"].lane, self.slot, node.name)
        self.backend.matte(self.slot, "deliver")
        return tuple(self.backend.read(self.slot, tensor) for tensor in NODES[name].writes)

    def empty(self, name: str) -> np.ndarray:
        return np.zeros(self.shape.of(name), self.shape.dtype(name))


@pytest.fixture(params=sorted(SHAPES))
def bench(request: pytest.FixtureRequest, backend: Backend) -> Bench:
    return Bench(backend, SHAPES[request.param])


def test_write_then_read_gives_the_same(bench: Bench) -> None:
    for name in ("image", "alpha", "places", "patches", "deviation_net", "background"):
        np.testing.assert_allclose(bench.backend.read(bench.slot, name), bench.host[name], atol=ATOL)


def test_preprocess(bench: Bench) -> None:
    expected = bench.empty("image")
    preprocess(bench.frame, expected)
    (image,) = bench.run("preprocess")
    np.testing.assert_allclose(image, expected, atol=2 / 255)


def test_fuse(bench: Bench) -> None:
    h = bench.host
    expected = [bench.empty(name) for name in ("alpha_net", "deviation_net", "doubt")]
    fuse([h["alpha_s"], h["alpha_d"]], [h["deviation_s"], h["deviation_d"]], *expected)
    for got, wanted in zip(bench.run("fuse"), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=ATOL)


def test_upsample(bench: Bench) -> None:
    h = bench.host
    alpha, deviation = bench.empty("alpha"), bench.empty("deviation")
    upsample(h["frame"], h["image"], h["alpha_net"], h["deviation_net"], alpha, deviation)
    for got, expected in zip(bench.run("upsample"), (alpha, deviation), strict=True):
        np.testing.assert_allclose(got, expected, atol=2 * ATOL)


def test_select(bench: Bench) -> None:
    # Steps wider than half precision, so that every device sees the same order and the same ties.
    bench.write("deviation", np.round(bench.host["deviation"] * 64) / np.float32(64))
    expected = bench.empty("places")
    select(bench.host["deviation"], expected)
    (places,) = bench.run("select")
    np.testing.assert_array_equal(places, expected)


def test_gather(bench: Bench) -> None:
    expected = bench.empty("patches")
    gather(bench.frame, bench.host["alpha"], bench.host["places"], expected)
    (patches,) = bench.run("gather")
    np.testing.assert_allclose(patches, expected, atol=ATOL)


def test_scatter(bench: Bench) -> None:
    expected = bench.host["alpha"].copy()
    scatter(expected, bench.host["deviation"], bench.host["refined"], bench.host["places"])
    (alpha,) = bench.run("scatter")
    np.testing.assert_allclose(alpha, expected, atol=ATOL)


def test_temporal(bench: Bench) -> None:
    doubt, first = bench.host["doubt"], {name: bench.host[name].copy() for name in ("alpha_net", "deviation_net")}
    memory = bench.empty("memory")
    steady(bench.host["image"], doubt, *first.values(), memory, first=True)
    results = bench.run("temporal")
    for got, expected in zip(results, (*first.values(), memory), strict=True):
        np.testing.assert_allclose(got, expected, atol=ATOL)  # nothing to lean on yet
    bench.put_frame(first=False)
    second = {name: bench.random(name) for name in first}
    expected = {name: value.copy() for name, value in second.items()}
    for name, value in second.items():
        bench.write(name, value)
    steady(bench.host["image"], doubt, *expected.values(), memory)
    results = bench.run("temporal")
    for got, wanted in zip(results, (*expected.values(), memory), strict=True):
        np.testing.assert_allclose(got, wanted, atol=2 * ATOL)
    assert np.abs(expected["alpha_net"] - second["alpha_net"]).max() > 0.01


def test_blur(bench: Bench) -> None:
    expected = bench.empty("background")
    blur_background(bench.frame, bench.host["alpha"], expected)
    (background,) = bench.run("blur")
    difference = np.abs(background.astype(int) - expected)
    assert difference.max() <= 3 and difference.mean() <= 1


def test_composite(bench: Bench) -> None:
    expected = composite(bench.frame, bench.host["alpha"], bench.host["background"])
    (picture,) = bench.run("composite")
    difference = np.abs(picture.astype(int) - expected)
    assert difference.max() <= 3 and difference.mean() <= 0.2


@pytest.mark.parametrize("over", [Over(), Over(linear=True), Over(blur=True), Over(blur=True, radius_px=2)], ids=str)
def test_the_picture_is_the_frame_over_its_background(name: str, tiny_bundle: Bundle, disc, over: Over) -> None:
    """In flight, over a still and over backgrounds that change, whose frames come from the very same stream."""
    frames = [disc(centre=(60, 40 + 10 * t)) for t in range(6)]
    still, moving = (np.random.default_rng(n).integers(0, 256, frames[0].shape, np.uint8) for n in range(2))
    backgrounds = [still, still, moving, moving.copy(), still, moving]
    with MattingStream(tiny_bundle, backend=name, deliver=RESULTS, over=over) as stream:
        mattes = []
        for frame, background in zip(frames, backgrounds, strict=True):
            if stream.in_flight == stream.slots:
                mattes.append(stream.collect())
            stream.submit(frame, None if over.blur else background)
        mattes += [stream.collect() for _ in range(stream.in_flight)]
    for matte, background in zip(mattes, backgrounds, strict=True):
        if over.blur:
            background = np.empty_like(still)
            blur_background(matte.frame, matte.alpha, background, over.radius_px)
        expected = composite(matte.frame, matte.alpha, background, linear=over.linear)
        difference = np.abs(matte.picture.astype(int) - expected)
        assert difference.max() <= 3 and difference.mean() <= 1


@pytest.mark.parametrize("net", [node for node in GRAPH if node.is_net], ids=lambda node: node.name)
def test_nets_run_on_the_tensors_the_table_names(bench: Bench, net: Node) -> None:
    """The tiny bundle's nets give their first input's first channel, or a multiple of alpha (1 - alpha)."""
    gain = {"complementary_s": 2.0, "complementary_d": 4.0}.get(net.name)
    x = bench.host[net.reads[0]][:, :1]
    if gain is not None:
        alpha = bench.host[net.reads[1]]
        x = gain * (alpha - alpha * alpha)
    (got,) = bench.run(net.name)
    np.testing.assert_allclose(got, x, atol=ATOL)


def test_what_is_delivered_is_what_was_made(bench: Bench) -> None:
    backend, deliver = bench.backend, NODES["deliver"]
    bench.write("picture", bench.random("picture"))
    backend.run(deliver.lane, bench.slot, deliver)
    backend.record(deliver.lane, bench.slot, deliver.name)
    results = backend.matte(bench.slot, deliver.name)
    assert set(results) == set(RESULTS)
    for name, got in results.items():
        np.testing.assert_allclose(got, bench.host[name], atol=ATOL)


def test_close_twice(backend: Backend) -> None:
    backend.close()
    backend.close()
