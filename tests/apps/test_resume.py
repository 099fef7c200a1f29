"""Work that is killed and goes on: the command as a process, and what it leaves."""

import signal
import subprocess
import sys
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest

SEGMENT, FRAMES = 20, 90
# The command, in segments that are short enough for a test.
VMFM = (
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
        command = [sys.executable, "-c", VMFM, "recomposite", *map(str, arguments), "--bundle", tiny_bundle.path]
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
    return sorted(path.parent.name for path in folder.glob("*/segment.json"))


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
    for count in (1, 3):
        kill_when(vmfm(*targets("killed"), *wanted, "--resume"), lambda: len(segments(left)) >= count)  # noqa: B023
        assert not (tmp_path / f"killed{suffix}").exists()
        assert not (tmp_path / "killed-alpha").exists()
    done = len(segments(left)) * SEGMENT
    said = finish(vmfm(*targets("killed"), *wanted, "--resume"))
    assert f"goes on after frame {done}" in said
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
