"""Which NVIDIA GPUs are here, asked of the driver itself: needs no library but the one that comes with the driver."""

import ctypes
import os
from dataclasses import dataclass

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_ERRORS = {
    3: "the driver did not start (CUDA_ERROR_NOT_INITIALIZED)",
    34: "the libcuda here is a stub without a driver",
    35: "the driver is older than its library",
    100: "the driver sees no GPU (is one passed through, and CUDA_VISIBLE_DEVICES not empty?)",
    803: "the driver's kernel module and library are of different versions; reboot",
}


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU. capability: 89 is compute capability 8.9."""

    name: str
    capability: int
    memory_bytes: int


@dataclass(frozen=True)
class Gpus:
    """What the driver says: the CUDA version it supports, (13, 0), and its GPUs; or why there are none."""

    driver_cuda: tuple[int, int] | None
    devices: tuple[Gpu, ...]
    problem: str = ""


def find_gpus() -> Gpus:
    """Asks the driver. Never raises: `problem` says why there is no GPU."""
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return Gpus(None, (), "no NVIDIA driver is installed")
    if status := cuda.cuInit(0):
        return Gpus(None, (), _ERRORS.get(status, f"the driver answers with error {status}"))
    version, count = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    cuda.cuDeviceGetCount(ctypes.byref(count))
    driver = (version.value // 1000, version.value % 1000 // 10)
    devices = tuple(_describe(cuda, ordinal) for ordinal in range(count.value))
    return Gpus(driver, devices, "" if devices else _ERRORS[100])


def _describe(cuda: ctypes.CDLL, ordinal: int) -> Gpu:
    device, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    cuda.cuDeviceGet(ctypes.byref(device), ordinal)
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return Gpu(name.value.decode(), 10 * major.value + minor.value, memory.value)
