"""What this computer has, and what the conformance suite says on it: sections of gpu_check.py."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from gpu_options import Options
from vmfm.runtime.cuda.compile import load_nvrtc

ROOT = Path(__file__).parent.parent
LIBRARIES = ("tensorrt_rtx", "tensorrt", "pycuda.driver", "openvino", "onnx", "av")


def check_environment(options: Options) -> Iterator[tuple[str, Any]]:
    yield "python", sys.version.split()[0]
    yield "cpu_cores", os.cpu_count()
    yield "torch", torch.__version__
    if options.on_gpu:
        yield "gpu", torch.cuda.get_device_name()
        yield "capability", torch.cuda.get_device_capability()
        yield "cuda", torch.version.cuda
        yield "cudnn", torch.backends.cudnn.version()
    yield from ((library, _version(library)) for library in LIBRARIES)
    yield "nvrtc", load_nvrtc().version


def _version(module: str) -> str:
    try:
        return str(getattr(import_module(module), "__version__", "yes"))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return f"no: {error}"


def check_conformance(options: Options) -> Iterator[tuple[str, Any]]:
    """The suite that every backend has to pass, on those that run on the GPU (or, without one, on torch)."""
    suite = ROOT / "tests" / "runtime" / "test_backend_conformance.py"
    # -P: the folder that this runs in must not be importable, as it holds a second vmfm.runtime.
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        str(suite),
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "torch or tensorrt",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    yield "said", lines[-1] if lines else "nothing"
    if done.returncode:
        yield "failed", [line for line in lines if re.match(r"(FAILED|ERROR)\b", line)] or lines[-20:]
