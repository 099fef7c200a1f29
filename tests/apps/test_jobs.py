from pathlib import Path

import pytest
from vmfm.apps.jobs import Targets, plan_jobs
from vmfm.apps.media.errors import ReadError, WriteError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with in.mp4, in.png and a folder `many` of both kinds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "many").mkdir()
    for name in ("in.mp4", "in.png", "many/b.avi", "many/a.jpg", "many/notes.txt", "many/.hidden.mp4"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def plan(*inputs, **targets):
    return [
        tuple(path and str(path) for path in (job.source, job.out, job.alpha, job.deviation))
        for job in plan_jobs(map(Path, inputs), Targets(**targets))
    ]


@pytest.mark.parametrize(
    ("source", "targets", "planned"),
    [
        ("in.mp4", {"out": "o.mkv"}, ("o.mkv", None, None)),
        ("in.mp4", {"out": "o/"}, ("o/in.mp4", None, None)),
        ("in.mp4", {"out": "many"}, ("many/in.mp4", None, None)),
        ("in.mp4", {"out": "o.webm", "transparent": True}, ("o.webm", None, None)),
        ("in.mp4", {"out": "o/", "transparent": True}, ("o/in.mov", None, None)),
        ("in.mp4", {"alpha": "a/", "deviation": "d.mp4"}, (None, "a", "d.mp4")),
        ("in.mp4", {"alpha": "a"}, (None, "a", None)),
        ("in.png", {"out": "o.jpg", "alpha": "a/"}, ("o.jpg", "a/in.png", None)),
        ("in.png", {"alpha": "a.png", "deviation": "d"}, (None, "a.png", "d/in.png")),
    ],
)
def test_one_source(here, source, targets, planned):
    assert plan(source, **targets) == [(source, *planned)]


def test_a_folder_gives_one_result_per_source(here):
    assert plan("many", out="o", alpha="a", deviation="d.mp4") == [
        ("many/a.jpg", "o/a.jpg", "a/a.png", "d.mp4/a.png"),
        ("many/b.avi", "o/b.mp4", "a/b", "d.mp4/b"),
    ]


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "words"),
    [
        (["gone.mp4"], {"out": "o.mp4"}, ReadError, "gone.mp4 does not exist"),
        (["empty"], {"out": "o"}, ReadError, "holds no video"),
        (["in.mp4"], {"out": "o.xyz"}, WriteError, "o.xyz cannot hold the video.*\\.mp4"),
        (["in.mp4"], {"out": "o.png"}, WriteError, "cannot hold the video"),
        (["in.png"], {"out": "o.mp4"}, WriteError, "cannot hold the image"),
        (["in.mp4"], {"out": "o.mp4", "transparent": True}, WriteError, "no --background"),
        (["in.png"], {"out": "o.jpg", "transparent": True}, WriteError, "no --background"),
        (["in.mp4"], {"alpha": "a.avi"}, WriteError, "cannot hold the mattes"),
        (["in.mp4"], {"out": "in.mp4", "overwrite": True}, WriteError, "is an input too"),
        (["in.mp4"], {"out": "./many/../in.mp4"}, WriteError, "is an input too"),
        (["in.mp4", "many/../in.mp4"], {"out": "o"}, WriteError, "written twice"),
        (["in.mp4"], {"out": "o.mp4", "alpha": "o.mp4"}, WriteError, "written twice"),
        (["in.mp4"], {"alpha": "many"}, WriteError, "exists.*--overwrite"),
        (["in.png"], {"out": "there.png"}, WriteError, "exists.*--overwrite"),
        (["in.mp4"], {"out": "in.png/o.mp4"}, WriteError, "in.png is a file"),
        (["in.mp4"], {"out": "folder.mp4/", "alpha": "folder.mp4/in.mp4", "overwrite": True}, WriteError, "twice"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(here, inputs, targets, error, words):
    (here / "empty").mkdir()
    (here / "there.png").write_bytes(b"x")
    with pytest.raises(error, match=words):
        plan(*inputs, **targets)


def test_overwrite_allows_what_exists(here):
    (here / "o.mp4").write_bytes(b"x")
    assert plan("in.mp4", out="o.mp4", alpha="many", overwrite=True) == [("in.mp4", "o.mp4", "many", None)]


def test_an_empty_folder_is_a_fine_place_for_mattes(here):
    (here / "mattes").mkdir()
    assert plan("in.mp4", alpha="mattes") == [("in.mp4", None, "mattes", None)]


def test_a_folder_that_was_half_filled_is_gone_on_with(here):
    """Its checkpoints lie beside it, where it was not yet there when they were made."""
    (job,) = plan_jobs([Path("in.mp4")], Targets(alpha="mattes/"))
    job.checkpoints.mkdir()
    Path("mattes").mkdir()
    Path("mattes/000000.png").touch()
    assert job.was_begun and not job.is_there
