"""The torch backend: its nets against OpenVINO's, and its CUDA side with torch.cuda played by the CPU."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch
from onnx import TensorProto, helper
from vmfm.runtime.backends import open_backend, torch_backend
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.torch_nets import OnnxNet
from vmfm.runtime.blur import blur_background
from vmfm.runtime.bundle import Bundle, shipped_bundles
from vmfm.runtime.composite import composite
from vmfm.runtime.cuda.launch import Kernels
from vmfm.runtime.errors import BackendError
from vmfm.runtime.gpus import Gpu, Gpus
from vmfm.runtime.graph import GRAPH, NETS, RESULTS, Node, Over
from vmfm.runtime.schedule import plan
from vmfm.runtime.stream import MattingStream

SHAPE = SlotShape((120, 160), (96, 128), 8)


@pytest.mark.parametrize("net", NETS, ids=lambda node: node.name)
@pytest.mark.parametrize("name", shipped_bundles())
def test_nets_compute_what_openvino_computes(name: str, net: Node) -> None:
    path = Bundle.open(name).net_path(net.name)
    rng = np.random.default_rng(0)
    inputs = [rng.random(SHAPE.of(tensor), np.float32) for tensor in net.reads]
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = compiled(dict(zip(net.reads, inputs, strict=True)))[0]
    with torch.inference_mode():
        got = OnnxNet(path)(*map(torch.from_numpy, inputs)).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (helper.make_node("Softmax", ["x"], ["y"]), "operator Softmax"),
        (helper.make_node("GlobalMaxPool", ["x"], ["y"]), "operator GlobalMaxPool"),
    ],
)
def test_an_unknown_operator_is_named(tmp_path: Path, node: onnx.NodeProto, told: str) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in "xy")
    file = tmp_path / "net.onnx"
    onnx.save(helper.make_model(helper.make_graph([node], "net", [x], [y])), str(file))
    with pytest.raises(BackendError, match=told):
        OnnxNet(file)
    file.write_bytes(b"not a model")
    with pytest.raises(BackendError, match="export or install the bundle again"):
        OnnxNet(file)


def test_auto_never_takes_torch_on_the_cpu(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus((13, 0), (Gpu("NVIDIA GeForce RTX 4070", 89, 12 << 30),))
    monkeypatch.setattr("vmfm.runtime.backends.find_gpus", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with open_backend("auto", tiny_bundle, GRAPH) as backend:
        assert backend.name == "cpu"
        assert "torch sees no CUDA GPU" in backend.note


class Event:
    """An event of a device that has always done everything already, and takes 1 ms for each."""

    clock = 0.0

    def __init__(self, **options: bool) -> None:
        self.time: float | None = None

    def record(self, stream: object = None) -> None:
        Event.clock += 1.0
        self.time = Event.clock

    def elapsed_time(self, later: "Event") -> float:
        assert self.time is not None and later.time is not None, "an event is read that was never recorded"
        return later.time - self.time

    def synchronize(self) -> None:
        assert self.time is not None


class Graph:
    """What was run while it was recorded, to be run again."""

    def __init__(self) -> None:
        self.net: Any = None

    def replay(self) -> None:
        self.net()


class FakeTorch:
    """torch, with a GPU whose memory is the host's."""

    OutOfMemoryError = torch.OutOfMemoryError

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.failing = ""
        self.cuda = SimpleNamespace(
            is_available=lambda: True,
            current_device=lambda: 0,
            set_device=lambda device: None,
            get_device_name=lambda: "Fake RTX",
            get_device_capability=lambda: (8, 9),
            synchronize=lambda: self.check("synchronize"),
            empty_cache=lambda: None,
            graph_pool_handle=object,
            Stream=lambda: SimpleNamespace(cuda_stream=0, wait_event=lambda event: event.synchronize()),
            Event=Event,
            CUDAGraph=Graph,
            stream=lambda stream: nullcontext(),
            graph=self.graph,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def check(self, call: str) -> None:
        if self.failing.startswith(call):
            raise RuntimeError(self.failing)

    def device(self, *which: object) -> torch.device:
        return torch.device("cpu")

    def empty(self, *size: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        if pin_memory:
            self.check("pinned host memory")
        return torch.empty(*size, **options)

    def zeros(self, *size: Any, **options: Any) -> torch.Tensor:
        self.check("CUDA out of memory")
        return torch.zeros(*size, **options)

    @contextmanager
    def graph(self, graph: Graph, pool: object, stream: object, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        yield


@pytest.fixture
def fake_torch(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> FakeTorch:
    fake = FakeTorch(kernels)
    monkeypatch.setattr(torch_backend, "torch", fake)
    monkeypatch.setattr(torch_backend, "kernels_for", lambda capability: b"")
    monkeypatch.setattr(torch_backend, "Module", lambda cubin: SimpleNamespace(prepare=kernels.prepare, close=int))
    record = torch_backend.TorchCudaBackend._record_net

    def record_net(self: Any, slot: Any, node: Node) -> Graph:
        graph = record(self, slot, node)
        net = self._nets[node.name]

        @torch.inference_mode()
        def again() -> None:
            slot.tensors[node.writes[0]].copy_(net(*(slot.tensors[name] for name in node.reads)))

        graph.net = again
        return graph

    monkeypatch.setattr(torch_backend.TorchCudaBackend, "_record_net", record_net)
    return fake


@pytest.mark.parametrize("output", ["complementary", "d"])
def test_the_gpu_side_mattes_like_the_cpu(fake_torch: FakeTorch, tiny_bundle: Bundle, disc, output: str) -> None:
    frames = [disc((90, 131), (40 + 2 * i, 60), 25) for i in range(4)] + [disc((131, 90)), disc((9, 7))[::-1]]
    with (
        MattingStream(tiny_bundle, backend="torch", output=output) as ours,
        MattingStream(tiny_bundle, backend="cpu", output=output) as theirs,
    ):
        assert ours.backend_name == "torch" and "Fake RTX" in ours.backend_note
        for frame in frames:
            got, expected = ours.step(frame), theirs.step(frame)
            np.testing.assert_allclose(got.alpha, expected.alpha, atol=8e-3)
            np.testing.assert_allclose(got.deviation, expected.deviation, atol=2e-2)
        assert set(ours.timings.milliseconds) == {node.name for node in ours._backend.nodes}


@pytest.mark.parametrize("over", [Over(), Over(linear=True), Over(blur=True)], ids=str)
def test_the_gpu_side_composites_as_defined(fake_torch: FakeTorch, tiny_bundle: Bundle, disc, over: Over) -> None:
    frames = [disc((90, 131), (40 + 2 * i, 60), 25) for i in range(5)] + [disc((131, 90)), disc((9, 7))[::-1]]
    still = np.random.default_rng(0).integers(0, 256, frames[0].shape, np.uint8)
    still.flags.writeable = False
    with MattingStream(tiny_bundle, backend="torch", deliver=RESULTS, over=over) as stream:
        for frame in frames:
            background = still if frame.shape == still.shape else frame[::-1, ::-1]
            matte = stream.step(frame, None if over.blur else background)
            if over.blur:
                background = np.empty_like(frame)
                blur_background(np.ascontiguousarray(frame), matte.alpha, background)
            expected = composite(frame, matte.alpha, background, linear=over.linear)
            difference = np.abs(matte.picture.astype(int) - expected)
            assert difference.max() <= 3 and difference.mean() <= 1
        assert set(stream.timings.milliseconds) == {node.name for node in stream._backend.nodes} >= {"composite"}


def test_several_frames_in_flight(fake_torch: FakeTorch, tiny_bundle: Bundle, disc) -> None:
    frames = [disc(radius=radius) for radius in (10, 20, 30, 40)]
    with MattingStream(tiny_bundle, backend="torch", temporal=False, slots=2) as stream:
        alphas = []
        for frame in frames:
            if stream.in_flight == stream.slots:
                alphas.append(stream.collect().alpha)
            stream.submit(frame)
        alphas += [stream.collect().alpha for _ in range(stream.in_flight)]
        for frame, alpha in zip(frames, alphas, strict=True):
            np.testing.assert_allclose(alpha, frame[..., 0] / 255, atol=0.03)
        assert {len(times) for times in stream.timings.milliseconds.values()} == {len(frames)}


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "GPU's memory is full"),
        ("synchronize: an illegal memory access was encountered", "context is lost"),
        ("pinned host memory: out of memory", "GPU's memory is full"),
    ],
)
@pytest.mark.parametrize("opened", [False, True], ids=["in the first frame", "later"])
def test_failures_are_told(
    fake_torch: FakeTorch, tiny_bundle: Bundle, disc, failing: str, told: str, opened: bool
) -> None:
    """And leave the slot free for the next frame."""
    with MattingStream(tiny_bundle, backend="torch", deliver=("picture",), slots=1) as stream:
        if opened:
            stream.step(disc(), disc())
        fake_torch.failing = failing
        turned = disc(size=(160, 120))  # needs another slot; what is open allocates nothing but its results
        for frame in (turned, turned):
            with pytest.raises(BackendError, match=told):
                stream.step(frame, frame)
        fake_torch.failing = ""
        stream.step(disc(), disc())


def test_a_node_that_fails_is_told_with_its_frame(fake_torch: FakeTorch, tiny_bundle: Bundle, disc) -> None:
    with MattingStream(tiny_bundle, backend="torch") as stream:
        stream.step(disc())
        slot = stream._backend._slots[0]
        replay, slot.graphs["depth"].replay = slot.graphs["depth"].replay, fail
        with pytest.raises(BackendError, match=r"run a frame \(CUDA error: unspecified launch failure\).*went astray"):
            stream.step(disc())
        slot.graphs["depth"].replay = replay
        stream.step(disc())


def test_no_room_for_a_picture_is_told_with_its_frame(fake_torch: FakeTorch, tiny_bundle: Bundle, disc) -> None:
    frame = disc()
    with MattingStream(tiny_bundle, backend="torch", deliver=("picture",), slots=1) as stream:
        expected = stream.step(frame, frame).picture
        fake_torch.failing = "pinned host memory: out of memory"
        stream.submit(frame, frame)
        with pytest.raises(BackendError, match="GPU's memory is full"):
            stream.collect()
        fake_torch.failing = ""
        np.testing.assert_array_equal(stream.step(frame, frame).picture, expected)


def test_a_background_that_did_not_arrive_is_sent_again(fake_torch: FakeTorch, tiny_bundle: Bundle, disc) -> None:
    frame, white = disc(), np.full((120, 160, 3), 255, np.uint8)
    with MattingStream(tiny_bundle, backend="torch", deliver=("picture",), slots=1) as stream:
        stream.step(frame, np.zeros_like(white))
        uploaded = stream._backend._slots[0].uploaded["background"]
        uploaded.record = lambda stream: fail()
        for _ in range(2):
            with pytest.raises(BackendError, match="went astray"):
                stream.step(frame, white)
        del uploaded.record
        assert stream.step(frame, white).picture[0, 0].tolist() == [255, 255, 255]


def test_what_frames_of_other_sizes_leant_on_is_freed(fake_torch: FakeTorch, tiny_bundle: Bundle, disc) -> None:
    """A folder of photos has a size for each."""
    with MattingStream(tiny_bundle, backend="torch", slots=2) as stream:
        for width in range(150, 160):
            stream.submit(disc(size=(120, width)))
            stream.submit(disc(size=(120, width)))
            stream.collect()
            stream.collect()
        assert [shape.frame_size for shape in stream._backend._memories] == [(120, 159)]


def test_nobody_waits_for_the_device_while_a_graph_is_recorded(
    fake_torch: FakeTorch, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA would refuse the wait and spoil the recording: an export begins while the player changes its detail."""
    recording, begun, spoiled = threading.Event(), threading.Event(), []

    @contextmanager
    def graph(*_: object, **__: object) -> Iterator[None]:
        recording.set()
        begun.set()
        time.sleep(0.02)
        yield
        recording.clear()

    player, export = (open_backend("torch", tiny_bundle, GRAPH) for _ in range(2))
    for backend in (player, export):
        backend.start(plan(GRAPH))
    slot = player.open_slot(SHAPE)
    monkeypatch.setattr(fake_torch.cuda, "synchronize", lambda: spoiled.append(recording.is_set()))
    monkeypatch.setattr(fake_torch.cuda, "graph", graph)
    thread = threading.Thread(target=export.open_slot, args=(SHAPE,), daemon=True)
    thread.start()
    assert begun.wait(30)
    player.close_slot(slot)
    thread.join(60)
    player.close()
    export.close()
    assert spoiled and not any(spoiled)


def test_a_wait_that_fails_is_told_with_its_frame(fake_torch: FakeTorch, tiny_bundle: Bundle, disc) -> None:
    with MattingStream(tiny_bundle, backend="torch", slots=1) as stream:
        stream.step(disc())
        for lane in stream._backend._lanes.values():
            lane.wait_event = lambda event: fail()
        stream.submit(disc())
        with pytest.raises(BackendError, match="went astray"):
            stream.collect()
        for lane in stream._backend._lanes.values():
            lane.wait_event = lambda event: None
        stream.step(disc())


def fail() -> None:
    raise RuntimeError("CUDA error: unspecified launch failure")


def test_a_gpu_too_old_is_told(fake_torch: FakeTorch, tiny_bundle: Bundle) -> None:
    fake_torch.cuda.get_device_capability = lambda: (6, 1)
    with pytest.raises(BackendError, match="compute capability 7.5"):
        MattingStream(tiny_bundle, backend="torch")
