"""The driver with a worker that renders nothing: what is asked for, what is left out, what happens when one dies."""

import json
import sys
from pathlib import Path

import pytest
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.render import environment, files
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
        else:
            (out / f"{name}.json").write_text("{}")
        print(json.dumps({"seed": job["seed"], "view": view, "state": state, "why": "", "seconds": 0.1}), flush=True)
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
