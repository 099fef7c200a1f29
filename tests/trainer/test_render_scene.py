"""Scenes are values: drawn from seeds alone, the same everywhere, and together they cover what the paper lists."""

from collections import Counter

import numpy as np
import pytest
from vmfm.trainer.render.actions import ACTIONS, EXPRESSIVE, FREE_HAND, GESTURES, USUAL_HOLD
from vmfm.trainer.render.catalogue import SHAPES, by_name, library, things_for
from vmfm.trainer.render.draw import draw_look, draw_scene, fitting
from vmfm.trainer.render.holds import AT_THE_HEAD, HOLDS, WORN
from vmfm.trainer.render.library import make_prop
from vmfm.trainer.render.mesh import surface_points
from vmfm.trainer.render.scene import split_of
from vmfm.trainer.render.stances import STANCES

# Interaction classes of Table 9 of the paper, by what the catalogue calls their things. Not drawn: motorcycles and
# bicycles to ride, beds and hammocks to lie on.
TABLE_9 = [
    "handbag",
    "backpack",
    "umbrella",
    "box",
    "suitcase",
    "ball",
    "frisbee",
    "hair_dryer",
    "scissors",
    "knife",
    "fork",
    "wine_glass",
    "cup",
    "bowl",
    "hot_dog",
    "sandwich",
    "banana",
    "fruit",
    "cake",
    "carrot",
    "pizza",
    "donut",
    "pen",
    "tablet",
    "flowers",
    "phone",
    "bottle",
    "flute",
    "hand_fan",
    "racket",
    "baseball_bat",
    "snowboard",
    "skateboard",
    "skis",
    "surfboard",
    "bench",
    "couch",
    "chair",
    "book",
    "laptop",
]


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(seed, seed % 4) for seed in range(1500)]


def test_a_seed_gives_the_same_scene_again():
    for seed, view, attempt in ((0, 0, 0), (17, 3, 2), (99_999, 9, 5)):
        assert draw_scene(seed, view, attempt) == draw_scene(seed, view, attempt)


def test_views_and_attempts_differ_but_share_the_people():
    first, second, again = draw_scene(5, 0), draw_scene(5, 1), draw_scene(5, 0, 1)
    assert first != second and first != again
    assert first.figures[0].look == second.figures[0].look == again.figures[0].look == draw_look(5)


def test_a_scene_is_the_same_in_every_process():
    """Pinned, because hash-seeded randomness would pass every other test."""
    assert draw_scene(7, 0).name == "000070"
    assert (draw_look(3).gender, draw_look(3).race) == ("male", "asian")


def test_everything_in_the_paper_is_shown(scenes):
    seen = Counter(by_name()[use.thing].cls for scene in scenes for figure in scene.figures for use in figure.uses)
    assert [cls for cls in TABLE_9 if not seen[cls]] == []
    actions = Counter(scene.figures[0].action for scene in scenes)
    assert set(actions) == {action.name for action in ACTIONS}


def test_procedural_things_alone_are_enough():
    for seed in range(200):
        scene = draw_scene(seed, available=())
        assert all(use.thing.startswith("shape:") for figure in scene.figures for use in figure.uses)


def test_people_sit_before_webcams_and_some_have_company(scenes):
    webcam = [scene for scene in scenes if scene.shot.framing == "webcam"]
    assert 0.35 < len(webcam) / len(scenes) < 0.65
    assert 0.2 < np.mean([scene.figures[0].stance == "sit" for scene in webcam]) < 0.6
    assert 0.06 < np.mean([len(scene.figures) == 2 for scene in scenes]) < 0.2


def test_train_scenes_show_nothing_that_is_held_out(scenes):
    held_out = {thing.name for thing in library() if thing.held_out}
    assert held_out
    for scene in scenes:
        assert scene.split == split_of(scene.seed) == ("dev" if scene.seed % 10 == 1 else "train")
        used = {use.thing for figure in scene.figures for use in figure.uses}
        if scene.split == "train":
            assert not used & held_out


def test_every_name_in_the_tables_exists():
    grips = {thing.grip for thing in by_name().values()}
    classes = {thing.cls for thing in by_name().values()}
    for action in ACTIONS:
        assert set(action.holds) <= HOLDS.keys() and set(action.stances) <= STANCES.keys()
        for wanted in action.things:
            assert wanted.removeprefix("grip:") in (grips if wanted.startswith("grip:") else classes), wanted
        if action.things and not action.holds:
            for split in ("train", "dev"):
                assert {thing.grip for thing in fitting(action, things_for(split))} <= USUAL_HOLD.keys()
    assert set(USUAL_HOLD.values()) <= HOLDS.keys()
    assert AT_THE_HEAD <= HOLDS.keys() and WORN - {"seat"} <= HOLDS.keys()
    assert set(FREE_HAND) | set(EXPRESSIVE) >= {"relax", "reach", "face"} and "crossed" in GESTURES


@pytest.mark.parametrize("thing", SHAPES, ids=lambda thing: thing.name)
def test_procedural_things_are_sound(thing):
    from random import Random

    for seed in range(4):
        prop = make_prop(thing, None, Random(seed))  # type: ignore[arg-type] # shapes need no assets
        mesh = prop.mesh
        assert mesh.counts.sum() == len(mesh.corners) and mesh.counts.min() >= 3
        assert mesh.corners.max() < len(mesh.vertices) and mesh.slots.max() < len(mesh.materials)
        assert np.isfinite(mesh.vertices).all() and 0.05 < mesh.size.max() < 2.7
        if thing.grip not in ("seat", "ears", "backpack", "lap", "flat", "phone", "box"):
            points = surface_points(mesh, mesh.vertices)
            gap = np.linalg.norm(points - prop.grips[0], axis=1).min()
            assert gap < max(0.045, prop.radius * 1.2), f"{thing.name}: nothing to hold at its grip ({gap:.3f} m off)"
        for material in mesh.materials:
            assert all(0 <= value <= 1 for value in material.color)
