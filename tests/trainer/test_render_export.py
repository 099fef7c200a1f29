"""Passes in, samples out; no renderer is needed for either."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from vmfm.trainer.render.catalogue import by_name
from vmfm.trainer.render.draw import draw_scene
from vmfm.trainer.render.export import (
    Rejected,
    bled,
    check,
    graded,
    inverse_depth,
    layers_of,
    make_sample,
    to_srgb,
    write_sample,
)
from vmfm.trainer.render.framing import Camera
from vmfm.trainer.render.passes import Passes, decode, murmur3, object_id
from vmfm.trainer.render.scene import Grade
from vmfm.trainer.render.stage import Item, Staged

SIZE = 64
PERSON, CUP = "p0.body", "o0.0.shape:mug"


def coverage() -> tuple[np.ndarray, np.ndarray]:
    """A disc with a soft rim, and a cup beside it that hides a part of it."""
    y, x = np.mgrid[:SIZE, :SIZE]
    person = np.clip(20 - np.hypot(x - 30, y - 34), 0, 1).astype(np.float32)
    cup = np.zeros_like(person)
    cup[30:40, 44:54] = 1
    return person * (1 - cup), cup


def channels() -> dict[str, np.ndarray]:
    """As Cycles would write them: ids with their coverage, the larger first."""
    person, cup = coverage()
    alpha = person + cup
    first = np.where(person >= cup, object_id(PERSON), object_id(CUP)).astype(np.float32)
    second = np.where(person >= cup, object_id(CUP), object_id(PERSON)).astype(np.float32)
    layers = {f"ViewLayer.Combined.{c}": alpha * value for c, value in zip("RGB", (0.4, 0.3, 0.2))}
    return layers | {
        "ViewLayer.Combined.A": alpha,
        "ViewLayer.Depth.Z": np.where(alpha > 0.5, np.where(cup > 0, 1.0, 2.0), 1e10).astype(np.float32),
        "ViewLayer.CryptoObject00.R": first,
        "ViewLayer.CryptoObject00.G": np.maximum(person, cup),
        "ViewLayer.CryptoObject00.B": second,
        "ViewLayer.CryptoObject00.A": np.minimum(person, cup),
    }


@pytest.fixture
def passes() -> Passes:
    return decode(channels(), [PERSON, CUP])


@pytest.fixture
def staged() -> Staged:
    items = (Item(PERSON, 0, None, None, None), Item(CUP, 0, by_name()["shape:mug"], None, None))
    camera = Camera(np.array((0, -2.0, 1)), np.array(((1.0, 0, 0), (0, 0, 1), (0, -1, 0))).T, 50.0)
    person = SimpleNamespace(facts={"gender": "female"})
    return Staged(draw_scene(42, 3), items, camera, np.array([[0, 0, 1.0]]), np.zeros(3), (person,), False)  # type: ignore[arg-type]


def test_cryptomatte_names_hash_as_published():
    assert murmur3("") == 0
    assert murmur3("hello") == 0x248BFA47
    assert murmur3("hello, world") == 0x149BBB7F


def test_coverage_comes_back(passes):
    person, cup = coverage()
    np.testing.assert_allclose(passes.coverage[PERSON], person)
    np.testing.assert_allclose(passes.coverage[CUP], cup)


def test_people_and_objects_make_alpha(passes, staged):
    layers = layers_of(passes, staged)
    np.testing.assert_allclose(layers.total, passes.alpha, atol=1e-6)
    assert check(passes, layers, set())["mean_abs"] < 1e-6


def test_pictures_that_teach_wrong_are_rejected(passes, staged):
    layers = layers_of(passes, staged)
    hidden = Passes(passes.color, passes.alpha, passes.depth, passes.coverage | {CUP: 0 * passes.alpha})
    with pytest.raises(Rejected, match="miss alpha"):
        check(hidden, layers_of(hidden, staged), set())
    tiny = 0 * passes.alpha
    alone = Passes(passes.color, coverage()[0], passes.depth, passes.coverage | {CUP: tiny})
    with pytest.raises(Rejected, match="hardly seen"):
        check(alone, layers_of(alone, staged), set())
    check(alone, layers_of(alone, staged), {CUP})
    nobody = Passes(passes.color, coverage()[1], passes.depth, {PERSON: tiny, CUP: coverage()[1]})
    with pytest.raises(Rejected, match="people fill"):
        check(nobody, layers_of(nobody, staged), set())
    assert layers.people[0].max() == 1


def test_colour_is_not_premultiplied(passes):
    rgb, white = graded(passes, Grade(0.5, 90, (1, 1, 1)))
    inside = (passes.alpha > 0.05) & (coverage()[1] == 0)
    assert np.ptp(rgb[inside], axis=0).max() < 1e-5
    assert graded(passes, Grade(0.5, 90, (1, 1, 1)), white)[1] == white
    assert to_srgb(np.array([0.0, 1.0])).tolist() == pytest.approx([0, 1])


def test_colour_goes_on_beyond_the_matte_and_then_stops(passes):
    rgb, _ = graded(passes, Grade(0.5, 90, (1, 1, 1)))
    picture = bled(rgb, passes.alpha)
    rim = cv2.dilate((passes.alpha > 0.003).astype(np.uint8), np.ones((5, 5))) > 0
    rim &= passes.alpha <= 0.003
    assert (picture[rim].max(-1) > 40).all()
    assert picture[0, 0].tolist() == [0, 0, 0]


def test_depth_is_linear_in_its_inverse(passes):
    alpha = (passes.alpha * 255 + 0.5).astype(np.uint8)
    coded, near, far = inverse_depth(passes, alpha)
    assert (
        coded.shape == (SIZE // 2, SIZE // 2)
        and near == pytest.approx(1, abs=0.01)
        and far == pytest.approx(2, abs=0.01)
    )
    assert coded[17, 24] == 255 and coded[17, 12] == 1 and coded[0, 0] == 0


def test_a_sample_is_what_the_reader_of_training_data_wants(passes, staged, tmp_path):
    pytest.importorskip("PIL")
    from vmfm.trainer.data.folders import samples

    credits = {"shape:mug": {"file": "procedural/mug", "label": "mug", "creator": "generated", "licence": "CC0 1.0"}}
    sample = make_sample(passes, staged, credits, {"hdri": "city.exr", "extra": []})
    write_sample(sample, tmp_path / staged.scene.name)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000423.json", "000423_depth.png", "000423_fg.webp", "000423_person.png",
    ]  # fmt: skip
    facts = json.loads((tmp_path / "000423.json").read_text())
    assert facts["objects"][0]["bbox"] == [44, 30, 54, 40] and facts["objects"][0]["cls"] == "mug"
    assert facts["split"] == "train" and facts["contacts"] == [[32.0, 32.0, True]]
    (read,) = samples("rendered", tmp_path)
    person, cup = coverage()
    np.testing.assert_array_equal(read.alpha, ((person + cup) * 255 + 0.5).astype(np.uint8))
    np.testing.assert_array_equal(read.person, (person * 255 + 0.5).astype(np.uint8))
    assert len(read.points) == 1
