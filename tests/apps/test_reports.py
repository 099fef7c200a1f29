"""What a run tells: to programs as JSON, to people in lines."""

import json
import os
import subprocess
import sys

import cv2
import pytest


@pytest.fixture
def many(make_video, look, tmp_path):
    """A folder of two videos, one image, and one file that is none."""
    folder = tmp_path / "many"
    folder.mkdir()
    make_video(folder / "a.mp4", pts=range(30))
    (folder / "b.mkv").write_bytes(b"no video")
    make_video(folder / "c.mov", sound="aac")
    cv2.imwrite(str(folder / "d.png"), look.draw(64, 48, 0))
    return folder


def test_json_is_an_object_a_line(vmfm, many, tmp_path, monkeypatch):
    monkeypatch.setattr("vmfm.apps.reports._PROGRESS_SECONDS", 0.0)
    status, out, err = vmfm("recomposite", "many", "-o", "o", "--background", "blur", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (1, "")
    assert [event["event"] for event in events if event["event"] != "progress"] == [
        "engine", "start", "done", "failed", "start", "done", "start", "done", "end",
    ]  # fmt: skip
    progress = [event["frame"] for event in events if event["event"] == "progress" and event["source"] == "many/a.mp4"]
    assert progress == list(range(1, 31))
    starts = {event["source"]: event for event in events if event["event"] == "start"}
    assert starts["many/a.mp4"]["frames"] == 30
    assert starts["many/c.mov"]["targets"] == ["o/c.mov"]
    (failed,) = (event for event in events if event["event"] == "failed")
    assert failed["source"] == "many/b.mkv" and "cannot be read" in failed["error"]
    assert {key: events[-1][key] for key in ("done", "skipped", "failed", "frames")} == {
        "done": 3, "skipped": 0, "failed": 1, "frames": 43,
    }  # fmt: skip


def test_json_passes_any_pipe(tiny_bundle, make_video, tmp_path):
    """Of Windows, say, whose pipes are no UTF-8."""
    source = make_video(tmp_path / "ä😀中.mp4", pts=range(2))
    command = [sys.executable, "-m", "vmfm.apps.main", "recomposite", source, "--alpha", "a", "--json", "--bundle"]
    ran = subprocess.run(
        [*command, tiny_bundle.path], cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True, check=True,
    )  # fmt: skip
    starts = [json.loads(line) for line in ran.stdout.splitlines() if b"start" in line]
    assert [event["source"] for event in starts] == [str(source)]


def test_json_of_one_that_fails(vmfm, tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    status, out, err = vmfm("recomposite", "x.mp4", "--alpha", "a.mp4", "--json")
    assert (status, [json.loads(line)["event"] for line in out.splitlines()]) == (1, ["engine", "failed"])
    assert err.startswith("vmfm: x.mp4 cannot be read")


def test_people_get_a_summary_of_several(vmfm, many):
    status, out, err = vmfm("recomposite", "many", "-o", "o", "--background", "blur")
    assert status == 1
    assert [line.split(":")[0] for line in out.splitlines()] == ["o/a.mp4", "o/c.mov", "o/d.png"]
    assert "3 done, 43 frames in 0:0" in err
    assert "1 of 4 inputs failed" in err


def test_a_result_that_cannot_be_does_not_stop_the_others(vmfm, make_video, tmp_path):
    """Sound that one of the targets cannot hold."""
    (tmp_path / "many").mkdir()
    make_video(tmp_path / "many" / "a.webm", codec="libvpx-vp9", sound="libopus")
    make_video(tmp_path / "many" / "b.mov", sound="pcm_s16le")
    options = ["--codec", "h264", "--background", "blur"]
    status, out, err = vmfm("recomposite", "many", "-o", "o", *options)
    assert status == 1
    assert "b.mov: 12 frames" in out
    assert ".webm files hold no h264 here" in err
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["b.mov"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_results_go_to_the_file_that_stdout_is_though_bars_move_on_the_screen():
    screen, end = os.openpty()
    code = "from vmfm.apps.reports import Lines\nwith Lines().shown(): print('result')"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, stderr=end, text=True)
    os.close(end)
    os.close(screen)
    assert done.stdout == "result\n"
