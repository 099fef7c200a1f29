"""The parts of the webcam apart: what hands on the newest, what is behind, which camera, and what to do without one."""

import platform
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvirtualcam
from hypothesis import given
from hypothesis import strategies as st
from vmfm.apps.capture import Shot
from vmfm.apps.effect import Effect
from vmfm.apps.hud import Meter, draw_lines
from vmfm.apps.live import Newest, Worker
from vmfm.apps.main import run
from vmfm.apps.media import camera, virtual_camera
from vmfm.apps.media.backgrounds import Background, open_background
from vmfm.apps.media.camera import CameraError, list_cameras, open_camera
from vmfm.apps.media.virtual_camera import VirtualCamera, VirtualCameraError
from vmfm.apps.media.window import Window, WindowError
from vmfm.apps.pace import Pace
from vmfm.apps.scene import Scene, open_scene
from vmfm.runtime import MattingStream, Over

LOOPBACKS = [
    node for node in Path("/sys/devices/virtual/video4linux").glob("video*") if Path("/dev", node.name).exists()
]
FRAME = np.zeros((48, 64, 3), np.uint8)


@given(st.lists(st.integers(1, 4), max_size=30))
def test_only_the_newest_is_handed_on_and_the_others_are_counted(bursts):
    """Bursts of so many items between one take and the next."""
    newest, put = Newest(), 0
    for burst in bursts:
        for _ in range(burst):
            put += 1
            newest.put(put)
        assert newest.take(0) == put
        assert newest.take(0) is None
    assert newest.dropped == put - len(bursts)


def test_whoever_waits_gets_what_comes():
    newest = Newest()
    threading.Timer(0.05, newest.put, ["late"]).start()
    assert newest.take(20) == "late"


def test_what_ends_a_worker_is_told():
    class Failing(Worker):
        def _work(self):
            raise ValueError("on the thread")

    with Failing("test") as worker:
        worker._thread.join()
        with pytest.raises(ValueError, match="on the thread"):
            worker.check()


class Recording(Background):
    def __init__(self):
        self.seconds = []

    def behind(self, frame):
        self.seconds.append(frame.seconds)
        return frame.image


def test_a_video_background_does_not_make_up_for_a_suspended_laptop():
    times = iter([100.0, 100.5, 101.0, 101.0 + 8 * 3600, 101.1 + 8 * 3600])
    background = Recording()
    scene = Scene([background], clock=lambda: next(times))
    for _ in range(4):
        scene.behind(FRAME)
    assert background.seconds == pytest.approx([0.5, 1.0, 2.0, 2.1])


def test_a_background_that_cannot_be_read_any_more_is_told_and_replaced(make_video, tmp_path):
    video = make_video(tmp_path / "clip.mp4", pts=range(6))
    times = iter(range(1000))
    with open_background(str(video)) as background:
        scene = Scene([background], clock=lambda: float(next(times)))
        assert scene.behind(FRAME).image.shape == FRAME.shape
        video.unlink()
        pictures = [scene.behind(FRAME).image for _ in range(3)]
    assert "clip.mp4 does not exist" in scene.problem
    assert (pictures[-1] == pictures[-1][0, 0]).all() and pictures[-1].shape == FRAME.shape


def test_the_backgrounds_go_round_and_the_effect_comes_on_with_them():
    room = np.full_like(FRAME, 77)
    with open_scene(["none", "#FFFFFF", "blur:5"]) as scene:
        assert not scene.behind(room).effect
        assert not (scene.cover(room) == 77).any()
        scene.next_background()
        assert scene.behind(room).over == Over(blur=True, radius_px=5)
        assert scene.behind(room).image is None and not (scene.cover(room) == 77).any()
        scene.next_background()
        assert (scene.behind(room).image == 255).all() and (scene.cover(room) == 255).all()
        scene.toggle()
        assert not scene.behind(room).effect
        scene.toggle()
        assert (scene.behind(room).image == 255).all()


def test_an_effect_that_was_off_for_a_while_leans_on_nothing_from_before():
    resets = []

    class Told(MattingStream):
        def reset(self):
            resets.append(self)
            super().reset()

    with open_scene(["#FFFFFF"]) as scene:
        effect = Effect(Newest(), scene, lambda over: Told(deliver=("picture",), over=over, slots=1), Pace("fast"))
        shot = Shot(FRAME, 0.0)
        assert effect._done(shot) is None  # the nets are readied
        for _ in range(3):
            assert not effect._done(shot).room
        assert len(resets) == 1
        scene.toggle()
        assert effect._done(shot).room
        scene.toggle()
        assert not effect._done(shot).room
        effect._close()
    assert len(resets) == 2


def test_the_meter_counts_from_capture_to_send(monkeypatch):
    from vmfm.apps import hud

    now = iter(np.arange(0, 2, 0.05))
    monkeypatch.setattr(hud.time, "perf_counter", lambda: float(next(now)))
    meter = Meter()
    for number in range(1, 11):
        assert meter.add(0.05 * number - 0.04) == pytest.approx(0.04)
    assert meter.fps == pytest.approx(20)
    assert meter.latency_ms == pytest.approx(40)
    assert "10 frames in 0.6 s (18.2 fps), 3 dropped" in meter.summary(3)


def test_figures_are_drawn_into_a_copy():
    picture = np.full((120, 300, 3), 200, np.uint8)
    drawn = draw_lines(picture, ["a figure", "ü"])
    assert (picture == 200).all()
    assert (drawn[44:] == 200).all() and (drawn[:44] < 200).any() and (drawn[:44] == 255).any()


