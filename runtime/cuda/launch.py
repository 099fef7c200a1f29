"""Our kernels, loaded and launched through the driver by ctypes, in whatever context is current.

PyCUDA could load them too, but launches on its own streams alone; torch's lanes are torch's. A stream's handle serves
both, so this is the one way for both backends. A launch is prepared once, when a slot opens, and then costs a single
call per frame.
"""

import ctypes
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from vmfm.runtime.cuda.compile import SOURCE
from vmfm.runtime.cuda.errors import cuda_error
from vmfm.runtime.errors import BackendError

Launch = Callable[[int], None]  # starts a prepared kernel on a stream, given by its handle
_TYPES: dict[str, Any] = {"int": ctypes.c_int, "float": ctypes.c_float}
_BLOCKS = {1: (256, 1, 1), 2: (32, 8, 1), 3: (32, 8, 1)}


class Kernels(Protocol):
    """Loaded kernels."""

    def prepare(
        self, name: str, extent: tuple[int, ...], *arguments: float, block: tuple[int, int, int] | None = None
    ) -> Launch:
        """A launch of at least extent (x[, y[, z]]) threads. Addresses are integers, 0 for none."""


@cache
def signatures() -> dict[str, tuple[Any, ...]]:
    """The ctypes of every kernel's parameters, by its name, read from the source."""
    declared = re.findall(r"^KERNEL (\w+)\(([^)]*)\)", SOURCE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: tuple(map(_type, parameters.split(","))) for name, parameters in declared}


def _type(parameter: str) -> Any:
    return ctypes.c_void_p if "*" in parameter else _TYPES[parameter.split()[0]]


def pack(name: str, arguments: tuple[float, ...]) -> tuple[Any, Any]:
    """Arguments as the driver wants them, an array of addresses, and what has to live as long as that array."""
    types = signatures()[name]
    if len(arguments) != len(types):
        raise TypeError(f"kernel {name} takes {len(types)} arguments, got {len(arguments)}")
    values = [kind(value) for kind, value in zip(types, arguments, strict=True)]
    return (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values)), values


def geometry(
    extent: tuple[int, ...], block: tuple[int, int, int] | None
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(grid, block) of a launch."""
    block = block or _BLOCKS[len(extent)]
    sizes = (*extent, 1, 1)[:3]
    x, y, z = (-(-size // threads) for size, threads in zip(sizes, block, strict=True))
    return (x, y, z), block


class Module:
    """The kernels in the context that was current when they were loaded. Raises BackendError."""

    def __init__(self, cubin: bytes) -> None:
        self._driver = _load_driver()
        self._module: ctypes.c_void_p | None = ctypes.c_void_p()
        self._call("load its kernels", "cuModuleLoadData", ctypes.byref(self._module), cubin)
        self._functions = {name: self._function(name) for name in signatures()}

    def prepare(
        self, name: str, extent: tuple[int, ...], *arguments: float, block: tuple[int, int, int] | None = None
    ) -> Launch:
        """See Kernels."""
        packed, values = pack(name, arguments)
        sizes = [size for sizes in geometry(extent, block) for size in sizes]
        function, start, doing = self._functions[name], self._driver.cuLaunchKernel, f"launch {name}"

        def launch(stream: int) -> None:
            if code := start(function, *sizes, 0, ctypes.c_void_p(stream), packed, None):
                raise cuda_error(doing, self._text(code))

        launch.keeps = values  # type: ignore[attr-defined]  # packed holds their addresses alone
        return launch

    def close(self) -> None:
        """Unloads the kernels; the context has to be current. May be called twice."""
        module, self._module = self._module, None
        if module is not None:
            self._call("unload its kernels", "cuModuleUnload", module)

    def _function(self, name: str) -> ctypes.c_void_p:
        function = ctypes.c_void_p()
        self._call(f"find {name}", "cuModuleGetFunction", ctypes.byref(function), self._module, name.encode())
        return function

    def _call(self, doing: str, function: str, *arguments: object) -> None:
        if code := getattr(self._driver, function)(*arguments):
            raise cuda_error(doing, self._text(code))

    def _text(self, code: int) -> str:
        text = ctypes.c_char_p()
        self._driver.cuGetErrorString(code, ctypes.byref(text))
        return (text.value or b"error").decode() + f", CUDA error {code}"


def _load_driver() -> Any:
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise BackendError(str(cuda_error("load its kernels", "libcuda.so.1 is missing")))
