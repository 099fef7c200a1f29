"""The driver against a stand-in for pycuda.driver: who is made current, what is freed, and what people are told."""

import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from vmfm.runtime.cuda.driver import Device, pycuda_driver
from vmfm.runtime.cuda.errors import cuda_error, hint
from vmfm.runtime.errors import BackendError


class FakeCuda(ModuleType):
    """Host memory as a device's; every call that needs a current context checks that there is one."""

    class Error(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pycuda.driver")
        self.stack: list[Any] = []
        self.memory: dict[int, bytearray] = {}
        self.version, self.failing = 13_000, ""
        self.init = lambda: self.check("init", context=False)
        self.get_driver_version = lambda: self.version
        self.Device = lambda ordinal: SimpleNamespace(
            name=lambda: "Fake RTX",
            compute_capability=lambda: (8, 9),
            total_memory=lambda: 8 * 2**30,
            retain_primary_context=lambda: self,
        )
        self.Context = SimpleNamespace(synchronize=lambda: self.check("synchronize"))
        self.Event = lambda flags: SimpleNamespace(
            record=lambda stream: self.check("record"),
            synchronize=lambda: self.check("event"),
            time_since=lambda earlier: 1.5,
        )
        self.Stream = lambda flags: SimpleNamespace(
            handle=7, wait_for_event=lambda event: self.check("wait"), synchronize=lambda: self.check("stream")
        )

    def check(self, call: str, context: bool = True) -> None:
        assert self.stack or not context, f"{call} without a current context"
        if self.failing and call in self.failing.split(":")[0]:
            raise self.Error(self.failing)

    def push(self) -> None:
        self.stack.append(self)

    def pop(self) -> None:
        self.stack.pop()

    def detach(self) -> None:
        assert not self.stack and not self.memory

    def mem_alloc(self, nbytes: int) -> Any:
        self.check("mem_alloc")
        address = 4096 * (len(self.memory) + 1)
        self.memory[address] = bytearray(nbytes)

        class Allocation(int):
            def free(allocation) -> None:
                self.check("free")
                del self.memory[allocation]

        return Allocation(address)

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        self.check("pagelocked_empty")

        class Pinned(np.ndarray):
            base = SimpleNamespace(free=lambda: self.check("free"))

        return np.empty(shape, dtype).view(Pinned)

    def memset_d8(self, pointer: int, value: int, count: int) -> None:
        self.check("memset")
        self.memory[pointer][:count] = bytes([value]) * count

    def memcpy_htod(self, pointer: int, array: np.ndarray) -> None:
        self.check("memcpy")
        self.memory[pointer][: array.nbytes] = array.tobytes()

    def memcpy_dtoh(self, array: np.ndarray, pointer: int) -> None:
        self.check("memcpy")
        array.view(np.uint8).reshape(-1)[:] = np.frombuffer(self.memory[pointer], np.uint8)[: array.nbytes]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake, package = FakeCuda(), ModuleType("pycuda")
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", fake)
    return fake


def test_a_device_frees_what_it_made(cuda: FakeCuda) -> None:
    with Device.open() as device:
        assert (device.name, device.capability) == ("Fake RTX", (8, 9))
        stream, event, pinned = device.stream(), device.event(), device.pinned((2, 3), np.uint8)
        assert stream.handle == 7 and pinned.array.shape == (2, 3)
        event.record(stream)
        stream.wait(event)
        event.synchronize()
        assert event.ms_since(event) == 1.5
        buffer = device.buffer(24)
        values, back = np.arange(6, dtype=np.float32), np.zeros(6, np.float32)
        buffer.upload(values)
        buffer.download(back)
        np.testing.assert_array_equal(back, values)
        with pytest.raises(ValueError, match="at most 24 bytes"):
            buffer.upload(np.zeros(7, np.float32))
        assert not cuda.stack
    assert not cuda.memory and not cuda.stack
    device.close()
    with pytest.raises(BackendError, match="closed"):
        device.stream()


def test_within_a_frame_the_context_is_made_current_once(cuda: FakeCuda) -> None:
    with Device.open() as device, device.stream() as stream, device.event() as event:
        with device.current("issue a frame"):
            event.record(stream)
            stream.wait(event)
            assert len(cuda.stack) == 1
            cuda.failing = "wait: unspecified launch failure"
            with pytest.raises(BackendError, match="wait for an event"):  # still told by what was being done
                stream.wait(event)
            cuda.failing = ""
            event.record(stream)
            elsewhere: list[int] = []
            thread = threading.Thread(target=lambda: [event.synchronize(), elsewhere.append(len(cuda.stack))])
            thread.start()
            thread.join()
            assert elsewhere == [1]  # another thread took the context and gave it back
        assert not cuda.stack


def test_a_lost_device_is_told_and_everything_is_let_go(cuda: FakeCuda) -> None:
    device = Device.open()
    device.event(), device.stream()
    cuda.failing = "synchronize: unspecified launch failure"
    with pytest.raises(BackendError, match="kernel went astray"):
        device.close()
    assert not cuda.stack and not device._resources
    device.close()


def test_out_of_memory_names_the_size_and_the_way_out(cuda: FakeCuda) -> None:
    with Device.open() as device:
        cuda.failing = "mem_alloc failed: out of memory"
        with pytest.raises(BackendError, match=r"allocate 33\.0 MB.*memory is full.*lite bundle"):
            device.buffer(33_000_000)
        cuda.failing = ""


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        ("init: no CUDA-capable device is detected", "sees no NVIDIA GPU"),
        ("init: unknown error", "GPU was lost"),
    ],
)
def test_cuda_does_not_start(cuda: FakeCuda, failing: str, told: str) -> None:
    cuda.failing = failing
    with pytest.raises(BackendError, match=told):
        Device.open()


def test_a_driver_too_old(cuda: FakeCuda) -> None:
    cuda.version = 11_040
    with pytest.raises(BackendError, match=r"CUDA 11\.4.*update it"):
        pycuda_driver()


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("libcuda.so.1: cannot open shared object file: No such file or directory", "no NVIDIA driver runs here"),
        (
            "DLL load failed while importing _driver: The specified module could not be found.",
            "library that PyCUDA needs",
        ),
        ("No module named 'pycuda'", "pip install pycuda"),
    ],
)
def test_pycuda_does_not_import(monkeypatch: pytest.MonkeyPatch, reason: str, told: str) -> None:
    def fail(name: str) -> ModuleType:
        raise ImportError(reason)

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(BackendError, match=told):
        pycuda_driver()


def test_an_unknown_failure_is_told_without_advice() -> None:
    assert hint("something nobody has seen") == ""
    assert str(cuda_error("run", "")) == "CUDA could not run (str)"
