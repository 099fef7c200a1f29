"""The studio as a person meets it: the command, and its page in a headless Chromium.

The bundle's foreground is what is red, and its refinement takes everything away, so that one sees where it was at work.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper
from vmfm.runtime.bundle import write_bundle

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH: install the package chromium"),
    pytest.mark.slow,
]
FRAMES, SIZE = 12, (160, 96)
HALF = 127  # of the red of the half-transparent clip


@pytest.fixture(scope="module")
def bundle(tiny_models, tmp_path_factory):
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["K", n, 16, 16])
        for name, n in (("patches", 4), ("refined", 1))
    ]
    constants = [helper.make_tensor(name, TensorProto.INT64, [1], [n]) for name, n in (("zero", 0), ("one", 1))]
    body = [
        helper.make_node("Slice", ["patches", "zero", "one", "one"], ["alpha"]),
        helper.make_node("Sub", ["alpha", "alpha"], ["refined"]),
    ]
    graph = helper.make_graph(body, "refinement", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    nets = {**tiny_models, "refinement": model.SerializeToString()}
    path = tmp_path_factory.mktemp("bundles") / "taking"
    return write_bundle(path, nets, name="taking", pixel_budget=96 * 64, patches=8, trained={}, scores={})


@pytest.fixture(scope="module")
def start(bundle, tmp_path_factory):
    """Starts the command; gives the process and the page's address. Its temporary files go to a folder of its own."""
    running = []

    def started(folder):
        arguments = ["studio", "--no-browser", "--bundle", str(bundle.path), "--backend", "cpu"]
        process = subprocess.Popen(
            [sys.executable, "-m", "vmfm.apps.main", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)},
        )  # fmt: skip
        running.append(process)
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.communicate()
        return process, line.split()[0]

    # as from a terminal: tests run in the background of a shell would hand down that Ctrl-C is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield started
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def address(start, tmp_path_factory):
    return start(tmp_path_factory.mktemp("studio"))[1]


