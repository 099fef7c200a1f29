"""A GPU through PyCUDA: its context, streams, events and memory. The only file that knows PyCUDA.

with Device.open() as device:
    stream = device.stream()
    with device.current():                 # the context, for whatever else talks to CUDA on this thread
        engine.execute_async_v3(stream.handle)
    stream.synchronize()

The context is the device's primary one, which TensorRT, torch and our kernels share. Every method makes it current on
the calling thread by itself, so a Device may be used from several threads, one at a time. What a device made is freed
by its close() at the latest. Every failure is a BackendError with a hint.
"""

import importlib
import math
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from vmfm.runtime.cuda.errors import cuda_error, told
from vmfm.runtime.cuda.whole import WHOLE_DEVICE
from vmfm.runtime.errors import BackendError

OLDEST_DRIVER = 12_000  # the CUDA version a driver supports, as it reports it: 12.0, release 525
_BLOCKING_SYNC = 1  # CU_EVENT_BLOCKING_SYNC
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: lanes owe the default stream nothing


def pycuda_driver() -> Any:
    """The module pycuda.driver, initialised. Raises BackendError where PyCUDA, the driver or a GPU is missing."""
    if sys.platform == "win32" and (toolkit := os.environ.get("CUDA_PATH")):
        with suppress(OSError):  # PyCUDA itself looks into bin alone, where CUDA 13 has no libraries
            os.add_dll_directory(str(Path(toolkit) / "bin" / "x64"))
    try:
        cuda = importlib.import_module("pycuda.driver")
    except ImportError as error:
        if any(name in str(error).lower() for name in ("libcuda", "nvcuda", "dll load failed")):
            raise cuda_error("start", error) from error
        raise BackendError(
            f"PyCUDA is not installed ({error}); pip install pycuda (it is compiled then: the CUDA toolkit's nvcc has "
            "to be on the PATH), or use the torch backend, which needs neither"
        ) from error
    with told("start", cuda.Error):
        cuda.init()
        version = cuda.get_driver_version()
    if version < OLDEST_DRIVER:
        raise cuda_error("start", f"driver too old, for CUDA {version // 1000}.{version % 1000 // 10}")
    return cuda


class Resource(ABC):
    """Something on a device that close() gives back, once; `with` does it too."""

    def __init__(self, device: "Device") -> None:
        self._device = device
        device._resources.append(self)

    def close(self) -> None:
        """Frees it. Later calls do nothing."""
        if self in self._device._resources:
            self._device._resources.remove(self)
            with WHOLE_DEVICE, self._device.current("free a resource"):
                self._free()

    @abstractmethod
    def _free(self) -> None:
        """Gives it back; the context is current."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Event(Resource):
    """A mark on a stream, with the time it was passed. sleeping: a host that waits leaves its core to others."""

    def __init__(self, device: "Device", *, sleeping: bool = False) -> None:
        with device.current("create an event"):
            self._event = device.cuda.Event(_BLOCKING_SYNC if sleeping else 0)
        super().__init__(device)

    def record(self, stream: "Stream") -> None:
        """Marks what was issued to the stream so far."""
        with self._device.current("record an event"):
            self._event.record(stream._stream)

    def synchronize(self) -> None:
        """Waits on the host until the mark is passed."""
        with self._device.current("finish a frame"):
            self._event.synchronize()

    def ms_since(self, earlier: "Event") -> float:
        """Milliseconds from another event's mark to this one; both must have been passed."""
        with self._device.current("read an event's time"):
            return float(self._event.time_since(earlier._event))

    def _free(self) -> None:
        self._event = None


class Stream(Resource):
    """A queue of work on the GPU; streams run side by side."""

    def __init__(self, device: "Device") -> None:
        with device.current("create a stream"):
            self._stream = device.cuda.Stream(_NON_BLOCKING)
        self.handle = int(self._stream.handle)  # a CUstream, which is also a cudaStream_t
        super().__init__(device)

    def wait(self, event: Event) -> None:
        """Later work on this stream starts after the event's last mark. Returns at once."""
        with self._device.current("wait for an event"):
            self._stream.wait_for_event(event._event)

    def synchronize(self) -> None:
        """Waits on the host until the stream is empty."""
        with self._device.current("finish a stream"):
            self._stream.synchronize()

    def _free(self) -> None:
        self._stream = None


