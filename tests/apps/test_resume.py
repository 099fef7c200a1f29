"""Work that is killed and goes on: the command as a process, and what it leaves."""

import json
import signal
import subprocess
import sys
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest

SEGMENT, FRAMES = 20, 90
# The command, in segments that are short enough for a test, made and joined slowly enough to be killed meanwhile.
VMFM = (
    "import time; from vmfm.apps.media.writer import FolderWriter as F; append = F.append; "
    "F.append = lambda *parts: (append(*parts), time.sleep(0.1)); "
    "from vmfm.apps.checkpoints import Draft as D; finish = D.finish; "
    "D.finish = lambda *told: (time.sleep(0.1), finish(*told)); "
    "import vmfm.apps.recomposite as it; from vmfm.apps.main import main; "
    f"it.SEGMENT_FRAMES = {SEGMENT}; main()"
)  # fmt: skip
VFR = [40 * n + (15 if n % 3 else 0) + (400 if n > 50 else 0) for n in range(FRAMES)]


def flicker(width, height, number):
    """Half-bright, so that the nets are unsure, and nearly still, so that every matte leans on those before it."""
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, (width // 2, height // 2), height // 3, (130 + 2 * (number % 3), 0, number), -1)
    return image


@pytest.fixture
def source(make_video, tmp_path):
    return make_video(
        tmp_path / "in.mkv", size=(128, 96), pts=VFR, time_base=Fraction(1, 1000), sound="aac", draw=flicker
    )


@pytest.fixture
def vmfm(tiny_bundle, tmp_path):
    """Starts the command in tmp_path."""

    def start(*arguments):
        bundle = [] if "--bundle" in arguments else ["--bundle", tiny_bundle.path]
        command = [sys.executable, "-c", VMFM, "recomposite", *map(str, [*arguments, *bundle])]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out + err


def kill_when(process, there):
    """kill -9, as soon as `there` tells so."""
    deadline = time.monotonic() + 60
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


def segments(folder):
    return sorted(path.parent.name for path in folder.glob("*[0-9]/segment.json"))


def alphas(folder):
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.iterdir())]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_killed_job_goes_on_to_the_same_result(vmfm, source, look, tmp_path, suffix):
    wanted = ["--background", "#00A0FF", *(["--no-audio"] if suffix == ".webm" else [])]

    def targets(name):
        return [
            source,
            "-o",
            f"{name}{suffix}",
            "--alpha",
            f"{name}-alpha",
            "--deviation",
            f"{name}-d.mov",
            "--depth",
            16,
        ]

    finish(vmfm(*targets("whole"), *wanted, "--resume"))
    assert not list(tmp_path.glob(".*"))
    left = tmp_path / f".killed{suffix}.vmfm-resume"
    kill_when(vmfm(*targets("killed"), *wanted, "--resume"), lambda: len(segments(left)) >= 2)
    assert not (tmp_path / f"killed{suffix}").exists()
    assert not (tmp_path / "killed-alpha").exists()
    done = len(segments(left)) * SEGMENT
    kill_when(
        vmfm(*targets("killed"), *wanted, "--resume"), lambda: any(tmp_path.glob(".killed-alpha.partial-*/*1.png"))
    )
    assert len(list(tmp_path.glob(".*.partial-*"))) > 1
    said = finish(vmfm(*targets("killed"), *wanted, "--resume"))
    assert f"goes on after frame {FRAMES}" in said and done < FRAMES
    assert not list(tmp_path.glob(".*"))
    for name in (f"{{}}{suffix}", "{}-d.mov"):
        whole, killed = (tmp_path / name.format(which) for which in ("whole", "killed"))
        assert look.times(killed) == look.times(whole)
        np.testing.assert_array_equal(look.pictures(killed), look.pictures(whole))
    assert look.sound_packets(tmp_path / f"killed{suffix}") == look.sound_packets(tmp_path / f"whole{suffix}")
    # Nothing is lost in PNGs: these are also what a run without checkpoints makes.
    finish(vmfm(*targets("plain"), *wanted))
    plain = alphas(tmp_path / "plain-alpha")
    assert len(plain) == FRAMES and plain[0].dtype == np.uint16
    np.testing.assert_array_equal(alphas(tmp_path / "killed-alpha"), plain)
    assert look.times(tmp_path / f"plain{suffix}") == look.times(tmp_path / f"killed{suffix}")
    assert len({alpha.tobytes() for alpha in plain[:9]}) == 9  # each leans on those before


