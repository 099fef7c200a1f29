"""`vmfm doctor`: tells gaps and what to do about them, on computers that it is told about."""

import re
import subprocess
import sys

import pytest
from rich.console import Console
from vmfm.apps import doctor
from vmfm.apps.doctor import Finding, can_run, examine, tell
from vmfm.apps.main import run
from vmfm.runtime.backends import BACKENDS
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.errors import BackendError, BundleError
from vmfm.runtime.gpus import Gpu, Gpus


@pytest.fixture(autouse=True)
def a_bundle(tiny_bundle: Bundle, monkeypatch) -> None:
    """The tiny bundle stands for the shipped one."""
    monkeypatch.setattr(doctor, "shipped_bundles", lambda: ["lite"])
    monkeypatch.setattr(Bundle, "open", lambda name: tiny_bundle)


def found(about: str) -> Finding:
    return next(finding for finding in examine() if finding.about == about)


def test_here_everything_is_looked_at(capsys) -> None:
    assert run(["doctor"]) == 0
    told = capsys.readouterr().out
    for about in ("bundle lite", "NVIDIA driver", "TensorRT for RTX", "PyCUDA", "NVRTC", "engine cache", "codecs"):
        assert re.search(rf"^(ok|gap|none) +{about}", told, re.MULTILINE), told
    for backend in BACKENDS:
        assert f"backend {backend}" in told
    assert "virtual camera" in told and "VMFM can run here." in told


def test_without_a_whole_bundle_it_cannot_run(monkeypatch, capsys) -> None:
    def damaged(name: str) -> Bundle:
        raise BundleError("depth.onnx is damaged: its sha256 is not the manifest's")

    monkeypatch.setattr(Bundle, "open", damaged)
    assert run(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "depth.onnx is damaged" in told and "pip install --force-reinstall" in told and "cannot run" in told


def test_without_a_backend_it_cannot_run(monkeypatch) -> None:
    def fails(name: str, bundle: Bundle, nodes: tuple) -> None:
        raise BackendError("is not installed")

    monkeypatch.setattr(doctor, "open_backend", fails)
    assert not can_run(examine())


def test_an_old_driver_and_an_old_gpu(monkeypatch) -> None:
    old = Gpus((12, 2), (Gpu("NVIDIA GeForce GTX 1080", 61, 8 << 30),))
    monkeypatch.setattr(doctor, "find_gpus", lambda: old)
    driver, gpu = found("NVIDIA driver"), found("GPU")
    assert driver.works is False and "release 580" in driver.advice
    assert gpu.works is False and "GTX 1080" in gpu.what and "7.5" in gpu.advice


def test_a_good_gpu(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "find_gpus", lambda: Gpus((13, 0), (Gpu("NVIDIA GeForce RTX 4070", 89, 12 << 30),)))
    assert found("NVIDIA driver").works and found("GPU").what == "NVIDIA GeForce RTX 4070, sm89, 12 GiB"


def test_engines_are_counted(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VMFM_CACHE", str(tmp_path))
    assert found("engine cache").works is None and "vmfm build" in found("engine cache").advice
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "depth-1.engine").write_bytes(bytes(2_000_000))
    assert found("engine cache").what.startswith("1 engines, 2 MB in ")


def test_a_missing_codec(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "has_codec", lambda name, mode: name != "prores_ks")
    codecs = found("codecs")
    assert codecs.works is False and "prores_ks (writing .mov with transparency)" in codecs.what


def test_what_is_told_is_not_markup(capsys) -> None:
    tell([Finding("bundle x", False, "[red]not a colour[/red]", "do [this]")], Console())
    told = capsys.readouterr().out
    assert "[red]not a colour[/red]" in told and "do [this]" in told


def test_the_codecs_that_pyav_has() -> None:
    from vmfm.apps.media.codecs import has_codec

    assert has_codec("libx264", "w") and not has_codec("no_such_codec", "r")


def test_it_needs_neither_torch_nor_tensorrt() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'tensorrt', 'tensorrt_rtx', 'pycuda', 'pyvirtualcam', 'onnx'): sys.modules[name] = None\n"
        "from vmfm.apps.doctor import examine\n"
        "print(*(finding.about for finding in examine()), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PyCUDA" in done.stdout
