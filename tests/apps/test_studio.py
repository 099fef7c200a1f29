"""The studio's server, without a browser: who gets in, what comes in, and what one tab is told."""

import json
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.concurrency import run_in_threadpool
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from vmfm.apps.studio import uploads, web
from vmfm.apps.studio.uploads import safe_name

HOST, TOKEN = "127.0.0.1:8000", "right"
OWN = {"origin": f"http://{HOST}"}


class Page:
    """What a browser's page does, by hand."""

    def __init__(self, client, socket):
        self._client, self._socket = client, socket
        self.pictures = 0
        self.hello = self.hear("hello")

    def say(self, do, **more):
        self._socket.send_json({"do": do, **more})

    def send_shot(self, jpeg):
        self._socket.send_bytes(jpeg)

    def hear(self, kind):
        """The next event of a kind."""
        while True:
            message = self.receive()
            if isinstance(message, dict) and message["type"] == kind:
                return message

    def see(self, wanted=lambda facts: "composite" in facts["pictures"]):
        """The facts of the next picture that is wanted, and its views by name under "pictures"."""
        while True:
            message = self.receive()
            if isinstance(message, bytes):
                self.say("shown")
                facts = unpack(message)
                if wanted(facts):
                    return facts

    def bring(self, path, role="clip", name=None):
        """Hands in a file; returns what was answered."""
        return self._client.post(
            f"/{TOKEN}/tabs/{self.hello['tab']}/{role}", params={"name": name or path.name}, content=path.read_bytes()
        )

    def get(self, path):
        return self._client.get(f"/{TOKEN}/tabs/{self.hello['tab']}/{path}")

    def export(self, kind):
        """How it ended."""
        self.say("export", kind=kind)
        while (event := self.hear("export"))["state"] == "running":
            pass
        return event

    def receive(self):
        message = self._socket.receive()
        if message["type"] == "websocket.close":
            raise WebSocketDisconnect(message["code"])
        if "bytes" not in message:
            return json.loads(message["text"])
        self.pictures += 1
        return message["bytes"]


def unpack(message):
    (length,) = struct.unpack(">I", message[:4])
    facts, at = json.loads(message[4 : 4 + length]), 4 + length
    facts["pictures"] = {}
    facts["number"] = round(facts["seconds"] * 24)
    for view, size in facts["views"]:
        facts["pictures"][view] = cv2.imdecode(np.frombuffer(message[at : at + size], np.uint8), cv2.IMREAD_COLOR)[
            ..., ::-1
        ]
        at += size
    assert at == len(message)
    return facts


@pytest.fixture
def studio(tiny_bundle, tmp_path):
    folder = tmp_path / "studio"
    folder.mkdir()
    return web.Studio(tiny_bundle, "cpu", folder)


@pytest.fixture
def client(studio):
    app = web.build_app(studio, TOKEN, [HOST])
    with TestClient(app, base_url=f"http://{HOST}") as client:
        yield client


@pytest.fixture
def open_page(client):
    @contextmanager
    def opened():
        with client.websocket_connect(f"ws://{HOST}/{TOKEN}/live", headers=OWN) as socket:
            yield Page(client, socket)

    return opened


@pytest.fixture
def page(open_page):
    with open_page() as page:
        yield page


@pytest.fixture
def clip(make_video, tmp_path):
    return make_video(tmp_path / "in – ü.mp4", size=(160, 96))