def run_killed(vmfm, source, tmp_path):
    """A job that was killed after its first segment."""
    left = tmp_path / ".o.mkv.vmfm-resume"
    kill_when(vmfm(source, "-o", "o.mkv", "--background", "#00A0FF", "--resume"), lambda: segments(left))
    return left


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("settings", "background, options, bundle"),
        ("source", "source"),
        ("damage", "what was done before cannot be read"),
    ],
)
def test_what_is_not_as_it_was_starts_anew_and_says_so(vmfm, fresh_bundle, source, look, tmp_path, change, told):
    left = run_killed(vmfm, source, tmp_path)
    arguments = [source, "-o", "o.mkv", "--background", "#00A0FF", "--resume"]
    if change == "source":
        source.touch()
    elif change == "settings":
        arguments += ["--background", "blur", "--duration", 3, "--bundle", rename(fresh_bundle())]
    elif change == "damage":
        (left / "job.json").write_text("{")
    said = finish(vmfm(*arguments))
    assert f"starts anew ({told if change == 'damage' else 'other than before: ' + told})" in said
    assert "goes on after" not in said
    assert len(look.times(tmp_path / "o.mkv")) == (sum(at < 2999 for at in VFR) if change == "settings" else FRAMES)
    assert not list(tmp_path.glob(".*"))


def rename(bundle):
    """The same nets under another name: another bundle."""
    from vmfm.runtime.bundle import write_bundle

    models = {name: bundle.net_path(name).read_bytes() for name in bundle.nets}
    about = {"pixel_budget": bundle.pixel_budget, "patches": bundle.patches, "trained": {}, "scores": {}}
    return write_bundle(bundle.path.parent / "other", models, name="other", **about).path


@pytest.mark.slow
def test_without_resume_a_killed_job_is_not_gone_on_with(vmfm, source, tmp_path):
    left = run_killed(vmfm, source, tmp_path)
    said = finish(vmfm(source, "-o", "o.mkv", "--background", "#00A0FF"))
    assert "goes on" not in said
    assert left.exists()  # it may still be wanted


@pytest.mark.slow
def test_a_job_that_was_interrupted_says_how_to_go_on(vmfm, source, tmp_path):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    left = tmp_path / ".o.mkv.vmfm-resume"
    process = vmfm(source, "-o", "o.mkv", "--background", "#00A0FF", "--resume")
    while not segments(left):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "frames are kept: the same command goes on with them" in err
    assert "Traceback" not in err
    assert segments(left)
    assert not (tmp_path / "o.mkv").exists()


@pytest.mark.slow
def test_a_folder_goes_on_with_the_one_that_was_killed(vmfm, make_video, look, tmp_path):
    (tmp_path / "many").mkdir()
    for name in "abc":
        make_video(tmp_path / "many" / f"{name}.mp4", pts=range(60))
    cv2.imwrite(str(tmp_path / "many" / "d.png"), look.draw(64, 48, 0))
    arguments = ["many", "-o", "o", "--background", "#00FF00", "--alpha", "a", "--resume"]
    left = tmp_path / "o" / ".b.mp4.vmfm-resume"
    kill_when(vmfm(*arguments), lambda: segments(left))
    first = (tmp_path / "o" / "a.mp4").stat().st_mtime_ns
    said = finish(vmfm(*arguments))
    assert "a.mp4: o/a.mp4, a/a is there already" in said
    assert "b.mp4: goes on after frame" in said
    assert "3 done" in said and "1 there already" in said
    assert (tmp_path / "o" / "a.mp4").stat().st_mtime_ns == first
    assert [len(look.times(tmp_path / "o" / f"{name}.mp4")) for name in "abc"] == [60] * 3
    assert [len(list((tmp_path / "a" / name).iterdir())) for name in "abc"] == [60] * 3
    assert "4 there already" in finish(vmfm(*arguments))


def test_sound_that_does_not_fit_is_told_before_the_work(vmfm, source, tmp_path):
    process = vmfm(source, "-o", "o.webm", "--background", "blur", "--resume")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "webm files cannot hold the aac sound" in err
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_json_tells_where_a_job_goes_on(vmfm, source, tmp_path):
    run_killed(vmfm, source, tmp_path)
    out, err = vmfm(source, "-o", "o.mkv", "--background", "#00A0FF", "--resume", "--json").communicate(timeout=120)
    events = [json.loads(line) for line in out.splitlines()]
    by_name = {event["event"]: event for event in events}
    assert [event["event"] for event in events if event["event"] != "progress"] == ["engine", "start", "done", "end"], (
        err
    )
    assert by_name["start"]["resumed_at"] % SEGMENT == 0 < by_name["start"]["resumed_at"]
    assert by_name["done"]["frames"] == FRAMES
    assert by_name["end"]["frames"] == FRAMES - by_name["start"]["resumed_at"]
