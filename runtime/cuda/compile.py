"""kernels.cu -> machine code for one kind of GPU, by NVRTC: no GPU, no nvcc and no CUDA toolkit needed.

NVRTC is a shared library (wheel nvidia-cuda-nvrtc, which torch and the extras of VMFM bring), called by ctypes.
What was compiled is kept in the user's cache folder, under a name that holds everything it depends on.
"""

import ctypes
import hashlib
import importlib.util
import os
import re
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from vmfm.runtime.errors import BackendError
from vmfm.runtime.files import cache_folder, write_whole
from vmfm.runtime.gpus import find_gpus

SOURCE = Path(__file__).with_name("kernels.cu")
_INSTALL = "pip install nvidia-cuda-nvrtc"
_NAME = re.compile(r"libnvrtc(?:-(?!builtins)\w+)?\.so\.(?P<linux>\d+(?:\.\d+)?)|nvrtc64_(?P<windows>\d+)_0\.dll")


def kernels_for(capability: tuple[int, int], *, half: bool = True) -> bytes:
    """A cubin of all kernels for GPUs of that compute capability, e.g. (8, 9), from the cache or compiled now.

    half: what nets read and write is float16, else float32. Raises BackendError.
    """
    nvrtc = load_nvrtc()
    source = SOURCE.read_bytes()
    options = [
        f"--gpu-architecture=sm_{capability[0]}{capability[1]}",
        "--std=c++17",
        *([] if half else ["-DNET_FLOAT"]),
    ]
    key = hashlib.sha256(b"\0".join([source, nvrtc.version.encode(), *(option.encode() for option in options)]))
    file = cache_folder() / "kernels" / f"sm{capability[0]}{capability[1]}-{key.hexdigest()[:32]}.cubin"
    try:
        # The digest in front tells a file that was cut short.
        kept = file.read_bytes()
        if hashlib.sha256(kept[32:]).digest() == kept[:32]:
            return kept[32:]
    except OSError:
        pass
    cubin = nvrtc.compile(source, SOURCE.name, options)
    with suppress(OSError):  # a cache that cannot be written costs time, and is no error
        write_whole(file, hashlib.sha256(cubin).digest() + cubin)
    return cubin


class Nvrtc:
    """The few functions of NVRTC that are needed."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.major, self.version = major.value, f"{major.value}.{minor.value}"

    def compile(self, source: bytes, name: str, options: list[str]) -> bytes:
        """The cubin of a CUDA source. Raises BackendError with the compiler's words."""
        program = ctypes.c_void_p()
        self._call("nvrtcCreateProgram", ctypes.byref(program), source, name.encode(), 0, None, None)
        try:
            texts = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            code = self._library.nvrtcCompileProgram(program, len(options), texts)
            if code:
                raise BackendError(
                    f"NVRTC {self.version} cannot compile {name} with {' '.join(options)}: "
                    f"{self._text(code)}\n{self._get('ProgramLog', program).decode(errors='replace').strip(chr(0))}"
                )
            return self._get("CUBIN", program)
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _get(self, what: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, buffer)
        return buffer.raw

    def _call(self, function: str, *arguments: object) -> None:
        if code := getattr(self._library, function)(*arguments):
            raise BackendError(f"NVRTC failed in {function}: {self._text(code)}")

    def _text(self, code: int) -> str:
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        return self._library.nvrtcGetErrorString(code).decode()


@cache
def load_nvrtc() -> Nvrtc:
    """NVRTC from its wheel, or else from the system: the newest that makes what the driver here loads.

    Without a driver, or where there are none but newer ones, the newest. Raises BackendError where there is none at all.
    """
    driver, found, failures = find_gpus().driver_cuda, [], []
    for name in [*map(str, installed_nvrtcs([*_nvidia_wheels(), *map(Path, sys.path)])), *_systems_own()]:
        try:
            nvrtc = Nvrtc(_open(name))
        except OSError as error:
            failures.append(str(error))
            continue
        if driver is None or nvrtc.major <= driver[0]:
            return nvrtc
        found.append(nvrtc)
    if found:
        return found[0]
    reason = failures[0] if failures else "no library of that name"
    raise BackendError(f"NVRTC, which compiles VMFM's GPU kernels, is not installed ({reason}); {_INSTALL}")


def installed_nvrtcs(folders: list[Path]) -> list[Path]:
    """The libraries that pip has put into folders of packages, by their names on Linux and Windows, the newest first.

    In nvidia they lie in cu13/lib or cuda_nvrtc/lib, on Windows in cu13/bin/x86_64 or cuda_nvrtc/bin; torch has lib.
    """
    places = "*/lib", "*/bin", "*/bin/x86_64"
    found = [
        (file, match)
        for folder in folders
        for place in places
        for file in folder.glob(f"{place}/*nvrtc*")
        if (match := _NAME.fullmatch(file.name))
    ]
    return [file for file, match in sorted(found, key=lambda pair: _version(pair[1]), reverse=True)]


def _systems_own() -> list[str]:
    """Those of a CUDA toolkit. Windows does not look for libraries on the PATH."""
    if sys.platform != "win32":
        return ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]
    toolkit = os.environ.get("CUDA_PATH")
    names = ("x64/nvrtc64_130_0.dll", "nvrtc64_120_0.dll") if toolkit else ()
    return [str(Path(toolkit or "", "bin", name)) for name in names]


def _version(name: re.Match[str]) -> tuple[int, int]:
    """13 and 0 of libnvrtc.so.13 and nvrtc64_130_0.dll, 12 and 9 of libnvrtc-1a2b.so.12.9."""
    if windows := name["windows"]:
        return int(windows[:-1]), int(windows[-1])
    major, _, minor = name["linux"].partition(".")
    return int(major), int(minor or 0)


def _nvidia_wheels() -> list[Path]:
    spec = importlib.util.find_spec("nvidia")
    return [Path(folder) for folder in spec.submodule_search_locations or []] if spec else []


def _open(name: str) -> ctypes.CDLL:
    """Loads a library by path or name; on Windows what it loads later has to be found beside it, too."""
    if sys.platform == "win32" and Path(name).is_absolute():
        os.add_dll_directory(str(Path(name).parent))
    return ctypes.CDLL(name)
