"""The TensorRT backend on a recording stand-in for the GPU and the engine library: what is issued, where, in which order.

What a GPU would compute is not imitated. Whoever has one runs the conformance suite, which then includes this backend.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from vmfm.runtime import BackendError, Bundle, FrameError, MattingStream
from vmfm.runtime import backends as registry
from vmfm.runtime.backends import open_backend, tensorrt_backend
from vmfm.runtime.backends.tensorrt_backend import TensorRTBackend
from vmfm.runtime.backends.tensorrt_flavor import Flavor, open_flavor
from vmfm.runtime.bundle import DETAILS, shipped_bundles
from vmfm.runtime.cuda.driver import Device
from vmfm.runtime.engines import EngineCache, EngineKey, profiles_of, tensor_shape
from vmfm.runtime.gpus import Gpu, Gpus
from vmfm.runtime.graph import GRAPH, NETS, Over, build_graph, inputs
from vmfm.runtime.schedule import plan

FRAME = np.full((72, 96, 3), 7, np.uint8)
REAL_MODULE = "vmfm.runtime.backends.tensorrt_backend.Module"


class FakeCuda:
    """PyCUDA's driver module, as far as the project's Device uses it; writes down what happens."""

    def __init__(self) -> None:
        cuda = self
        self.calls: list[tuple] = []
        self.live: Counter[str] = Counter()
        self.fail_on: str | None = None
        self.spared = 0  # calls of fail_on that still work
        self.Error = type("Error", (Exception,), {})
        address = iter(range(1 << 20, 1 << 40, 1 << 20))
        number = iter(range(1, 10_000))

        class Context:
            push = detach = staticmethod(lambda: None)
            pop = staticmethod(lambda: None)

            @staticmethod
            def synchronize() -> None:
                cuda.note("synchronize all")

        class Stream:
            def __init__(self, flags: int) -> None:
                self.handle = next(number)
                cuda.note("new stream", self.handle)

            def wait_for_event(self, event: "Event") -> None:
                cuda.note("wait", self.handle, event.id)

            def synchronize(self) -> None:
                cuda.note("synchronize stream", self.handle)

        class Event:
            def __init__(self, flags: int) -> None:
                self.id = next(number)
                cuda.note("new event", self.id, flags)

            def record(self, stream: Stream) -> None:
                cuda.note("record", stream.handle, self.id)

            def synchronize(self) -> None:
                cuda.note("synchronize event", self.id)

            def time_since(self, other: "Event") -> float:
                return 1.5

        class Allocation:
            def __init__(self, nbytes: int) -> None:
                self.at = next(address)
                cuda.note("allocate", nbytes)
                cuda.live["buffers"] += 1

            def __int__(self) -> int:
                return self.at

            def free(self) -> None:
                cuda.live["buffers"] -= 1

        self.Context, self.Stream, self.Event, self.mem_alloc = Context, Stream, Event, Allocation
        self.Device = lambda ordinal: SimpleNamespace(
            name=lambda: "NVIDIA GeForce RTX 4070",
            compute_capability=lambda: (8, 9),
            total_memory=lambda: 12 << 30,
            retain_primary_context=lambda: Context(),
        )

    def note(self, *call: object) -> None:
        if call[0] == self.fail_on:
            if not self.spared:
                raise self.Error("out of memory")
            self.spared -= 1
        self.calls.append(call)

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        cuda = self
        self.note("allocate pinned", shape)
        self.live["pinned"] += 1

        class Pinned(np.ndarray):
            def free(self) -> None:
                cuda.live["pinned"] -= 1

        return np.zeros(shape, dtype).view(Pinned)[...]

    def memset_d8(self, pointer: int, value: int, count: int) -> None:
        self.note("clear", pointer, count)

    def memcpy_htod_async(self, pointer: int, array: np.ndarray, stream: Any) -> None:
        self.note("upload", stream.handle, pointer)

    def memcpy_dtoh_async(self, array: np.ndarray, pointer: int, stream: Any) -> None:
        self.note("download", stream.handle, pointer)


class FakeLibrary:
    """tensorrt_rtx, as far as running engines uses it. An engine's bytes are the name of its net."""

    __version__ = "1.7.1"
    ILogger = type("ILogger", (), {"INTERNAL_ERROR": 0, "ERROR": 1})
    DataType = SimpleNamespace(HALF="half")
    ExecutionContextAllocationStrategy = SimpleNamespace(ON_PROFILE_CHANGE="on change")
    CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")
    ComputeCapability = SimpleNamespace(__members__={"NONE": 0, "CURRENT": 1, "SM75": 2, "SM86": 3, "SM89": 4})

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda, self.contexts, self.refused, self.says = cuda, [], set(), ""
        self.Runtime = lambda log: SimpleNamespace(deserialize_cuda_engine=lambda blob: self.engine(blob, log))

    def engine(self, blob: bytes, log: Any) -> Any:
        name = blob.decode()
        if name in self.refused:
            log.log(self.ILogger.ERROR, self.says)
            return None
        node = next(node for node in NETS if node.name == name)
        tensors = [*node.reads, *node.writes]
        return SimpleNamespace(
            num_io_tensors=len(tensors),
            get_tensor_name=lambda index: tensors[index],
            get_tensor_dtype=lambda name: "half",
            create_runtime_config=self.config,
            create_execution_context=lambda config: self.context(name, config),
        )

    def config(self) -> Any:
        cache = SimpleNamespace(deserialize=lambda blob: True, serialize=lambda: b"kept")
        return SimpleNamespace(
            cuda_graph_strategy=None,
            set_execution_context_allocation_strategy=lambda strategy: None,
            create_runtime_cache=lambda: cache,
            set_runtime_cache=lambda cache: True,
        )

    def context(self, name: str, config: Any) -> Any:
        made = SimpleNamespace(net=name, shapes={}, addresses={}, profile=None, graphs=config.cuda_graph_strategy)

        def choose(index: int, stream: int) -> bool:
            made.profile = index
            return True

        def execute(stream: int) -> bool:
            self.cuda.note("execute", stream, name, id(made))
            return name not in self.refused

        made.set_optimization_profile_async = choose
        made.set_input_shape = lambda tensor, shape: made.shapes.__setitem__(tensor, shape) is None
        made.set_tensor_address = lambda tensor, address: made.addresses.__setitem__(tensor, address) is None
        made.execute_async_v3 = execute
        self.contexts.append(made)
        return made


