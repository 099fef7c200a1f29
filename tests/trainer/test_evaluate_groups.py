"""Scores by group of people, on renders that say who is in them."""

import json

import cv2
import numpy as np
import pytest
from vmfm.apps.main import run
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.evaluate import evaluate
from vmfm.trainer.evaluate_groups import group, table
from vmfm.trainer.evaluate_scores import Scored
from vmfm.trainer.evaluate_sets import list_cases

SIZE = 32
LOOKS = {  # scene: its person
    1: {"skin": "old_darkskinned_female_diffuse.png", "hair": "afro", "wear": [], "gender": "female", "age": "old"},
    11: {"skin": "young_lightskinned_male_diffuse3.png", "hair": "mesh", "wear": ["shoes01", "bob02"], "gender": "male", "age": 0.3},
    21: {"skin": "young_lightskinned_male_diffuse2.png", "hair": "bald", "gender": "male", "age": "young"},
}  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """Two views of each scene, a square person of 100 px."""
    root = tmp_path / "data"
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    alpha[10:20, 10:20] = 255
    (root / "real" / "backgrounds").mkdir(parents=True)
    (root / "rendered" / "train").mkdir(parents=True)
    assert cv2.imwrite(str(root / "real" / "backgrounds" / "a.jpg"), np.zeros((SIZE, SIZE, 3), np.uint8))
    for scene, person in LOOKS.items():
        for view in (0, 1):
            stem = root / "rendered" / "train" / f"{scene:05}{view}"
            assert cv2.imwrite(f"{stem}_fg.webp", np.dstack([alpha] * 4))
            assert cv2.imwrite(f"{stem}_person.png", alpha)
            facts = {"person": {"race": "asian", **person}, "alpha_area_px": 100}
            stem.with_suffix(".json").write_text(json.dumps(facts))
    return root


def scored(data, sad_of):
    return [Scored(case.dataset, case.name, {"sad": sad_of(case.name)}) for case in list_cases(data)]


def test_groups_and_their_means(data):
    groups = group(scored(data, lambda name: float(name[:-1])), list_cases(data), ["skin", "hair"])
    assert [(g.by, g.name, g.scenes, g.cases) for g in groups] == [
        ("skin", "dark", 1, 2),
        ("skin", "light", 2, 4),
        ("hair", "bald", 1, 2),
        ("hair", "curly", 1, 2),
        ("hair", "long", 1, 2),  # a mesh is known by what is worn
    ]
    dark, light = (g.means["sad"] for g in groups[:2])
    assert (dark.value, dark.low, dark.high) == (1, 1, 1)
    assert (light.value, light.low, light.high) == (16, 11, 21)  # 11 and 21, whichever scenes are drawn
    assert groups[0].means["sad_share"].value == pytest.approx(1000)  # SAD is in thousands of pixels, and 100 are 100 %


def test_views_of_one_scene_are_no_evidence_of_their_own(data):
    """Two scenes that differ a lot: the interval spans them, however alike their views are."""
    (light,) = group(scored(data, lambda name: float(name[:-1])), list_cases(data), ["race"])
    assert light.means["sad"].low <= 4 and light.means["sad"].high >= 17


def test_what_was_not_scored_is_left_out(data):
    cases = [Scored("rendered", case.name, {"sad": None}) for case in list_cases(data)]
    (found,) = group(cases, list_cases(data), ["race"])
    assert found.means == {}
    assert "–" in table([found])


def test_renders_that_do_not_say_who_is_in_them(data):
    for file in (data / "rendered" / "train").glob("*.json"):
        file.unlink()
    with pytest.raises(TrainerError, match="tell who is in it"):
        group(scored(data, lambda name: 1.0), list_cases(data), ["skin"])


def test_another_word(data):
    with pytest.raises(TrainerError, match="not grouped by 'height'; there are skin, race, hair"):
        evaluate("no-such-bundle", data, by=["height"])


def test_as_typed(data, tmp_path, capsys):
    alphas, scores = tmp_path / "alphas", tmp_path / "scores.json"
    (alphas / "rendered").mkdir(parents=True)
    for case in list_cases(data):
        assert cv2.imwrite(str(alphas / "rendered" / f"{case.name}.png"), case.load().alpha)
    arguments = ["evaluate", str(alphas), str(data), "--by", "skin", "--by", "gender", "--json", str(scores)]
    assert run(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| skin: dark ") for line in lines) == 1
    saved = json.loads(scores.read_text())["groups"]
    assert [(g["by"], g["name"], g["scenes"]) for g in saved][2:] == [("gender", "female", 1), ("gender", "male", 2)]
    assert saved[0]["means"]["sad"] == {"value": 0.0, "low": 0.0, "high": 0.0}