class TestWhatComesIn:
    def test_a_clip_is_shown_from_four_sides(self, page, clip):
        assert page.bring(clip).json() == {}
        told = page.hear("clip")
        assert (told["name"], told["width"], told["height"], told["fps"]) == ("in _ ü.mp4", 160, 96, 24)
        assert told["seconds"] == pytest.approx(0.5)
        facts = page.see()
        shown = facts["pictures"]
        assert all(picture.shape == (96, 160, 3) for picture in shown.values())
        inside, outside = (48, 40), (90, 150)
        assert np.abs(shown["input"][inside].astype(int) - (250, 0, 0)).max() < 30
        assert np.abs(shown["composite"][inside].astype(int) - (250, 0, 0)).max() < 30
        assert shown["alpha"][inside].min() > 220 and shown["alpha"][outside].max() < 30
        assert np.ptp(shown["composite"][outside]) < 8  # a grey of the checkerboard
        assert shown["deviation"].max() > 100

    def test_the_input_comes_before_the_nets_are_ready(self, page, clip):
        page.bring(clip)
        assert list(page.see(lambda facts: True)["pictures"]) == ["input"]
        page.see()
        page.say("step", by=1)
        assert len(page.see(lambda facts: True)["pictures"]) == 4

    @pytest.mark.parametrize(("role", "content"), [("clip", b"no video"), ("clip", b""), ("background", b"no picture")])
    def test_what_cannot_be_read_is_told_and_what_there_was_stays(self, page, clip, tmp_path, role, content):
        page.bring(clip)
        page.see()
        (tmp_path / "bad.png").write_bytes(content)
        answer = page.bring(tmp_path / "bad.png", role)
        assert answer.status_code == 422
        assert answer.json()["problem"].startswith("bad.png ") and "Choose another" in answer.json()["problem"]
        page.say("step", by=1)
        assert page.see()["number"] == 1

    def test_what_is_too_large_is_told_and_not_kept(self, page, studio, clip, monkeypatch):
        monkeypatch.setattr(uploads, "LIMIT_BYTES", 1000)
        answer = page.bring(clip)
        assert answer.status_code == 422 and "more than the" in answer.json()["problem"]
        assert not [path for path in studio.folder.rglob("*") if path.is_file()]

    def test_a_clip_takes_the_place_of_the_one_before(self, page, studio, make_video, clip, tmp_path):
        for number in range(3):
            page.bring(make_video(tmp_path / f"clip{number}.mp4", size=(64 + 32 * number, 48)))
            assert page.see()["pictures"]["input"].shape[1] == 64 + 32 * number
        assert len(list(studio.folder.rglob("*.mp4"))) == 2  # the last one, and the one that was shown when it came

    def test_files_may_come_in_at_once(self, page, make_video, clip, tmp_path, monkeypatch):
        """A background is brought while a large clip is still arriving."""
        backdrop, receive = make_video(tmp_path / "backdrop.mp4"), web.receive

        async def halting(chunks):
            async for chunk in chunks:
                yield chunk
                arriving.set()
                await run_in_threadpool(brought.wait, 30)

        async def slow(chunks, path):
            await receive(halting(chunks) if path.parent.name.startswith("clip") else chunks, path)

        arriving, brought = threading.Event(), threading.Event()
        monkeypatch.setattr(web, "receive", slow)
        with ThreadPoolExecutor(1) as pool:
            slow_one = pool.submit(page.bring, clip)
            assert arriving.wait(30)
            assert page.bring(backdrop, "background").status_code == 200
            brought.set()
            assert slow_one.result().status_code == 200
        assert "composite" in page.see()["pictures"]

    def test_files_vanish_with_the_page(self, open_page, studio, clip):
        with open_page() as page:
            page.bring(clip)
            page.see()
            assert list(studio.folder.rglob("*.mp4"))
        deadline = time.monotonic() + 20
        while list(studio.folder.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    @pytest.mark.parametrize("path", ["tabs/nobody/clip", "tabs/nobody/results/a.mp4"])
    def test_there_is_nothing_for_a_tab_that_is_not_open(self, client, path):
        ask = client.post if path.endswith("clip") else client.get
        assert ask(f"/{TOKEN}/{path}").status_code == 404

    @pytest.mark.parametrize("name", ["nothing.mp4", "..%2f..%2fsecret.txt", "%2e%2e", "..%5csecret.txt"])
    def test_only_results_go_out(self, page, studio, name):
        (studio.folder / "secret.txt").write_text("secret")
        assert page.get(f"results/{name}").status_code == 404

    @given(st.text(max_size=300))
    def test_a_name_cannot_mean_anything_but_a_file(self, name):
        safe = safe_name(name)
        assert 0 < len(safe) <= 80
        assert safe[0] not in ". " and safe[-1] not in ". "
        assert not set(safe) & set('/\\:*?"<>|\0\n')
        assert safe_name(safe) == safe


class TestWhatIsShown:
    def test_so_many_tabs_and_no_more(self, open_page, client, monkeypatch):
        monkeypatch.setattr(web, "MOST_TABS", 2)
        with open_page() as first:
            with open_page():
                with client.websocket_connect(f"ws://{HOST}/{TOKEN}/live", headers=OWN) as third:
                    assert "close one" in third.receive_json()["text"]
                first.say("nonsense")
                assert first.hear("problem")
            with open_page() as another:
                assert another.hello["tab"] != first.hello["tab"]

    def test_each_background(self, page, clip, tmp_path):
        page.bring(clip)
        seen = page.see()["pictures"]["composite"]
        cv2.imwrite(str(tmp_path / "still.png"), np.full((9, 5, 3), (30, 200, 90), np.uint8))
        for text in ("#0000ff", "blur:4"):
            page.say("background", text=text)
            page.see()
        page.say("background", text="#00ff00")
        assert np.abs(page.see()["pictures"]["composite"][90, 150].astype(int) - (0, 255, 0)).max() < 12
        page.bring(tmp_path / "still.png", "background")
        assert np.abs(page.see()["pictures"]["composite"][90, 150].astype(int) - (90, 200, 30)).max() < 12
        page.say("background", text="transparent")
        assert np.array_equal(page.see()["pictures"]["composite"], seen)

    @pytest.mark.parametrize("text", ["/etc/passwd", "beach.jpg", "uploaded", ""])
    def test_no_file_of_this_computer_is_a_background(self, page, clip, text):
        page.bring(clip)
        page.see()
        page.say("background", text=text)
        assert "is not understood" in page.hear("problem")["text"]

    @pytest.mark.parametrize("text", ["#12", "blur:much"])
    def test_a_background_that_means_nothing_is_told(self, page, clip, text):
        page.bring(clip)
        page.see()
        page.say("background", text=text)
        assert text in page.hear("problem")["text"]
        page.say("background", text="#ff0000")
        assert page.see()["pictures"]["composite"][90, 150, 0] > 240

    def test_the_nets_take_what_is_chosen(self, page, clip):
        page.bring(clip)
        assert (page.see()["patches"], page.hello["patches"]) == (None, 8)
        page.say("choose", patches=0, steady=False, detail="fast")
        facts = page.see(lambda facts: facts["patches"] == 0 and len(facts["pictures"]) == 4)
        assert facts["steady"] is False

    def test_only_the_views_that_are_looked_at_are_made_as_wide_as_they_are_seen(self, page, make_video, tmp_path):
        page.bring(make_video(tmp_path / "wide.mp4", size=(640, 96)))
        page.see()
        page.say("look", views=["alpha", "anything"], width=320)
        shown = page.see(lambda facts: True)["pictures"]
        assert {view: picture.shape[1] for view, picture in shown.items()} == {"alpha": 320}

    def test_playing_shows_every_frame_once_and_stops_at_the_end(self, page, clip):
        page.bring(clip)
        page.see()
        page.say("play")
        assert [page.see()["number"] for _ in range(11)] == list(range(1, 12))
        assert page.hear("playing")["on"] is False
        page.say("play")  # from the start again
        assert page.see(lambda facts: facts["number"] != 11)["number"] == 0

    def test_nothing_queues_up_for_a_page_that_is_slow(self, page, clip):
        page.bring(clip)
        page.say("play")
        while page.pictures < 2:
            page.receive()
        time.sleep(0.3)  # for more frames of the clip than these
        page.say("nonsense")
        page.hear("problem")
        assert page.pictures == 2

    def test_seeking_and_stepping(self, page, clip):
        page.bring(clip)
        page.see()
        for act, index in [
            ({"do": "seek", "seconds": 0.3}, 7),
            ({"do": "step", "by": 1}, 8),
            ({"do": "step", "by": -1}, 7),
            ({"do": "seek", "seconds": 1e9}, 11),
            ({"do": "seek", "seconds": -5}, 0),
            ({"do": "step", "by": -1}, 0),
        ]:
            page.say(**act)
            assert page.see()["number"] == index

    def test_an_image_is_a_source_too(self, page, look, tmp_path):
        cv2.imwrite(str(tmp_path / "photo.png"), look.draw(160, 96, 0)[..., ::-1])
        page.bring(tmp_path / "photo.png")
        assert page.hear("clip")["seconds"] == 0
        assert page.see()["pictures"]["alpha"][48, 40].min() > 220
        done = page.export("cutout.png")
        rgba = cv2.imdecode(np.frombuffer(page.get(f"results/{done['name']}").content, np.uint8), cv2.IMREAD_UNCHANGED)
        assert rgba.shape == (96, 160, 4)

    def test_the_camera(self, page, look):
        page.say("camera", on=True)
        for number in (0, 20):
            shot = cv2.imencode(".jpg", look.draw(160, 96, number)[..., ::-1])[1].tobytes()
            page.send_shot(shot)
            shown = page.see(lambda facts: facts["camera"] and "alpha" in facts["pictures"])["pictures"]
            assert shown["alpha"][48, 40 + 2 * number].min() > 220
        at = shot.index(b"\xff\xc0") + 5  # where it tells its height and width
        for bad in (b"no jpeg", b"", shot[:at] + b"\xff\xdc" * 2 + shot[at + 4 :]):
            page.send_shot(bad)
            assert "JPEG" in page.hear("problem")["text"]
        page.send_shot(shot)
        assert page.see()["pictures"]["alpha"].shape == (96, 160, 3)

    def test_tabs_do_not_meddle_with_each_other(self, open_page, page, clip):
        page.bring(clip)
        page.see()
        with open_page() as other:
            other.bring(clip)
            other.say("background", text="#ff0000")
            other.see()
        page.say("background", text="#0000ff")
        assert page.see()["pictures"]["composite"][90, 150, 2] > 240

    @pytest.mark.parametrize(
        "message", ["[", "[]", '{"do": "fly"}', '{"do": "seek", "seconds": "x"}', '{"do": "step", "by": 9}']
    )
    def test_what_is_not_understood_is_told(self, page, message):
        page._socket.send_text(message)
        assert page.hear("problem")["text"]


class TestExport:
    @pytest.mark.parametrize(
        ("kind", "background", "frames"),
        [("composite.mp4", "#00ff00", 12), ("cutout.mov", "transparent", 12), ("alpha.mp4", "blur", 12)],
    )
    def test_the_whole_clip_with_what_is_chosen(self, page, clip, tmp_path, kind, background, frames):
        page.bring(clip)
        page.say("background", text=background)
        done = page.export(kind)
        assert (done["state"], done["done"]) == ("done", frames)
        answer = page.get(f"results/{done['name']}")
        assert "attachment" in answer.headers["content-disposition"]
        assert len(answer.content) == done["bytes"]
        result = tmp_path / done["name"]
        result.write_bytes(answer.content)
        with av.open(str(result)) as container:
            pictures = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
        assert len(pictures) == frames
        corner = pictures[-1][90, 150].astype(int)
        if kind.startswith("composite"):
            assert np.abs(corner[:3] - (0, 255, 0)).max() < 20
        else:
            assert (corner[3] if kind.startswith("cutout") else corner[0]) < 20

    def test_a_long_name_is_no_obstacle(self, page, clip):
        long = clip.with_name(f"{'long ' * 20}.mp4")
        long.write_bytes(clip.read_bytes())
        page.bring(long)
        done = page.export("alpha.mp4")
        assert len(page.get(f"results/{done['name']}").content) == done["bytes"]

    def test_sound_that_the_result_cannot_hold_is_left_out_and_that_is_told(self, page, make_video, tmp_path):
        page.bring(make_video(tmp_path / "loud.mp4", sound="aac"))
        page.say("background", text="#00ff00")
        done = page.export("composite.webm")
        assert done["state"] == "done" and "without the clip's sound" in done["text"]

    def test_nothing_is_left_of_one_that_is_cancelled(self, page, studio, make_video, tmp_path):
        page.bring(make_video(tmp_path / "long.mp4", size=(320, 240), pts=range(600)))
        page.see()
        page.say("export", kind="alpha.mp4")
        while page.hear("export")["done"] < 2:
            pass
        page.say("export", kind="alpha.mp4")
        assert "an export is running" in page.hear("problem")["text"]
        page.say("cancel")
        while (event := page.hear("export"))["state"] == "running":
            pass
        assert event["state"] == "cancelled"
        assert not list(studio.folder.rglob("*alpha*"))
        assert page.export("deviation.mp4")["state"] in ("done", "failed")

    def test_one_that_fails_is_told(self, page, clip, monkeypatch):
        page.bring(clip)
        page.see()
        page.say("export", kind="composite.png")
        assert "choose another kind" in page.hear("problem")["text"]
        page.say("export", kind="../../x.mp4")
        assert "choose another kind" in page.hear("problem")["text"]

    def test_there_has_to_be_a_clip(self, page):
        page.say("export", kind="composite.mp4")
        assert "drop one first" in page.hear("problem")["text"]