class FakeModule:
    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda, self.closed = cuda, False

    def prepare(self, name: str, extent: tuple[int, ...], *arguments: float, block: object = None) -> Callable:
        return lambda stream: self.cuda.note("launch", stream, name)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


@pytest.fixture
def library(cuda: FakeCuda) -> FakeLibrary:
    return FakeLibrary(cuda)


@pytest.fixture
def cache(tmp_path: Path, tiny_bundle: Bundle) -> EngineCache:
    cache = EngineCache(tmp_path / "engines")
    for node in NETS:
        cache.store(EngineKey.of(tiny_bundle, node, "rtx", "1.7.1", (86, 89)), node.name.encode())
    return cache


@pytest.fixture
def open_it(
    cuda: FakeCuda, library: FakeLibrary, cache: EngineCache, tiny_bundle: Bundle, tmp_path: Path, monkeypatch
) -> Callable[..., TensorRTBackend]:
    monkeypatch.setenv("VMFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt_backend, "kernels_for", lambda capability: b"cubin")
    monkeypatch.setattr(tensorrt_backend, "Module", lambda cubin: FakeModule(cuda))

    def make(bundle: Bundle = tiny_bundle, nodes: tuple = GRAPH) -> TensorRTBackend:
        return TensorRTBackend(bundle, nodes, flavor=Flavor("rtx", library), device=Device(cuda, 0), cache=cache)

    return make


@pytest.fixture
def open_stream(open_it: Callable, tiny_bundle: Bundle, monkeypatch) -> Iterator[Callable[..., MattingStream]]:
    monkeypatch.setattr("vmfm.runtime.stream.open_backend", lambda name, bundle, nodes: open_it(bundle, nodes))
    with ExitStack() as streams:
        yield lambda **options: streams.enter_context(MattingStream(tiny_bundle, backend="tensorrt", **options))


@pytest.fixture
def stream(open_stream: Callable[..., MattingStream]) -> MattingStream:
    return open_stream()


def step(stream: MattingStream, cuda: FakeCuda) -> list[tuple]:
    """What one frame in the steady state issues."""
    cuda.calls.clear()
    stream.step(FRAME)
    return list(cuda.calls)


def test_the_steady_state_allocates_nothing_and_waits_once(stream: MattingStream, cuda: FakeCuda) -> None:
    for _ in range(3):  # both slots are open then
        stream.submit(FRAME)
        if stream.in_flight == stream.slots:
            stream.collect()
    while stream.in_flight:
        stream.collect()
    calls = [call for _ in range(4) for call in step(stream, cuda)]
    assert not [call for call in calls if call[0].startswith(("new", "allocate"))]
    waits = Counter(call[0] for call in calls if call[0].startswith("synchronize"))
    assert waits == {"synchronize event": 4}


def test_every_net_runs_once_a_frame_on_the_stream_of_its_lane(stream: MattingStream, cuda: FakeCuda) -> None:
    step(stream, cuda)
    calls = step(stream, cuda)
    stream_of = {call[2]: call[1] for call in calls if call[0] == "execute"}
    assert sorted(stream_of) == sorted(node.name for node in NETS)
    lanes: dict[str, set[int]] = {}
    for node in NETS:
        lanes.setdefault(node.lane, set()).add(stream_of[node.name])
    assert all(len(streams) == 1 for streams in lanes.values())
    assert len(set.union(*lanes.values())) == len(lanes)
    assert calls[0][0] == "upload" and [call[0] for call in calls].count("download") == 2


def test_lanes_wait_for_what_the_schedule_says(stream: MattingStream, cuda: FakeCuda) -> None:
    """Every wait is for an event that was recorded before on the stream of the node waited for."""
    step(stream, cuda)
    calls = step(stream, cuda)
    recorded: dict[int, int] = {}
    waits = 0
    for call in calls:
        if call[0] == "record":
            recorded[call[2]] = call[1]
        elif call[0] == "wait":
            assert recorded[call[2]] != call[1]
            waits += 1
    schedule = plan(build_graph())
    readers = len(schedule.readers("frame"))  # which wait for its upload, as the download waits for the last lane
    assert waits == sum(len(step.waits) for step in schedule.steps) + readers + 1


@pytest.mark.parametrize("over", [Over(), Over(blur=True)], ids=["given", "own"])
def test_pictures_stay_on_the_gpu_until_they_are_done(
    open_stream: Callable[..., MattingStream], cuda: FakeCuda, over: Over
) -> None:
    """A still background is uploaded once to each slot, a moving one with its frame, and only pictures come back."""
    stream = open_stream(deliver=("picture",), over=over)
    graph = build_graph(deliver=("picture",), over=over)
    still = None if over.blur else np.zeros_like(FRAME)

    def flow(backgrounds: list[np.ndarray | None]) -> list[tuple]:
        cuda.calls.clear()
        for background in backgrounds:
            if stream.in_flight == stream.slots:
                stream.collect()
            stream.submit(FRAME, background)
        while stream.in_flight:
            assert stream.collect().picture.shape == FRAME.shape
        return list(cuda.calls)

    flow([still] * 2)
    calls = flow([still] * 5)
    counts = Counter(call[0] for call in calls)
    assert (counts["upload"], counts["download"], counts["synchronize event"]) == (5, 5, 5)
    assert not [name for name in counts if name.startswith(("new", "allocate", "synchronize s", "synchronize a"))]
    launched: dict[str, int] = {call[2]: call[1] for call in calls if call[0] == "launch"}
    assert launched["composite"] == launched["fuse"] and ("enlarge_background" in launched) == over.blur
    if "background" in inputs(graph):
        moving = flow([np.zeros_like(FRAME) for _ in range(5)])
        assert Counter(call[0] for call in moving)["upload"] == 10
        assert len({call[1] for call in moving if call[0] == "upload"}) == 1


def test_a_background_that_did_not_arrive_is_sent_again(
    open_stream: Callable[..., MattingStream], cuda: FakeCuda
) -> None:
    stream = open_stream(deliver=("picture",), slots=1)
    still = np.zeros_like(FRAME)
    stream.step(FRAME, still)
    cuda.fail_on = "upload"
    with pytest.raises(BackendError, match="could not upload"):
        stream.step(FRAME, still)
    cuda.fail_on = None
    cuda.calls.clear()
    stream.step(FRAME, still)
    assert [call[0] for call in cuda.calls].count("upload") == 2


def test_contexts_are_bound_once_to_their_slot(
    stream: MattingStream, library: FakeLibrary, tiny_bundle: Bundle
) -> None:
    stream.submit(FRAME)
    stream.submit(FRAME)
    assert len(library.contexts) == 2 * len(NETS)
    size = tiny_bundle.net_size(*FRAME.shape[:2])
    addresses = []
    for context in library.contexts:
        node = next(node for node in NETS if node.name == context.net)
        shapes = {name: tensor_shape(name, (8,) if node.name == "refinement" else size) for name in node.reads}
        assert context.shapes == shapes and set(context.addresses) == {*node.reads, *node.writes}
        assert context.graphs == "whole"
        addresses.append(context.addresses)
    first, second = addresses[: len(NETS)], addresses[len(NETS) :]
    assert not {a for one in first for a in one.values()} & {a for one in second for a in one.values()}
    by_tensor = {name: at for one in first for name, at in one.items()}
    assert all(by_tensor[name] == at for one in first for name, at in one.items())


def test_exact_profiles_come_first(open_it: Callable, library: FakeLibrary, tiny_bundle: Bundle) -> None:
    profiles = {}
    for name, frame in (("landscape", (720, 1280)), ("odd", (500, 900))):
        with open_it() as backend:
            backend.start(plan(GRAPH))
            shape = tensorrt_backend.SlotShape(frame, tiny_bundle.net_size(*frame) if name != "odd" else (32, 128), 8)
            library.contexts.clear()
            backend.open_slot(shape)
            profiles[name] = next(context.profile for context in library.contexts if context.net == "depth")
    exact = len(EngineKey.of(tiny_bundle, NETS[0], "rtx", "1.7.1", (89,)).profiles) - 1
    assert profiles == {"landscape": 0, "odd": exact}


def test_a_frame_too_long_for_the_engines_is_told(stream: MattingStream) -> None:
    with pytest.raises(FrameError, match="engines take sizes up to .*another backend"):
        stream.submit(np.zeros((32, 2000, 3), np.uint8))
    assert stream.step(FRAME).alpha.shape == FRAME.shape[:2]


def test_a_net_that_fails_is_told_with_the_frame_and_forgotten_after(
    stream: MattingStream, library: FakeLibrary, cuda: FakeCuda
) -> None:
    stream.step(FRAME)
    library.refused.add("depth")
    with pytest.raises(BackendError, match="could not run depth"):
        stream.step(FRAME)
    library.refused.clear()
    assert stream.step(FRAME).alpha.shape == FRAME.shape[:2]


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_without_memory_nothing_stays_allocated(open_stream: Callable, cuda: FakeCuda, nth: int) -> None:
    """Whichever of the pinned arrays, of frame, background and picture, does not fit any more."""
    stream = open_stream(deliver=("picture",))
    cuda.fail_on, cuda.spared = "allocate pinned", nth - 1
    with pytest.raises(BackendError, match="memory is full"):
        stream.submit(FRAME, FRAME)
    assert cuda.live["buffers"] == cuda.live["pinned"] == 0
    cuda.fail_on = None
    assert stream.step(FRAME, FRAME).picture.shape == FRAME.shape


def test_closing_frees_everything(open_stream: Callable, cuda: FakeCuda, tmp_path: Path) -> None:
    stream = open_stream(deliver=("alpha", "picture"))
    stream.step(FRAME, FRAME)
    turned = np.zeros((96, 72, 3), np.uint8)
    stream.step(turned, turned)
    stream.close()
    stream.close()
    assert cuda.live["buffers"] == 0 and cuda.live["pinned"] == 0
    assert [file.read_bytes() for file in (tmp_path / "cache" / "runtime").iterdir()] == [b"kept"]


def test_nodes_are_timed_by_the_gpu(stream: MattingStream) -> None:
    stream.step(FRAME)
    assert set(stream.timings.milliseconds) == {node.name for node in build_graph()}
    assert {ms.tolist()[0] for ms in stream.timings.milliseconds.values()} == {1.5}


def test_a_missing_engine_says_what_to_run(open_it: Callable, cache: EngineCache, cuda: FakeCuda) -> None:
    for file in cache.folder.glob("depth-*"):
        file.unlink()
    with pytest.raises(
        BackendError, match=r"engine of depth for NVIDIA GeForce RTX 4070 \(sm89\).*not built.*vmfm build"
    ):
        open_it()
    assert cuda.live["buffers"] == 0


def test_a_truncated_engine_is_not_run(open_it: Callable, cache: EngineCache) -> None:
    file = next(cache.folder.glob("depth-*.engine"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BackendError, match=r"truncated.*vmfm build"):
        open_it()


def test_an_engine_that_the_library_refuses(
    open_it: Callable, library: FakeLibrary, cache: EngineCache, tiny_bundle: Bundle
) -> None:
    keys = {node.name: [EngineKey.of(tiny_bundle, node, "rtx", "1.7.1", (86, 89))] for node in NETS}
    library.refused.add("segmentation")
    with pytest.raises(BackendError, match="refuses the engine of segmentation.*vmfm build"):
        open_it()
    assert cache.problem(next(iter(keys["segmentation"]))) != ""  # else `vmfm build` would find it there already
    assert not any(cache.problem(key) for key in keys["depth"])


@pytest.mark.parametrize(
    "says", ["CUDA: out of memory", "CUDA driver version is insufficient for CUDA runtime version"]
)
def test_an_engine_that_another_one_would_not_replace_is_kept(
    says: str, open_it: Callable, library: FakeLibrary
) -> None:
    library.refused.add("segmentation")
    library.says = says
    with pytest.raises(BackendError, match="cannot load the engine of segmentation"):
        open_it()
    library.refused.clear()
    open_it().close()


@pytest.mark.parametrize("frame", [(1440, 5120), (1080, 3840), (5120, 1440)])
def test_wide_screens_fit_the_engines(frame: tuple[int, int]) -> None:
    for name in shipped_bundles():
        bundle = Bundle.open(name)
        profiles = profiles_of(bundle, NETS[0], (89,))
        for detail in DETAILS:
            assert any(profile.covers(bundle.net_size(*frame, detail)) for profile in profiles)


def test_what_frames_lean_on_is_cleared_before_the_first(stream: MattingStream, cuda: FakeCuda) -> None:
    stream.step(FRAME)
    cleared = {call[1] for call in cuda.calls if call[0] == "clear"}
    memory = stream._backend._memories[next(iter(stream._backend._memories))]
    assert cleared == {buffer.pointer for buffer in memory.values()}


def test_the_host_sleeps_while_it_waits_for_a_matte(stream: MattingStream, cuda: FakeCuda) -> None:
    stream.step(FRAME)
    sleeping = {call[1] for call in cuda.calls if call[0] == "new event" and call[2] == 1}
    assert {call[1] for call in cuda.calls if call[0] == "synchronize event"} <= sleeping


def test_a_tensorrt_that_is_too_old_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.8.0.43"))
    with pytest.raises(BackendError, match=r"10\.8\.0\.43 is too old, wanted 10\.11 or newer"):
        open_flavor("tensorrt")


def test_auto_goes_on_after_a_library_that_it_does_not_know(tiny_bundle: Bundle, monkeypatch) -> None:
    gpu = Gpus((13, 0), (Gpu("NVIDIA GeForce RTX 4070", 89, 12 << 30),))
    monkeypatch.setattr(registry, "find_gpus", lambda: gpu)
    for name in ("tensorrt", "torch"):  # what is opened here is called with two arguments that it does not take
        entry = registry.Entry("vmfm.runtime.gpus", "find_gpus", "install another", True)
        monkeypatch.setitem(registry.BACKENDS, name, entry)
    with open_backend("auto", tiny_bundle, GRAPH) as backend:
        assert backend.name == "cpu"
        assert "cannot be opened (TypeError" in backend.note and "install another" in backend.note


def test_auto_says_why_it_took_less(tiny_bundle: Bundle, monkeypatch) -> None:
    gpu = Gpus((13, 0), (Gpu("NVIDIA GeForce RTX 4070", 89, 12 << 30),))
    monkeypatch.setattr(registry, "find_gpus", lambda: gpu)
    monkeypatch.setitem(registry.BACKENDS, "torch", registry.Entry("nothing.at.all", "X", "pip install it", True))
    with open_backend("auto", tiny_bundle, GRAPH) as backend:
        assert backend.name == "cpu"
        assert "not tensorrt: " in backend.note and "not torch: " in backend.note


def test_auto_without_a_gpu_takes_the_cpu(tiny_bundle: Bundle, monkeypatch) -> None:
    monkeypatch.setattr(registry, "find_gpus", lambda: Gpus(None, (), "no NVIDIA driver is installed"))
    with open_backend("auto", tiny_bundle, GRAPH) as backend:
        assert backend.name == "cpu"
        assert backend.note.endswith("no NVIDIA GPU to use: no NVIDIA driver is installed")


def test_no_flavor_by_that_name() -> None:
    with pytest.raises(BackendError, match="there are: auto, rtx, tensorrt"):
        open_flavor("cudnn")