class DeviceBuffer(Resource):
    """Memory on the GPU, of nbytes at the address `pointer`. Its first contents are undefined."""

    def __init__(self, device: "Device", nbytes: int) -> None:
        with device.current(f"allocate {nbytes / 1e6:.1f} MB of GPU memory"):
            self._allocation = device.cuda.mem_alloc(max(nbytes, 1))
        self.nbytes, self.pointer = nbytes, int(self._allocation)
        super().__init__(device)

    def upload(self, array: np.ndarray, stream: Stream | None = None) -> None:
        """Copies a C-contiguous array to the buffer; with a stream, in its order and without waiting if pinned."""
        self._check(array)
        with self._device.current("upload"):
            if stream is None:
                self._device.cuda.memcpy_htod(self.pointer, array)
            else:
                self._device.cuda.memcpy_htod_async(self.pointer, array, stream._stream)

    def download(self, array: np.ndarray, stream: Stream | None = None) -> None:
        """Copies the buffer into a C-contiguous array; with a stream, in its order and without waiting if pinned."""
        self._check(array)
        with self._device.current("download"):
            if stream is None:
                self._device.cuda.memcpy_dtoh(array, self.pointer)
            else:
                self._device.cuda.memcpy_dtoh_async(array, self.pointer, stream._stream)

    def clear(self) -> None:
        """Fills the buffer with zeros."""
        with self._device.current("clear GPU memory"):
            self._device.cuda.memset_d8(self.pointer, 0, self.nbytes)
        self._device.synchronize()

    def _check(self, array: np.ndarray) -> None:
        if array.nbytes > self.nbytes or not array.flags.c_contiguous:
            raise ValueError(
                f"got {array.nbytes} bytes, contiguous: {array.flags.c_contiguous}; "
                f"wanted a C-contiguous array of at most {self.nbytes} bytes"
            )

    def _free(self) -> None:
        self._allocation.free()


class PinnedArray(Resource):
    """A NumPy array, `array`, in host memory that the GPU copies from and to by itself. Unusable after close()."""

    def __init__(self, device: "Device", shape: tuple[int, ...], dtype: Any) -> None:
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        with device.current(f"allocate {nbytes / 1e6:.1f} MB of pinned host memory"):
            self.array: np.ndarray = device.cuda.pagelocked_empty(shape, dtype)
        super().__init__(device)

    def _free(self) -> None:
        allocation = self.array.base
        del self.array
        allocation.free()  # type: ignore[union-attr]  # PyCUDA's allocation is the array's base


class Device:
    """One GPU and its primary context; see the module's text."""

    def __init__(self, cuda: Any, ordinal: int) -> None:
        self.cuda = cuda
        self._resources: list[Resource] = []
        self._thread = threading.local()
        with told(f"open GPU {ordinal}", cuda.Error):
            device = cuda.Device(ordinal)
            self.name: str = device.name()
            self.capability: tuple[int, int] = tuple(device.compute_capability())
            self.memory_bytes: int = device.total_memory()
            self._context = device.retain_primary_context()

    @classmethod
    def open(cls, ordinal: int = 0) -> Self:
        """The GPU of that number. Raises BackendError if it, its driver or PyCUDA is missing."""
        return cls(pycuda_driver(), ordinal)

    @contextmanager
    def current(self, doing: str = "run") -> Iterator[None]:
        """Makes the context current on this thread; PyCUDA's errors inside become BackendErrors about `doing`.

        Within another one on the same thread it is current already, which makes the inner ones cheap.
        """
        if self._context is None:
            raise BackendError(f"CUDA could not {doing}: its device is closed")
        with told(doing, self.cuda.Error):
            if getattr(self._thread, "is_current", False):
                yield
                return
            self._context.push()
            self._thread.is_current = True
            try:
                yield
            finally:
                self._thread.is_current = False
                self._context.pop()

    def stream(self) -> Stream:
        return Stream(self)

    def event(self, *, sleeping: bool = False) -> Event:
        return Event(self, sleeping=sleeping)

    def buffer(self, nbytes: int) -> DeviceBuffer:
        return DeviceBuffer(self, nbytes)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> PinnedArray:
        return PinnedArray(self, shape, dtype)

    def synchronize(self) -> None:
        """Waits until the GPU has done everything."""
        with WHOLE_DEVICE, self.current("finish"):
            self.cuda.Context.synchronize()

    def close(self) -> None:
        """Waits for what runs and frees everything that was made on this device. May be called twice."""
        if self._context is None:
            return
        try:
            self.synchronize()
        finally:
            self._free_all()

    def _free_all(self) -> None:
        """Frees what there is even where the GPU is lost and every single call fails."""
        failure: BackendError | None = None
        while self._resources:
            try:
                self._resources[-1].close()
            except BackendError as error:
                failure = failure or error
        context, self._context = self._context, None
        context.detach()
        if failure:
            raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
