"""Does the CUDA path work on this computer's GPU, and how fast? One call, results as JSON and Markdown.

PYTHONPATH=.dev python3 benchmarks/gpu_check.py --out gpu_check.json [--bundle lite --bundle full] [--pictures DIR]

Needs torch with CUDA, onnx, rich, typer, NumPy and OpenCV; pytest and hypothesis for the conformance suite. Each section
runs in a process of its own, most important first, and what it finds is written as it finds it: neither a failure, nor a
crash, nor the end of the time (--minutes) loses what is known. --device cpu tries what does not need a GPU. Exit code 1 if
a section failed.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_options import SIZES, Options
from vmfm.apps.sizes import parse_size
from vmfm.runtime import VmfmError


@dataclass(frozen=True)
class Section:
    """Where check_NAME(options) is, which yields (key, finding) pairs. A finding under "failed" is a list of failures."""

    module: str
    needs_gpu: bool = True


# Most important first.
SECTIONS = {
    "environment": Section("gpu_environment", needs_gpu=False),
    "operations": Section("gpu_kernels"),
    "bench": Section("gpu_speed", needs_gpu=False),
    "idle": Section("gpu_speed"),
    "host": Section("gpu_host", needs_gpu=False),
    "half": Section("gpu_mattes"),
    "stream": Section("gpu_mattes"),
    "conformance": Section("gpu_environment", needs_gpu=False),
    "tensorrt": Section("gpu_tensorrt", needs_gpu=False),
    "nets": Section("gpu_mattes"),
    "nv12": Section("gpu_kernels"),
    "memory": Section("gpu_mattes"),
}


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    try:
        shared = _shared(options)
    except VmfmError as error:
        parser.error(str(error))
    if options.into:
        run_section(options.section[-1], shared, options.into)
        return 0
    from gpu_report import to_markdown

    options.out.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    ends = time.monotonic() + 60 * options.minutes
    # Where no GPU is wanted, none is seen.
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": ""} if options.device == "cpu" else {})
    for name in options.section or SECTIONS:
        if SECTIONS[name].needs_gpu and options.device == "cpu":
            results[name] = {"left out": "it needs a GPU"}
        else:
            results[name] = run_apart(name, options.out, ends - time.monotonic(), environment)
        print(f"{name}: {_verdict(results[name])}", *results[name].get("failed", []), sep="\n  ", flush=True)
        write_whole(options.out, json.dumps(results, indent=1) + "\n")
        write_whole(options.out.with_suffix(".md"), to_markdown(results))
    return int(any(result.get("failed") for result in results.values()))


def run_section(name: str, options: Options, into: Path) -> None:
    """Runs a section here, and keeps what it has found so far in a file. Raises nothing: a failure is a finding."""
    found: dict[str, Any] = {}
    try:
        if options.on_gpu:
            _check_gpu()
        for key, finding in getattr(importlib.import_module(SECTIONS[name].module), f"check_{name}")(options):
            found[key] = finding
            write_whole(into, json.dumps(found, default=str))
    except Exception:  # noqa: BLE001 - whatever it is, the other sections run all the same
        found["failed"] = [*found.get("failed", []), traceback.format_exc()]
        write_whole(into, json.dumps(found, default=str))


def run_apart(name: str, out: Path, seconds: float, environment: dict[str, str]) -> dict[str, Any]:
    """Runs a section in a process of its own, for so many seconds at most; returns what it found by then."""
    if seconds <= 0:
        return {"left out": "the time was used up"}
    into = out.with_name(f"{out.name}.{name}")
    into.unlink(missing_ok=True)
    command = [sys.executable, __file__, *sys.argv[1:], "--section", name, "--into", str(into)]
    started, failed = time.monotonic(), []
    own_group = None if sys.platform == "win32" else 0
    with subprocess.Popen(command, env=environment, process_group=own_group) as process:
        try:
            if code := process.wait(seconds):
                failed = [f"its process ended with {code}"]
        except subprocess.TimeoutExpired:
            failed = [f"cut off: it was not done after {seconds:.0f} s"]
        finally:
            if process.poll() is None:
                _kill(process)
    found = json.loads(into.read_text(encoding="utf-8")) if into.exists() else {}
    into.unlink(missing_ok=True)
    failed = [*found.pop("failed", []), *failed]
    return {**found, **({"failed": failed} if failed else {}), "seconds": round(time.monotonic() - started, 1)}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """And what it started, where the system knows that."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def write_whole(file: Path, content: str) -> None:
    """A file that is there is whole, whenever it is looked at."""
    scratch = file.with_name(f"{file.name}.part")
    scratch.write_text(content, encoding="utf-8")
    os.replace(scratch, file)


def _check_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("torch sees no CUDA GPU here: --device cpu tries what needs none")


def _verdict(result: dict[str, Any]) -> str:
    if "left out" in result:
        return f"left out, {result['left out']}"
    return f"{'FAILED' if result.get('failed') else 'ok'} in {result['seconds']} s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, required=True, help="JSON file for the results; the Markdown lies beside it"
    )
    parser.add_argument("--bundle", action="append", help="name or folder, may be repeated; default: lite and full")
    parser.add_argument(
        "--size", action="append", default=[], help="WIDTHxHEIGHT, may be repeated; default: 720p, 1080p, 4K"
    )
    parser.add_argument(
        "--pictures", type=Path, help="folder of pictures to compare half precision on; default: the demo"
    )
    parser.add_argument("--seconds", type=float, default=1.2, help="of each timed run")
    parser.add_argument("--minutes", type=float, default=7.5, help="after which what is not done is left out")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--section", action="append", choices=SECTIONS, help="run only these")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)  # runs a single section here
    return parser


def _shared(options: argparse.Namespace) -> Options:
    sizes = {size: parse_size(size) for size in options.size}
    bundles = tuple(options.bundle or ("lite", "full"))
    return Options(bundles, sizes or SIZES, options.seconds, options.pictures, options.device == "cuda")


if __name__ == "__main__":
    sys.exit(main())
