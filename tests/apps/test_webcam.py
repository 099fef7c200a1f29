"""The whole way from camera to virtual camera, without either: a clip stands for the one, a registered backend for the other.

The clip's frame n is a red disc that moves right in a blue room; its green tells n. The tiny bundle's foreground is what is
red, so a picture whose matte is its own is exactly the disc of frame n on the new background.
"""

import itertools
import os
import re
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
import pyvirtualcam
from vmfm.apps import capture, effect, outlet, preview, webcam
from vmfm.apps.media import camera
from vmfm.runtime import Matte
from vmfm.runtime.backends.openvino_backend import OpenVinoBackend

WIDTH, HEIGHT, FRAMES = 96, 64, 20
ROOM, WHITE, BLACK = (0, 0, 200), (255, 255, 255), (0, 0, 0)
ANY_DETAIL = ("--size", f"{WIDTH}x{HEIGHT}", "--fps", 100)
OPTIONS = (*ANY_DETAIL, "--detail", "fine")  # at which these nets cut the disc out exactly


def draw(width: int, height: int, number: int) -> np.ndarray:
    image = np.full((height, width, 3), ROOM, np.uint8)
    cv2.circle(image, (14 + 3 * number, height // 2), 12, (255, 10 * number, 0), -1)
    return image


def expected(number: int, background: tuple[int, int, int]) -> np.ndarray:
    frame = draw(WIDTH, HEIGHT, number)
    return np.where(frame[..., :1] == 255, frame, np.array(background, np.uint8))


def number_of(picture: np.ndarray) -> int | None:
    """Which frame is in a picture; None where there is no disc."""
    disc = (picture[..., 0] == 255) & (picture[..., 2] == 0)
    return int(np.median(picture[disc][:, 1])) // 10 if disc.any() else None


def is_own(picture: np.ndarray, background: tuple[int, int, int]) -> bool:
    """Whether a picture is a cover, or the disc of one frame cut out as that frame's matte says."""
    number = number_of(picture)
    if number is None:
        return is_cover(picture, background)
    return int(np.abs(picture.astype(int) - expected(number, background)).max()) <= 2  # rounding


def shows_room(picture: np.ndarray) -> bool:
    return bool((picture == ROOM).all(axis=2).any())


def is_cover(picture: np.ndarray, colour: tuple[int, int, int] = WHITE) -> bool:
    return bool((picture == colour).all())


class Device:
    """A virtual camera that keeps what it is sent, and presses Ctrl-C when `enough` of it has come."""

    def __init__(self) -> None:
        self.sent: list[np.ndarray] = []
        self.enough: Callable[[list[np.ndarray]], bool] = lambda sent: len(sent) >= 40
        self.asked_for: list[str | None] = []
        self.is_gone = self.is_open = False
        self.refusals = 0  # how often it is not to be had again

    def __call__(self, *, width, height, fps, fourcc, device):
        self.asked_for.append(device)
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("the device is taken")
        assert not self.is_open
        self.size, self.is_open, self.is_gone = (height, width, 3), True, False
        return self

    def send(self, frame):
        if self.is_gone:
            raise RuntimeError("the driver went away")
        self.sent.append(frame.reshape(self.size).copy())
        if self.enough(self.sent):
            raise KeyboardInterrupt

    def close(self):
        self.is_open = False

    def device(self):
        return "/dev/video42"

    def native_fourcc(self):
        return None


@pytest.fixture
def device(monkeypatch) -> Iterator[Device]:
    device = Device()
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
    pyvirtualcam.register_backend("test", device)
    yield device
    assert not device.is_open
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vmfm-")]


@pytest.fixture
def clip(make_video, tmp_path):
    return make_video(
        tmp_path / "clip.mkv", size=(WIDTH, HEIGHT), pts=range(FRAMES), codec="ffv1", pixel_format="bgr0", draw=draw
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    for module in (capture, effect, outlet):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)


def discs(pictures):
    return [number for picture in pictures if (number := number_of(picture)) is not None]


def test_every_matte_is_of_its_own_frame(vmfm, device, clip):
    device.enough = lambda sent: len(discs(sent)) >= 45
    status, out, _ = vmfm("webcam", "--camera", clip, "--background", "#FFFFFF", *OPTIONS)
    assert status == 0
    assert all(is_own(picture, WHITE) for picture in device.sent)
    numbers = discs(device.sent)
    assert all(later != earlier for earlier, later in itertools.pairwise(numbers))
    assert len(set(numbers)) > FRAMES // 2
    assert re.search(r"4\d frames in .* fps\), \d+ dropped; from capture to send \d+ ms", out)
    assert "/dev/video42 (test)" in out and "tiny on cpu: OpenVINO" in out


@pytest.mark.parametrize(("options", "last"), [((), "fine"), (("--detail", "balanced"), "balanced")])
def test_the_nets_look_as_closely_as_they_have_time_for_or_as_they_are_told(vmfm, device, clip, options, last):
    device.enough = lambda sent: len(discs(sent)) >= 60
    status, out, _ = vmfm("webcam", "--camera", clip, "--background", "#FFFFFF", *options, *ANY_DETAIL)
    assert status == 0
    assert not any(shows_room(picture) for picture in device.sent)
    details = re.findall(r"detail (\w+)", out)
    assert details[0] == ("balanced" if options else "fast") and details[-1] == last


@pytest.mark.slow
def test_every_picture_is_right_for_as_long_as_a_call_lasts(vmfm, device, clip):
    """For a whole call: VMFM_CALL_SECONDS=300 pytest -k call_lasts"""
    ends_at = time.monotonic() + float(os.environ.get("VMFM_CALL_SECONDS", "3"))
    wrong, discs_sent, last = [], 0, None

    def enough(sent):
        nonlocal discs_sent, last
        picture = sent.pop()
        number = number_of(picture)
        if not is_own(picture, WHITE) or number == last is not None:
            wrong.append(picture)
        last = number
        discs_sent += number is not None
        return discs_sent > 20 and time.monotonic() > ends_at

    device.enough = enough
    size = "--size", f"{WIDTH}x{HEIGHT}", "--detail", "fine"
    assert vmfm("webcam", "--camera", clip, "--background", "#FFFFFF", *size)[0] == 0
    assert not wrong


@pytest.mark.parametrize("background", ["blur", "still.png", "clip.mkv"])
def test_every_kind_of_background(vmfm, device, clip, tmp_path, background):
    cv2.imwrite(str(tmp_path / "still.png"), np.full((9, 5, 3), 77, np.uint8))
    device.enough = lambda sent: len(discs(sent)) >= 5
    assert vmfm("webcam", "--camera", clip, "--background", background, "--mirror", *OPTIONS)[0] == 0
    if background == "still.png":
        assert all(is_own(picture[:, ::-1], (77, 77, 77)) for picture in device.sent)


def test_until_the_matte_is_ready_the_background_alone_is_sent(vmfm, device, clip, monkeypatch):
    opened = threading.Event()
    open_stream = webcam.MattingStream

    def slowly(*arguments, **options):
        opened.wait(20)
        return open_stream(*arguments, **options)

    monkeypatch.setattr(webcam, "MattingStream", slowly)

    def enough(sent):
        if len(sent) == 20:
            opened.set()
        return bool(discs(sent[-1:]))

    device.enough = enough
    assert vmfm("webcam", "--camera", clip, "--background", "#FFFFFF", *OPTIONS)[0] == 0
    assert all(is_cover(picture) for picture in device.sent[:20])
    assert not any(shows_room(picture) for picture in device.sent)


@pytest.mark.parametrize(("background", "cover"), [("#FFFFFF", WHITE), ("blur", (48, 48, 48))])
def test_while_the_nets_fail_the_background_alone_is_sent(vmfm, device, clip, monkeypatch, background, cover):
    run_net, fails = OpenVinoBackend.run_net, threading.Event()

    def failing(self, slot, node):
        if fails.is_set():
            raise RuntimeError("the GPU fell off")
        run_net(self, slot, node)

    monkeypatch.setattr(OpenVinoBackend, "run_net", failing)
    failed_at = []

    def enough(sent):
        if not failed_at and len(discs(sent)) == 5:
            fails.set()
            failed_at.append(len(sent))
        if failed_at and sum(is_cover(picture, cover) for picture in sent[failed_at[0] :]) == 20:
            fails.clear()
        return bool(failed_at) and not fails.is_set() and len(discs(sent[-2:])) == 2

    device.enough = enough
    status, out, _ = vmfm("webcam", "--camera", clip, "--background", background, *OPTIONS)
    assert status == 0
    after = device.sent[failed_at[0] :]
    assert all(is_cover(picture, cover) or number_of(picture) is not None for picture in after)
    assert background == "blur" or not any(shows_room(picture) for picture in device.sent)
    assert "the GPU fell off" in out and "nets: works again" in out


def test_nets_that_never_work_end_it(vmfm, device, clip, monkeypatch):
    def failing(self, slot, node):
        raise RuntimeError("no kernel for this GPU")

    monkeypatch.setattr(OpenVinoBackend, "run_net", failing)
    device.enough = lambda sent: False
    status, _, err = vmfm("webcam", "--camera", clip, "--background", "#FFFFFF", *OPTIONS)
    assert status == 1
    assert "no kernel for this GPU" in err
    assert all(is_cover(picture) for picture in device.sent)


def test_slow_nets_drop_frames_and_do_not_fall_behind(vmfm, device, clip, monkeypatch):
    """Every step waits for ten more pictures of the camera: a queue would hold ten times as many as it hands out."""
    reads, seen = itertools.count(1), [0]
    came = threading.Condition()
    read, step = camera.ClipCamera.read, webcam.MattingStream.step

    def counted(self):
        picture = read(self)
        picture[0, 0] = (0, *divmod(next(reads), 256))  # in the room's corner; black to the net
        with came:
            seen[0] += 1
            came.notify_all()
        return picture

    stepped = []

    def slow(self, frame, background):
        stepped.append(int(frame[0, 0, 1]) * 256 + int(frame[0, 0, 2]))
        with came:
            assert came.wait_for(lambda: seen[0] >= stepped[-1] + 10, 20)
        return step(self, frame, background)

    monkeypatch.setattr(camera.ClipCamera, "read", counted)
    monkeypatch.setattr(camera.time, "sleep", lambda seconds: time.sleep(seconds / 20) if seconds else None)
    monkeypatch.setattr(webcam.MattingStream, "step", slow)
    device.enough = lambda sent: len(discs(sent)) >= 12
    status, out, _ = vmfm("webcam", "--camera", clip, "--background", "#FFFFFF", *OPTIONS)
    assert status == 0
    assert all(later >= earlier + 9 for earlier, later in itertools.pairwise(stepped))
    assert int(re.search(r"(\d+) dropped", out)[1]) > 8 * 11
    # The first one readied the nets, and was of the past when they were.
    assert discs(device.sent)[0] == (stepped[1] - 1) % FRAMES


class Plug:
    """Stands for cv2 with one camera, which can be pulled out; its pictures are a clip's."""

    def __init__(self, clip) -> None:
        self.clip, self.is_in, self.settings = clip, True, {}
        self.size = (WIDTH, HEIGHT)

    def __getattr__(self, name):
        return getattr(cv2, name)

    def VideoCapture(self, number, api):
        self._real = cv2.VideoCapture(str(self.clip))
        return self

    def isOpened(self):
        return self.is_in

    def read(self):
        time.sleep(0.005)
        if not self.is_in:
            return False, None
        came, picture = self._real.read()
        if not came:
            self._real = cv2.VideoCapture(str(self.clip))
            came, picture = self._real.read()
        return came, cv2.resize(picture, self.size, interpolation=cv2.INTER_NEAREST)

    def set(self, setting, value):
        self.settings[setting] = value

    def release(self):
        self._real.release()


def test_a_camera_pulled_out_and_another_plugged_in(vmfm, device, clip, monkeypatch):
    plug = Plug(clip)
    monkeypatch.setattr(camera, "cv2", plug)
    states = []

    def enough(sent):
        if not states and len(discs(sent)) == 5:
            plug.is_in = False
            states.append(len(sent))
        if len(states) == 1 and sum(map(is_cover, sent[states[0] :])) == 20:
            plug.is_in, plug.size = True, (2 * WIDTH, 2 * HEIGHT)
            states.append(len(sent))
        return len(states) == 2 and len(discs(sent[states[1] :])) == 5

    device.enough = enough
    status, out, _ = vmfm("webcam", "--camera", "0", "--background", "#FFFFFF", "--size", "1280x720")
    assert status == 0
    assert "camera 0 gives no pictures any more: plug it in again" in out and "camera: works again" in out
    assert "camera 0, 96x64 -> " in out
    assert plug.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert plug.settings[cv2.CAP_PROP_FRAME_WIDTH] == 1280
    assert not any(shows_room(picture) for picture in device.sent)
    assert number_of(device.sent[0]) is None or np.array_equal(
        device.sent[0], expected(number_of(device.sent[0]), WHITE)
    )


def test_a_virtual_camera_that_goes_away_comes_back(vmfm, device, clip):
    lost_at = []

    def enough(sent):
        if not lost_at and len(discs(sent)) == 5:
            lost_at.append(len(sent))
            device.is_gone, device.refusals = True, 3
        return bool(lost_at) and len(sent) > lost_at[0] + 5

    device.enough = enough
    status, out, _ = vmfm("webcam", "--camera", clip, "--background", "#FFFFFF", *OPTIONS)
    assert status == 0
    assert "the driver went away" in out and "virtual camera: works again" in out
    assert device.asked_for == [None, *["/dev/video42"] * 4]


def test_memory_stays_flat(vmfm, device, clip, monkeypatch):
    """A queue, a log or a cache of frames would grow by 18 kB with each."""

    class Instant(webcam.MattingStream):
        def step(self, frame, background=None):
            return Matte(frame, {"picture": background.copy()})

    frame = draw(WIDTH, HEIGHT, 0)
    monkeypatch.setattr(webcam, "MattingStream", Instant)
    monkeypatch.setattr(camera.ClipCamera, "read", lambda self: frame.copy())
    held = {}

    def enough(sent):
        count = held["count"] = held.get("count", 0) + 1
        sent.clear()
        if count in (300, 2300):
            held[count] = tracemalloc.get_traced_memory()[0]
        return count == 2300

    device.enough = enough
    tracemalloc.start()
    try:
        assert vmfm("webcam", "--camera", clip, "--background", "#FFFFFF", *OPTIONS)[0] == 0
    finally:
        tracemalloc.stop()
    assert held[2300] - held[300] < 1_000_000


class Screen:
    """A window that keeps what it shows, and presses the next key whenever ten more discs were sent."""

    def __init__(self, device: Device, keys: str) -> None:
        self.device, self.keys = device, keys
        self.shown: list[np.ndarray] = []
        self.pressed: dict[str, int] = {}  # how many pictures had been sent

    def show(self, picture):
        self.shown.append(picture)

    def key(self):
        count = len(self.pressed)
        if count < len(self.keys) and len(discs(self.device.sent)) >= 10 * (count + 1):
            key = self.keys[count]
            self.pressed[f"{key}{count}"] = len(self.device.sent)
            return key
        return ""

    def close(self):
        pass


@pytest.fixture
def press(device, monkeypatch) -> Callable[[str], Screen]:
    """Gives the window that presses these keys."""
    device.enough = lambda sent: False

    def window(keys):
        screen = Screen(device, keys)
        monkeypatch.setattr(preview, "Window", lambda title: screen)
        return screen

    return window


def test_keys(vmfm, device, clip, press, monkeypatch, tmp_path):
    written, draw_lines = [], preview.draw_lines
    monkeypatch.setattr(
        preview, "draw_lines", lambda picture, lines: written.append(lines) or draw_lines(picture, lines)
    )
    screen = press("beesq")
    backgrounds = ("--background", "#FFFFFF", "--background", "#000000")
    status, out, _ = vmfm("webcam", "--camera", clip, *backgrounds, "--preview", *OPTIONS)
    assert status == 0
    b, e_off, e_on, s, q = screen.pressed.values()
    assert q == len(device.sent)
    assert all(is_own(picture, WHITE) for picture in device.sent[:b])
    assert all(is_own(picture, BLACK) for picture in device.sent[b + 3 : e_off])
    assert all(shows_room(picture) for picture in device.sent[e_off + 3 : e_on])
    assert all(is_own(picture, BLACK) for picture in device.sent[e_on:])  # from the very next one on
    (snapshot,) = tmp_path.glob("vmfm-*.png")
    assert np.array_equal(cv2.imread(str(snapshot))[..., ::-1], device.sent[s - 1])
    assert f"{snapshot.name}: saved" in out
    figures, engine, stages = written[b][:3]
    assert re.match(r"\d+\.\d fps   \d+ ms from capture to send   \d+ dropped", figures)
    assert "tiny on cpu" in engine
    assert re.match(r"ms: preprocess \d.*  composite \d", stages)


def test_the_matte_can_be_looked_at_while_the_picture_is_sent(vmfm, device, clip, press):
    screen = press("fvvvq")
    assert vmfm("webcam", "--camera", clip, "--background", "#FFFFFF", "--preview", *OPTIONS)[0] == 0
    shown = list(zip(screen.shown, device.sent, strict=True))
    f, to_alpha, to_deviation, to_picture, q = screen.pressed.values()
    assert not any(np.array_equal(seen, sent) for seen, sent in shown[:f])  # has figures in it
    assert all(np.array_equal(seen, sent) for seen, sent in [*shown[f:to_alpha], *shown[to_picture:q]])
    for seen, sent in shown[to_alpha:to_deviation]:
        assert ((seen > 128) == (expected(number_of(sent), BLACK)[..., :1] == 255)).all()
    assert not any(
        (seen > 50).any() for seen, _ in shown[to_deviation:to_picture]
    )  # these nets are sure of black and white


def test_none_shows_the_room_and_needs_no_nets(vmfm, device, clip, monkeypatch):
    def no_nets(*arguments, **options):
        raise AssertionError("the nets were opened")

    monkeypatch.setattr(webcam, "MattingStream", no_nets)
    device.enough = lambda sent: sum(shows_room(picture) for picture in sent) == 10
    assert vmfm("webcam", "--camera", clip, "--background", "none", *OPTIONS)[0] == 0
    rooms = [picture for picture in device.sent if shows_room(picture)]
    assert all(np.array_equal(picture, draw(WIDTH, HEIGHT, number_of(picture))) for picture in rooms)
