"""The driver with a worker that renders nothing: what is asked for, what is left out, what happens when one dies."""

import functools
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.render import environment, files, worker
from vmfm.trainer.render import run as render_run
from vmfm.trainer.render.driver import Plan, render

WORKER = """
import json, pathlib, sys
out, behaviour = pathlib.Path(sys.argv[1]), sys.argv[2]
for line in sys.stdin:
    job = json.loads(line)
    with open(out / "asked", "a") as log:
        log.write(line)
    for view in job["views"]:
        name = f"{job['seed']:05d}{view}"
        state = "done"
        if behaviour == "dies" or behaviour == "dies once" and not (out / "died").exists():
            (out / "died").touch()
            sys.exit("out of paint")
        if behaviour == "picky" and job["seed"] % 2:
            (out / ".rejected").mkdir(exist_ok=True)
            (out / ".rejected" / name).write_text("odd")
            state = "rejected"
        elif behaviour == "fails" or behaviour == "fails at first" and job["seed"] < 5:
            state = "failed"
        else:
            (out / f"{name}.json").write_text("{}")
        print(json.dumps({"seed": job["seed"], "view": view, "state": state, "why": "Traceback\\nno paint", "seconds": 0.1}), flush=True)
    print(json.dumps({"seed": job["seed"], "end": True}), flush=True)
"""


def run(out: Path, behaviour: str = "works", workers: int = 2, **plan):
    out.mkdir(exist_ok=True)
    return list(render(Plan(out, **plan), [sys.executable, "-c", WORKER, str(out), behaviour], workers))


def asked(out: Path) -> list[tuple[int, int]]:
    jobs = [json.loads(line) for line in (out / "asked").read_text().splitlines()]
    return sorted((job["seed"], view) for job in jobs for view in job["views"])


def test_as_many_are_rendered_as_are_wanted(tmp_path):
    pictures = run(tmp_path, count=10, seed=7, views=4)
    assert sorted((p.seed, p.view) for p in pictures) == [(7, 0), (7, 1), (7, 2), (7, 3), (8, 0), (8, 1), (8, 2), (8, 3),
                                                          (9, 0), (9, 1)]  # fmt: skip
    assert len(list(tmp_path.glob("*.json"))) == 10


def test_what_is_there_is_not_rendered_again(tmp_path):
    run(tmp_path, count=5, seed=3, views=2)
    (tmp_path / "asked").unlink()
    (tmp_path / "000040.json").unlink()
    run(tmp_path, count=7, seed=3, views=2)
    assert asked(tmp_path) == [(4, 0), (5, 1), (6, 0)]
    (tmp_path / "asked").unlink()
    assert run(tmp_path, count=7, seed=3, views=2) == []


def test_rejected_scenes_are_made_up_for_and_not_tried_again(tmp_path):
    pictures = run(tmp_path, "picky", count=4, seed=0, views=1)
    assert sum(p.state == "done" for p in pictures) == 4
    (tmp_path / "asked").unlink()
    run(tmp_path, "picky", count=5, seed=0, views=1, workers=1)
    assert all(files.is_rejected(tmp_path, f"{seed:05d}0") or seed >= 7 for seed, _ in asked(tmp_path))
    assert all(seed >= 7 for seed, _ in asked(tmp_path))


def test_a_worker_that_dies_is_replaced_and_its_scene_left_for_another_run(tmp_path):
    pictures = run(tmp_path, "dies once", count=3, seed=0, views=1, workers=1)
    assert [(p.seed, p.state) for p in pictures] == [(0, "failed"), (1, "done"), (2, "done"), (3, "done")]
    assert "out of paint" in pictures[0].why


def test_workers_that_keep_dying_end_the_run(tmp_path):
    with pytest.raises(TrainerError, match="out of paint"):
        run(tmp_path, "dies", count=30, seed=0, views=1, workers=1)


def test_pictures_that_all_fail_end_the_run(tmp_path):
    with pytest.raises(TrainerError, match="12 pictures in a row failed.*: no paint"):
        run(tmp_path, "fails", count=30, seed=0, views=2)
    assert sum(p.state == "failed" for p in run(tmp_path / "some", "fails at first", count=4, seed=0, views=2)) == 10


def test_what_cannot_be_started_or_written_to_is_told(tmp_path):
    with pytest.raises(TrainerError, match="cannot start .*nothing-here.*bpy"):
        list(render(Plan(tmp_path, 1, 0), [str(tmp_path / "nothing-here")]))
    (tmp_path / "file").touch()
    with pytest.raises(TrainerError, match="cannot make the folder"):
        list(render(Plan(tmp_path / "file", 1, 0), [sys.executable]))


def test_a_run_that_ends_with_less_than_was_wanted_says_so(tmp_path, monkeypatch):
    worker = [sys.executable, "-c", WORKER, str(tmp_path), "works"]
    monkeypatch.setattr("vmfm.trainer.render.run.worker_command", lambda python, settings: worker)
    start = functools.partial(
        render_run.run, tmp_path, tmp_path, views=2, workers=1, clip=0, furniture=False, size=64, samples=4, threads=1,
        python="", console=Console(quiet=True),
    )  # fmt: skip
    assert start(count=3, seed=7) == {"done": 3}
    with pytest.raises(TrainerError, match="holds 2 of the 3 samples.*lower --seed"):
        start(count=3, seed=99_999)


def test_frames_of_a_clip_are_kept_if_it_is_to_become_the_same(tmp_path):
    frame = tmp_path / "000010" / "0000.json"
    for size, kept in ((512, True), (256, False)):
        files.begin_clip(frame.parent, {"size": 512})
        frame.touch()
        files.begin_clip(frame.parent, {"size": size})
        assert frame.exists() == kept


def test_people_of_one_scene_are_built_once_however_many_came_before(tmp_path, monkeypatch):
    """Scenes of one or two people, four views each."""
    built = []

    def scene_of(seed, view, attempt, models):
        figures = [SimpleNamespace(look=(seed, number)) for number in range(1 + (seed % 3 > 0))]
        return SimpleNamespace(figures=figures, split="train")

    monkeypatch.setattr("vmfm.trainer.render.draw.draw_scene", scene_of)
    monkeypatch.setattr("vmfm.trainer.render.person.build_person", lambda assets, look, split: built.append(look) or look)
    for part in ("makehuman/base/clothes", "textures/skins", "hdri"):
        (tmp_path / part).mkdir(parents=True)
    studio = worker._Studio(worker.Settings("out", str(tmp_path), furniture=True))
    for seed in range(9):
        for view in range(4):
            people = studio._staged(seed, view, lambda scene, people: people)
            assert people == tuple((seed, number) for number in range(len(people)))
    assert len(built) == len(set(built)) == 9 + 6


def test_half_of_a_sample_does_not_count(tmp_path):
    (tmp_path / "000000_fg.webp").touch()
    (tmp_path / "00001" / "0000").mkdir(parents=True)
    assert files.left(tmp_path, 0, 2) == (0, [0, 1])
    assert files.left(tmp_path, 0, 2, clip=True) == (0, [0, 1])
    files.write_json(tmp_path / "000001.json", {})
    assert files.left(tmp_path, 0, 2) == (1, [0])


def test_a_missing_blender_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrainerError, match="--setup"):
        environment.find_python()
    (environment.folder()).mkdir(parents=True)
    (environment.folder() / environment.WHOLE).touch()
    assert environment.find_python().startswith(str(tmp_path))
