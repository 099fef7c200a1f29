"""The command as a process: statuses, signals, limits of the system, and what it costs to start."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points, version
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from vmfm.apps import main

VMFM = [sys.executable, "-m", "vmfm.apps.main"]


def vmfm(*arguments, **options):
    return subprocess.run(
        [*VMFM, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=120, **options
    )


def test_help_lists_every_verb_with_a_line():
    for arguments in ([], ["--help"]):
        shown = vmfm(*arguments)
        assert shown.returncode == 0
        for verb in entry_points(group=main.GROUP):
            line = next(line for line in shown.stdout.splitlines() if line.strip().startswith(verb.name))
            assert len(line.split()) > 3


def commands():
    """Every verb by the words that call it; of a group, each of its own."""
    for verb in entry_points(group=main.GROUP):
        command = typer.main.get_command(main._assemble([verb.name])).commands[verb.name]
        for name, each in getattr(command, "commands", {"": command}).items():
            yield f"{verb.name} {name}".strip(), each


@pytest.mark.parametrize(("words", "command"), [pytest.param(*found, id=found[0]) for found in commands()])
def test_help_has_an_example_that_would_run(words, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("DATA", "MATTES", "runs/lite"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "instances.json").touch()
    shown = vmfm(*words.split(), "--help").stdout
    (example,) = re.findall(r"Example: vmfm (.*?)\n\n", shown, re.DOTALL)
    assert example.startswith(f"{words} ") or example == words
    assert len(shown.splitlines()) < 100
    arguments = shlex.split(example.removeprefix(words))
    command.make_context(words, arguments)  # an option that is not there, or a value that cannot be, would raise


@pytest.mark.parametrize(
    ("line", "offered"),
    [("vmfm be", ["bench"]), ("vmfm bench --one", ["--one-lane"]), ("vmfm data sof", ["soften"])],
)
def test_a_shell_completes(line, offered):
    words = {"_VMFM_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    assert vmfm(env={**os.environ, **words}).stdout.split() == offered


def test_version():
    assert vmfm("--version").stdout == f"vmfm {version('vmfm')}\n"


def test_an_unknown_verb_is_a_usage_error():
    shown = vmfm("matte")
    assert shown.returncode == 2
    assert "matte" in shown.stderr


def test_help_imports_none_of_the_heavy_libraries():
    code = "import sys; from vmfm.apps.main import run; run(sys.argv[1:]); print('LOADED', *sys.modules)"
    for arguments in (["--help"], ["recomposite", "--help"]):
        shown = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        loaded = set(shown.stdout.partition("LOADED")[2].split())
        assert not loaded & {"torch", "openvino", "av", "cv2", "numpy", "onnx"}


def test_a_missing_extra_is_named():
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'safetensors'): sys.modules[name] = None\n"
        "from vmfm.apps.main import main\n"
        "main(['export', 'nowhere', '-o', 'bundle'])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert shown.returncode == 1
    assert "pip install 'vmfm[train]'" in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("torch", "train"),
        ("tensorrt_rtx", "rtx"),
        ("pyvirtualcam", "webcam"),
        ("numpy", None),
        ("nothing_of_ours", None),
    ],
)
def test_modules_belong_to_extras(module, extra):
    sentence = main._missing(module, ["verb"])
    wanted = f"vmfm[{extra}]" if extra else module
    assert f"pip install '{wanted}'" in sentence


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if os.name == "posix" else [])])
def test_a_signal_ends_it_and_leaves_nothing(make_video, tiny_bundle, tmp_path, sent):
    # as from a terminal: tests run in the background of a shell would hand down that Ctrl-C is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    source = make_video(tmp_path / "in.mp4", size=(320, 240), pts=range(3000), options={})
    arguments = ["recomposite", source, "-o", tmp_path / "o.mp4", "--background", "blur", "--alpha", tmp_path / "a"]
    process = subprocess.Popen(
        [*VMFM, *map(str, arguments), "--bundle", str(tiny_bundle.path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob(".a.partial-*/00001*.png")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + sent
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="file size limits are a thing of POSIX")
@pytest.mark.parametrize("target", ["o.mp4", "o.mkv", "o.webm", "mattes"])
def test_a_full_disk_is_told_and_leaves_nothing(make_video, tiny_bundle, tmp_path, target):
    import resource

    source = make_video(tmp_path / "in.mp4", size=(320, 240), pts=range(60))
    limit = 3000 if target != "mattes" else 200
    arguments = ["--alpha", tmp_path / target, "--bundle", tiny_bundle.path]
    shown = vmfm(
        "recomposite", source, *arguments, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert shown.returncode == 1, shown.stderr
    assert f"no space left for {tmp_path / target}:" in " ".join(shown.stderr.split())
    assert "Traceback" not in shown.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="file size limits are a thing of POSIX")
def test_results_appear_together_or_not_at_all(make_video, tiny_bundle, tmp_path):
    """The video is written when all mattes are, and there is no room for it."""
    import resource

    source = make_video(tmp_path / "in.mp4", pts=range(20))
    noise = tmp_path / "noise.png"
    cv2.imwrite(str(noise), np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    arguments = [
        "-o",
        tmp_path / "o.mp4",
        "--background",
        noise,
        "--alpha",
        tmp_path / "a",
        "--bundle",
        tiny_bundle.path,
    ]
    shown = vmfm(
        "recomposite", source, *arguments, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)),
    )  # fmt: skip
    assert "no space left for" in shown.stderr and "o.mp4:" in shown.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "noise.png"]


@pytest.mark.skipif(os.name == "nt", reason="shells of POSIX")
def test_without_a_standard_output_the_work_is_done(make_video, tiny_bundle, tmp_path):
    source = make_video(tmp_path / "in.mp4")
    arguments = ["recomposite", source, "--alpha", tmp_path / "a.mp4", "--bundle", tiny_bundle.path]
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *VMFM, *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert closed.returncode == 0 and (tmp_path / "a.mp4").exists(), closed.stderr
    if Path("/dev/full").exists():
        command = ["sh", "-c", '"$@" --overwrite >/dev/full', "sh", *VMFM, *map(str, arguments)]
        full = subprocess.run(command, check=False, capture_output=True, text=True)
        assert full.returncode == 1 and "cannot tell on standard output" in full.stderr
        assert "Traceback" not in full.stderr