@pytest.fixture(scope="module")
def browser():
    options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Screen:
    """The page, and what a person can see and do there."""

    def __init__(self, page, address):
        self.page = page
        self.complaints = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: line.type == "error" and self.complaints.append(line.text))
        page.goto(address)
        expect(page.locator("#patches-out")).to_have_text("8")
        self.set_slider("#patches", 0)
        expect(page.locator("#patches-out")).to_have_text("off")

    def open(self, path):
        self.page.set_input_files("#file", path)
        self.drawn(0)

    def drawn(self, frame, facts=""):
        """Waits for pictures of a frame, by its number; facts: with which K, and with the stabiliser on or off."""
        pattern = re.compile(f"^{f'{frame / 24:.2f}' if frame != 'camera' else frame} {facts}")
        expect(self.page.locator("#panes")).to_have_attribute("data-drawn", pattern, timeout=20_000)
        expect(self.page.locator(".stale")).to_have_count(0)

    def look(self, view):
        """(H, W, 3) of what a view shows."""
        source = self.page.evaluate(
            "view => document.querySelector(`figure[data-view=${view}] canvas`).toDataURL()", view
        )
        data = np.frombuffer(base64.b64decode(source.partition(",")[2]), np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(int)

    def pixel(self, view, x=0.94, y=0.94):
        picture = self.look(view)
        return picture[int(y * len(picture)), int(x * len(picture[0]))]

    def becomes(self, view, rgb, **at):
        """Waits until a pixel has a colour."""
        for _ in range(200):
            if np.abs(self.pixel(view, **at) - rgb).max() < 16:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{view} shows {self.pixel(view, **at)}, not {rgb}")

    def choose(self, background):
        self.page.locator("#background label", has_text=background).click()

    def set_slider(self, name, value):
        self.page.locator(name).fill(str(value))
        self.page.locator(name).dispatch_event("change")
        self.page.locator(name).blur()  # arrow keys are for the slider while it has the focus


@pytest.fixture
def screen(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    screen = Screen(page, address)
    yield screen
    assert not screen.complaints
    page.close()


@pytest.fixture
def clip(make_video, tmp_path):
    return make_video(tmp_path / "talk.mp4", size=SIZE)


@pytest.fixture
def half(make_video, tmp_path):
    """A clip whose left half is half transparent, and flickers by so little that nobody sees it."""

    def draw(width, height, number):
        image = np.zeros((height, width, 3), np.uint8)
        image[:, : width // 2, 0] = HALF + 2 * (number % 2)
        return image

    return make_video(tmp_path / "half.mkv", size=SIZE, codec="ffv1", pixel_format="bgr0", draw=draw)


def test_a_clip_that_is_dropped_is_seen_from_four_sides(screen, clip):
    data = base64.b64encode(clip.read_bytes()).decode()
    dragged = screen.page.evaluate_handle(
        """data => {
            const dragged = new DataTransfer();
            dragged.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "talk.mp4", {type: "video/mp4"}));
            return dragged;
        }""",
        data,
    )
    screen.page.dispatch_event("#stage", "dragenter", {"dataTransfer": dragged})
    expect(screen.page.locator("#drop")).to_be_visible()
    screen.page.dispatch_event("#stage", "drop", {"dataTransfer": dragged})
    screen.drawn(0)
    expect(screen.page.locator("#source")).to_contain_text("talk.mp4 · 160×96 · 24 fps")
    pictures = {view: screen.look(view) for view in ("input", "composite", "alpha", "deviation")}
    for view, picture in pictures.items():
        assert picture.shape == (96, 160, 3) and np.ptp(picture) > 100, view
    assert not any(np.array_equal(pictures["input"], pictures[view]) for view in ("composite", "alpha", "deviation"))
    assert "taking on cpu: OpenVINO" in screen.page.locator("#engine").text_content()


def test_the_background_changes_while_one_looks(screen, clip, tmp_path):
    screen.open(clip)
    screen.choose("Colour")
    screen.page.locator("#colour").fill("#2040ff")
    screen.becomes("composite", (0x20, 0x40, 0xFF))
    screen.page.get_by_label("Green").click()
    screen.becomes("composite", (0x00, 0xB1, 0x40))
    screen.choose("Blur")
    screen.becomes("composite", (0, 0, 90))
    cv2.imwrite(str(tmp_path / "still.png"), np.full((9, 5, 3), (30, 200, 90), np.uint8))
    screen.page.set_input_files("#picture", tmp_path / "still.png")
    screen.becomes("composite", (90, 200, 30))
    screen.becomes("composite", (250, 0, 0), x=0.25, y=0.5)
    expect(screen.page.locator("#picture-name")).to_have_text("still.png")
    screen.choose("None")
    screen.becomes("composite", (104, 104, 104))


def test_more_patches_are_refined_where_k_is_larger(screen, half):
    screen.open(half)
    screen.becomes("alpha", (HALF, HALF, HALF), x=0.25)
    screen.set_slider("#patches", 1024)
    screen.drawn(0, "1024 ")
    assert screen.pixel("alpha", x=0.25).max() < HALF / 2
    expect(screen.page.locator("#patches-out")).to_have_text("1024")


def test_the_nets_look_as_closely_as_chosen(screen, clip):
    screen.open(clip)
    screen.drawn(0, "0 true fine")
    for detail in ("fast", "balanced", "fine"):
        screen.page.select_option("#detail", detail)
        screen.drawn(0, f"0 true {detail}")


def test_the_stabiliser_holds_what_is_unsure(screen, half):
    screen.open(half)
    moved = {}
    for steady in ("true", "false"):
        if steady == "false":
            screen.page.locator("label.switch").click()
            screen.drawn(1, "0 false")
            screen.page.keyboard.press("ArrowLeft")
            screen.drawn(0, "0 false")
        before = screen.pixel("alpha", x=0.25)[0]
        screen.page.keyboard.press("ArrowRight")
        screen.drawn(1, f"0 {steady}")
        moved[steady] = abs(screen.pixel("alpha", x=0.25)[0] - before)
    assert moved["true"] < moved["false"]


def test_playing_stepping_and_scrubbing(screen, clip):
    screen.open(clip)
    screen.page.keyboard.press("Space")
    screen.drawn(FRAMES - 1)
    play = screen.page.locator("#play")
    expect(play).to_have_attribute("aria-label", "Play")
    expect(screen.page.locator("#time")).to_have_text("0:00.5 / 0:00.5")
    screen.page.keyboard.press("ArrowLeft")
    screen.drawn(FRAMES - 2)
    screen.set_slider("#scrub", 0.26)
    screen.drawn(6)
    screen.page.locator("#on").click()
    screen.drawn(7)


def test_one_view_alone_is_shown_larger(screen, make_video, tmp_path):
    screen.open(make_video(tmp_path / "large.mp4", size=(1280, 720), pts=range(2)))
    small = screen.look("alpha").shape
    screen.page.keyboard.press("3")
    expect(screen.page.locator("figure:visible")).to_have_count(1)
    for _ in range(100):
        if screen.look("alpha").shape > small:
            break
        screen.page.wait_for_timeout(50)
    assert screen.look("alpha").shape > small
    screen.page.locator("figure:visible").click()
    expect(screen.page.locator("figure:visible")).to_have_count(4)


def test_an_export_is_the_clip_over_its_new_background(screen, clip, tmp_path):
    screen.open(clip)
    screen.choose("Colour")
    screen.page.locator("#colour").fill("#00ff00")
    screen.page.locator("#export").click()
    expect(screen.page.locator("#export-state")).to_have_attribute("data-state", "done", timeout=30_000)
    with screen.page.expect_download() as download:
        screen.page.locator("#download").click()
    assert download.value.suggested_filename == "talk-composite.mp4"
    download.value.save_as(tmp_path / "result.mp4")
    with av.open(str(tmp_path / "result.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert len(pictures) == FRAMES
    for number, picture in enumerate(pictures):
        assert np.abs(picture[90, 150] - (0, 255, 0)).max() < 20
        assert np.abs(picture[48, 40 + 2 * number] - (250, 0, 0)).max() < 30


def test_the_camera(screen):
    screen.page.locator("#camera").click()
    screen.drawn("camera")
    first = screen.look("input")
    assert np.ptp(first) > 100
    for _ in range(200):
        if not np.array_equal(screen.look("input"), first):
            break
        screen.page.wait_for_timeout(50)
    assert not np.array_equal(screen.look("input"), first)
    screen.page.locator("#camera").click()
    expect(screen.page.locator("#empty")).to_be_visible()


def test_what_cannot_be_read_is_told(screen, clip, tmp_path):
    screen.open(clip)
    (tmp_path / "notes.txt").write_text("no video")
    screen.page.set_input_files("#file", tmp_path / "notes.txt")
    alert = screen.page.get_by_role("alert")
    expect(alert).to_contain_text("Choose another file")
    assert str(tmp_path) not in alert.text_content() and "clip-" not in alert.text_content()
    alert.get_by_role("button").click()
    expect(alert).to_be_hidden()
    assert screen.complaints.pop().startswith("Failed to load resource")  # the browser's own word for the refusal


def test_nothing_moves_when_states_change(screen, clip, tmp_path):
    screen.page.evaluate(
        """() => { window.moved = []; new PerformanceObserver((list) => moved.push(...list.getEntries().map((e) => e.value)))
            .observe({type: "layout-shift", buffered: true}); }"""
    )
    screen.open(clip)
    for background in ("Colour", "Blur", "Picture", "None"):
        screen.choose(background)
    screen.page.locator("#export").click()
    expect(screen.page.locator("#export-state")).to_have_attribute("data-state", "done", timeout=30_000)
    screen.page.wait_for_timeout(100)
    assert sum(screen.page.evaluate("moved")) < 0.001


def test_a_narrow_window_shows_it_all(browser, address, clip):
    page = browser.new_page(viewport={"width": 360, "height": 640})
    Screen(page, address).open(clip)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#export").scroll_into_view_if_needed()
    expect(page.locator("#export")).to_be_in_viewport()
    page.close()


def test_a_wrong_token_and_another_page_are_refused(browser, address):
    page = browser.new_page()
    right = address.rstrip("/").rpartition("/")[2]
    assert page.goto(address.replace(right, "wrong")).status == 403
    page.goto("data:text/html,<title>another page</title>")
    tried = page.evaluate(
        """address => new Promise((resolve) => {
            const socket = new WebSocket(address);
            socket.onopen = () => resolve("open");
            socket.onclose = () => resolve("closed");
        })""",
        address.replace("http", "ws") + "live",
    )
    assert tried == "closed"
    page.close()


def test_ctrl_c_ends_it_and_leaves_nothing(start, browser, clip, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    process, address = start(folder)
    page = browser.new_page()
    screen = Screen(page, address)
    screen.open(clip)
    assert list(folder.rglob("*.mp4"))
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert not list(folder.iterdir())
    assert "Traceback" not in process.stderr.read()
    expect(page.get_by_role("alert")).to_contain_text("start vmfm studio again")
    page.close()
