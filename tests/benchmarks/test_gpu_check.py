"""The check of GPUs, as far as it runs without one: what fails, crashes or takes too long loses nothing else."""

import gc
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.torch_backend import TorchCpuBackend
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.graph import NETS

CHECK = Path(__file__).parents[2] / "benchmarks" / "gpu_check.py"


def check(tmp_path: Path, *arguments: object) -> tuple[int, dict, str]:
    """Runs the command without a GPU: its status, the results and the Markdown."""
    out = tmp_path / "out.json"
    command = [sys.executable, CHECK, "--out", out, "--device", "cpu", *arguments]
    status = subprocess.run([str(word) for word in command], check=False).returncode
    assert {file.name for file in tmp_path.iterdir()} == {"out.json", "out.md"}
    return status, json.loads(out.read_text()), out.with_suffix(".md").read_text()


@pytest.mark.slow
def test_one_call_gives_figures_and_a_page(tiny_bundle: Bundle, tmp_path: Path) -> None:
    sections = (word for name in ("operations", "bench") for word in ("--section", name))
    sizes = ("--size", "96x64", "--size", "64x96", "--seconds", 0.2)
    status, results, page = check(tmp_path, "--bundle", tiny_bundle.path, *sizes, *sections)
    assert status == 0
    assert results["operations"] == {"left out": "it needs a GPU"}
    bench = results["bench"]
    for size in ("96x64", "64x96"):
        for mode in ("low latency", "throughput"):
            for way in ("lanes", "one lane", "picture"):
                run = bench[f"{tiny_bundle.path} {size} {mode}, {way}"]
                assert run["fps"] > 0 and set(run["nodes_ms"]) >= {net.name for net in NETS}
        assert bench[f"{tiny_bundle.path} {size} against the floor"]["frame"]["floor_ms"] > 0
    assert "lanes buy" in page and "| 96x64 | throughput |" in page and "share of the floor" in page


@pytest.mark.slow
def test_what_takes_too_long_is_cut_off_and_told(tmp_path: Path) -> None:
    sections = ("--section", "bench", "--section", "environment")
    status, results, page = check(tmp_path, "--bundle", "lite", "--seconds", 300, "--minutes", 0.1, *sections)
    assert status == 1
    assert results["bench"]["failed"] == ["cut off: it was not done after 6 s"]
    assert results["environment"] == {"left out": "the time was used up"}
    assert "FAILED: cut off" in page


def test_what_was_found_before_a_failure_is_kept(scripts, tmp_path: Path, monkeypatch) -> None:
    def check_bench(options):
        yield "first", {"fps": 5}
        yield "failed", ["second was wrong"]
        raise ZeroDivisionError

    monkeypatch.setitem(sys.modules, "gpu_speed", SimpleNamespace(check_bench=check_bench))
    scripts.gpu_check.run_section("bench", scripts.gpu_options.Options((), {}, 1, None, False), tmp_path / "found")
    found = json.loads((tmp_path / "found").read_text())
    assert found["first"] == {"fps": 5}
    assert found["failed"][0] == "second was wrong" and "ZeroDivisionError" in found["failed"][1]


def test_a_suite_that_crashes_without_a_word_makes_no_page_fail(scripts) -> None:
    page = scripts.gpu_report.to_markdown(
        {"conformance": {"failed": ["", " \n", "Fatal Python error"], "seconds": 1.0}}
    )
    assert "FAILED: Fatal Python error" in page


def test_idleness_by_hand(scripts, tmp_path: Path) -> None:
    """Two streams, times in microseconds: busy 0-40, 30-90 and 90-100, nothing until 2100, busy until 2500."""
    spans = [("a", "kernel", 0, 40), ("b", "gpu_memcpy", 30, 60), ("c", "kernel", 90, 10), ("d", "kernel", 2100, 400)]
    events = [{"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur} for name, cat, ts, dur in reversed(spans)]
    events += [
        {"ph": "X", "cat": "cuda_runtime", "name": "cudaGraphLaunch", "ts": 500, "dur": 900},
        {"ph": "s", "ts": 7},
    ]
    (tmp_path / "trace.json").write_text(json.dumps({"traceEvents": events}))
    found = scripts.gpu_speed.idleness(scripts.gpu_speed.read_trace(tmp_path / "trace.json"))
    assert found["idle_share"] == pytest.approx(2000 / 2500) == found["idle_share_of_long_gaps"]
    assert found["long_gaps"] == [{"ms": pytest.approx(2.0), "after": "c", "before": "d"}]
    whole = [scripts.gpu_speed.Span("a", 0, 10), scripts.gpu_speed.Span("b", 1, 2), scripts.gpu_speed.Span("c", 9, 12)]
    assert scripts.gpu_speed.idleness(whole)["idle_share"] == 0


def test_a_kernel_that_is_wrong_is_named(scripts, tiny_bundle: Bundle) -> None:
    kernels, shapes = scripts.gpu_kernels, {"small": SlotShape((40, 60), (64, 96), 8)}

    class Wrong(TorchCpuBackend):
        def _temporal(self, slot, node) -> None:
            """Forgets what was before."""

    def compare(backend: type[TorchCpuBackend]) -> dict:
        with (
            backend(tiny_bundle, kernels.OPERATIONS) as ours,
            TorchCpuBackend(tiny_bundle, kernels.OPERATIONS) as theirs,
        ):
            return dict(kernels.compare_operations(ours, theirs, shapes))

    right, wrong = compare(TorchCpuBackend), compare(Wrong)
    assert right["small"] == dict.fromkeys(right["small"], 0) and "failed" not in right
    assert [failure.split(" of ")[0] for failure in wrong["failed"]] == ["temporal"]


def test_the_host_is_as_it_was_after_being_timed(scripts, tiny_bundle: Bundle) -> None:
    threads = torch.get_num_threads()
    options = scripts.gpu_options.Options((str(tiny_bundle.path),), {"small": (48, 64)}, 0.1, None, False)
    found = dict(scripts.gpu_host.check_host(options))
    assert len(found) == 3 and torch.get_num_threads() == threads and gc.isenabled()
    for run in found.values():
        assert run["fps"] > 0 and run["submit_ms"]["p50"] <= run["submit_ms"]["max"]
    page = scripts.gpu_report.to_markdown({"host": {**found, "seconds": 1}})
    assert "small, no garbage collection | " in page


def test_what_tensorrt_says_is_written_down(scripts) -> None:
    pytest.importorskip("tensorrt_rtx")
    tensorrt = scripts.gpu_tensorrt
    found = tensorrt.try_net(tensorrt.open_flavor("rtx"), Bundle.open("lite"), NETS[-1], 89, False)
    assert found["built_bytes"] > 10_000 and found["loaded"] in (True, False)
    assert found["loaded"] or any("driver" in said for said in found["said"])
    unknown = tensorrt.try_net(tensorrt.open_flavor("rtx"), Bundle.open("lite"), NETS[-1], 10, False)
    assert "SM10" in unknown["raised"] and "loaded" not in unknown


def test_pictures_of_a_folder_are_taken(scripts, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    for name in ("b.png", "a.png"):
        cv2.imwrite(str(tmp_path / name), np.full((8, 9, 3), (0, 0, 200 if name == "a.png" else 100), np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    reds = [picture[0, 0].tolist() for picture in scripts.gpu_mattes._pictures(tmp_path)]
    assert reds == [[200, 0, 0], [100, 0, 0]]