def test_a_clip_plays_over_and_over(make_video, tmp_path):
    opened = open_camera(str(make_video(tmp_path / "clip.mp4", pts=range(3))), (720, 1280), 30)
    pictures = [opened.read() for _ in range(5)]
    opened.close()
    assert np.array_equal(pictures[0], pictures[3]) and np.array_equal(pictures[1], pictures[4])
    assert not np.array_equal(pictures[0], pictures[1])


def test_an_image_is_no_camera(tmp_path):
    cv2.imwrite(str(tmp_path / "still.png"), FRAME)
    with pytest.raises(CameraError, match="is an image"):
        open_camera(str(tmp_path / "still.png"), (720, 1280), 30)


@pytest.mark.skipif(sys.platform != "linux", reason="the advice is that for Linux")
def test_a_camera_that_is_not_there_is_told_with_those_that_are(monkeypatch, tmp_path, capsys):
    for number, (index, name) in enumerate([("0", "HD Webcam"), ("1", "HD Webcam"), ("0", "Virtual")]):
        node = tmp_path / f"video{number + 8}"
        node.mkdir()
        (node / "index").write_text(index + "\n")
        (node / "name").write_text(name + "\n")
    monkeypatch.setattr(camera, "_LINUX_NODES", tmp_path)
    assert list_cameras() == [("/dev/video8", "HD Webcam"), ("/dev/video10", "Virtual")]
    assert run(["webcam", "--list"]) == 0
    assert "/dev/video8  HD Webcam" in capsys.readouterr().out
    assert run(["webcam", "--camera", "99"]) == 1
    err = capsys.readouterr().err
    assert "there is no /dev/video99; here are /dev/video8 (HD Webcam), /dev/video10 (Virtual)" in err


@pytest.mark.skipif(bool(LOOPBACKS), reason="there is a virtual camera here")
def test_without_a_virtual_camera_it_is_told_what_to_install(vmfm, make_video, tmp_path):
    clip = make_video(tmp_path / "clip.mp4")
    status, _, err = vmfm("webcam", "--camera", clip)
    assert status == 1
    assert "no virtual camera (" in err
    if sys.platform == "linux":
        assert "v4l2loopback" in err and "sudo modprobe v4l2loopback" in err


def test_the_reasons_of_all_backends_are_told(monkeypatch):
    def refusing(reason):
        def refuse(**options):
            raise RuntimeError(reason)

        return refuse

    backends = {"obs": refusing("OBS is not installed"), "unitycapture": refusing("no such device")}
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", backends)
    with pytest.raises(VirtualCameraError) as told:
        VirtualCamera((48, 64), 30)
    assert "'obs' backend: OBS is not installed; 'unitycapture' backend: no such device" in told.value.reason


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ({"ID": "debian"}, "sudo apt install v4l2loopback-dkms"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "sudo apt install v4l2loopback-dkms"),
        ({"ID": "nobara", "ID_LIKE": "fedora"}, "sudo dnf install akmod-v4l2loopback"),
        ({"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse"}, "sudo zypper install v4l2loopback-kmp-default"),
        ({"ID": "nixos"}, "the package v4l2loopback"),
    ],
)
def test_the_advice_is_for_this_system(monkeypatch, release, command):
    monkeypatch.setattr(virtual_camera.sys, "platform", "linux")
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    assert command in virtual_camera._install_command()


@pytest.mark.parametrize(("system", "word"), [("win32", "install OBS Studio"), ("darwin", "System Settings")])
def test_the_advice_elsewhere(monkeypatch, system, word):
    monkeypatch.setattr(virtual_camera.sys, "platform", system)
    assert word in virtual_camera.advice()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
@pytest.mark.parametrize("display", [{}, {"WAYLAND_DISPLAY": "wayland-0"}, {"DISPLAY": ":4321"}], ids=str)
def test_without_a_display_there_is_no_window(monkeypatch, display):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for name, value in display.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WindowError, match="without --preview"):
        Window("test")


@pytest.mark.parametrize(
    ("code", "key"),
    [(-1, ""), (ord("b"), "b"), (ord("B"), "b"), (27, "q"), (0x10042, "b"), (0xFF51, ""), (0xFF53, ""), (0xFF56, "")],
)
def test_arrows_are_no_letters(monkeypatch, code, key):
    """← is 0xFF51, whose low byte is a Q: it would end the call."""
    monkeypatch.setattr("cv2.waitKeyEx", lambda delay: code)
    monkeypatch.setattr("cv2.getWindowProperty", lambda *which: 1.0)
    window = Window.__new__(Window)
    window._title = "test"
    assert window.key() == key


def test_without_pyvirtualcam_the_extra_is_named():
    code = "import sys; sys.modules['pyvirtualcam'] = None; from vmfm.apps.main import main; main(['webcam'])"
    shown = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert shown.returncode == 1
    assert "pip install 'vmfm[webcam]'" in shown.stderr and "Traceback" not in shown.stderr


@pytest.mark.skipif(not LOOPBACKS, reason="no v4l2loopback device here")
def test_a_real_virtual_camera_shows_what_it_is_sent():
    picture = np.full((480, 640, 3), (200, 40, 40), np.uint8)
    seen, stop = [], threading.Event()

    def look(device):
        source = open_camera(device, (480, 640), 30)
        seen.extend(source.read() for _ in range(5))
        source.close()
        stop.set()

    with VirtualCamera((480, 640), 30) as out:
        out.send(picture)
        threading.Thread(target=look, args=[out.device]).start()
        while not stop.wait(0.03):
            out.send(picture)
    assert np.abs(seen[-1].astype(int) - picture).mean() < 10
