"""kernels.cu on the CPU, for whoever tests what is built on it."""

import ctypes
import subprocess
from pathlib import Path

import pytest
from vmfm.runtime.cuda.compile import SOURCE
from vmfm.runtime.cuda.launch import Kernels, Launch, geometry, pack, signatures


class HostKernels:
    """kernels.cu compiled for this computer's CPU; the addresses that launches take are those of NumPy arrays."""

    def __init__(self, folder: Path) -> None:
        shim = Path(__file__).with_name("cuda_on_host.hpp")
        together = {"choose"}
        calls = "".join(
            f'    if (!strcmp(name, "{name}")) return launch({name}, sizes, arguments, {str(name in together).lower()});\n'
            for name in signatures()
        )
        main = folder / "kernels.cpp"
        main.write_text(
            f'#include "{shim}"\n#include "{SOURCE}"\n'
            'extern "C" void run(const char* name, const unsigned* sizes, void** arguments) {\n' + calls + "}\n"
        )
        library = folder / "kernels.so"
        command = ["g++", "-std=c++20", "-O1", "-Wall", "-shared", "-fPIC", "-pthread", "-o", library, main]
        subprocess.run(command, check=True)
        self._run = ctypes.CDLL(str(library)).run

    def prepare(
        self, name: str, extent: tuple[int, ...], *arguments: float, block: tuple[int, int, int] | None = None
    ) -> Launch:
        if name == "choose":
            extent, block = (64,), (64, 1, 1)  # a thread of the system for each: fewer will do
        packed, values = pack(name, arguments)
        sizes = (ctypes.c_uint * 6)(*(size for sizes in geometry(extent, block) for size in sizes))

        def launch(stream: int) -> None:
            self._run(name.encode(), sizes, packed)
            assert values

        return launch


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    return HostKernels(tmp_path_factory.mktemp("kernels"))
