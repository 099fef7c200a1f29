"""`vmfm doctor`: what is here, what is missing, and what to do about it. Looks, and changes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from vmfm.apps.media.codecs import has_codec
from vmfm.apps.media.codecs import version as codecs_version
from vmfm.runtime.backends import BACKENDS, open_backend
from vmfm.runtime.backends.tensorrt_flavor import LABELS, open_flavor
from vmfm.runtime.bundle import Bundle, shipped_bundles
from vmfm.runtime.cuda.compile import load_nvrtc
from vmfm.runtime.cuda.driver import pycuda_driver
from vmfm.runtime.engines import EngineCache
from vmfm.runtime.errors import VmfmError
from vmfm.runtime.gpus import find_gpus
from vmfm.runtime.graph import NETS

_AGAIN = "in the folder that VMFM was installed from: pip install --force-reinstall --no-deps ."
OLDEST_DRIVER_CUDA = (13, 0)  # of the wheels that the extras install; release 580
# What a codec is needed for, by its name in FFmpeg and whether it reads or writes.
CODECS = {
    ("h264", "r"): "reading H.264",
    ("libx264", "w"): "writing .mp4",
    ("hevc", "r"): "reading HEVC",
    ("prores_ks", "w"): "writing .mov with transparency",
    ("libvpx-vp9", "w"): "writing .webm with transparency",
    ("libvpx-vp9", "r"): "reading .webm with transparency",
    ("h264_cuvid", "r"): "decoding on an NVIDIA GPU",
    ("h264_nvenc", "w"): "encoding on an NVIDIA GPU",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report. works: None where a thing is optional and not there. advice: what to do about a gap."""

    about: str
    works: bool | None
    what: str
    advice: str = ""


def examine() -> list[Finding]:
    """Looks at everything, in the order of the report. Never raises for what is missing."""
    return [
        *_bundles(),
        *_backends(),
        *_driver(),
        *_tensorrt(),
        _library("PyCUDA", _describe_pycuda),
        _library("NVRTC", lambda: f"{load_nvrtc().version}, compiles the kernels"),
        _engines(),
        _codecs(),
        _virtual_camera(),
    ]


def can_run(findings: list[Finding]) -> bool:
    """Whether there is a bundle, and a backend to run it."""
    return all(
        any(finding.works for finding in findings if finding.about.startswith(part)) for part in ("bundle ", "backend ")
    )


def tell(findings: list[Finding], console: Console) -> None:
    """Prints the report."""
    width = max(len(finding.about) for finding in findings)
    marks = {True: "[green]ok  [/]", False: "[red]gap [/]", None: "[yellow]none[/]"}
    for finding in findings:
        console.print(marks[finding.works], end=" ")
        console.print(f"{finding.about:<{width}}  {finding.what}", markup=False, highlight=False, soft_wrap=True)
        if finding.advice:
            console.print(f"{'':<{width + 7}}-> {finding.advice}", markup=False, highlight=False, soft_wrap=True)
    verdict = "VMFM can run here." if can_run(findings) else "VMFM cannot run here: see the gaps above."
    console.print(verdict, highlight=False)


def _bundles() -> Iterator[Finding]:
    names = shipped_bundles()
    if not names:
        yield Finding("bundle lite", False, "none came with this installation", _AGAIN)
    for name in names:
        try:
            bundle = Bundle.open(name)
        except VmfmError as error:
            yield Finding(f"bundle {name}", False, str(error), _AGAIN)
        else:
            yield Finding(f"bundle {name}", True, f"{len(bundle.nets)} nets, whole; up to {bundle.pixel_budget} pixels")


def _backends() -> Iterator[Finding]:
    """Opens every backend on a whole bundle."""
    bundle = _any_bundle()
    if bundle is None:
        return
    for name, entry in BACKENDS.items():
        try:
            with open_backend(name, bundle, NETS) as backend:
                yield Finding(f"backend {name}", True, backend.note)
        except VmfmError as error:
            yield Finding(f"backend {name}", None if entry.uses_gpu else False, str(error))


def _any_bundle() -> Bundle | None:
    """The default one, or another where that is damaged."""
    for name in sorted(shipped_bundles(), key=lambda name: name != "lite"):
        try:
            return Bundle.open(name)
        except VmfmError:
            continue
    return None


def _driver() -> Iterator[Finding]:
    gpus = find_gpus()
    if gpus.problem:
        advice = "with an NVIDIA GPU: install its driver, release 580 or newer; in a container, pass the GPU through"
        yield Finding("NVIDIA driver", None if gpus.driver_cuda is None else False, gpus.problem, advice)
    elif gpus.driver_cuda is not None:
        recent = gpus.driver_cuda >= OLDEST_DRIVER_CUDA
        what = f"for CUDA {gpus.driver_cuda[0]}.{gpus.driver_cuda[1]}"
        yield Finding("NVIDIA driver", recent, what, "" if recent else "update the driver to release 580 or newer")
    for gpu in gpus.devices:
        usable = gpu.capability >= 75
        what = f"{gpu.name}, sm{gpu.capability}, {gpu.memory_bytes / 2**30:.0f} GiB"
        yield Finding("GPU", usable, what, "" if usable else "VMFM needs compute capability 7.5 (RTX 20) or newer")


def _tensorrt() -> Iterator[Finding]:
    for name, label in LABELS.items():
        try:
            flavor = open_flavor(name)
        except VmfmError as error:
            yield Finding(label, None, str(error))
        else:
            targets = ", ".join(f"sm{n}" for n in flavor.capabilities) if flavor.capabilities else "the GPU here"
            yield Finding(label, True, f"{flavor.version}, builds for {targets}")


def _library(about: str, describe: Callable[[], str]) -> Finding:
    try:
        return Finding(about, True, describe())
    except VmfmError as error:
        return Finding(about, None, str(error))


def _describe_pycuda() -> str:
    major, minor = divmod(pycuda_driver().get_driver_version(), 1000)
    return f"starts, on a driver for CUDA {major}.{minor // 10}"


def _engines() -> Finding:
    cache = EngineCache()
    count = len(list(cache.folder.glob("*.engine"))) if cache.folder.is_dir() else 0
    if not count:
        return Finding("engine cache", None, f"empty: {cache.folder}", "on an NVIDIA GPU: run `vmfm build` once")
    return Finding("engine cache", True, f"{count} engines, {cache.nbytes() / 1e6:.0f} MB in {cache.folder}")


def _codecs() -> Finding:
    missing = [f"{name} ({purpose})" for (name, mode), purpose in CODECS.items() if not has_codec(name, mode)]
    if missing:
        advice = "pip install --force-reinstall av: its wheels have them all"
        return Finding("codecs", False, f"{codecs_version()} lacks {', '.join(missing)}", advice)
    return Finding("codecs", True, f"{codecs_version()}: " + ", ".join(dict.fromkeys(name for name, _ in CODECS)))


def _virtual_camera() -> Finding:
    try:
        from vmfm.apps.media.virtual_camera import VirtualCamera, VirtualCameraError
    except ImportError:
        return Finding("virtual camera", None, "pyvirtualcam is not installed", "pip install 'vmfm[webcam]'")
    try:
        with VirtualCamera((360, 640), fps=30) as camera:
            return Finding("virtual camera", True, camera.name)
    except VirtualCameraError as error:
        return Finding("virtual camera", None, error.reason, error.advice)
