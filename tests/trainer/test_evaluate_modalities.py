"""The modality nets' own scores: against truths worked out by hand, and from a data folder to the table."""

import json
import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vmfm.apps.main import run
from vmfm.trainer.data.interactions import Point
from vmfm.trainer.evaluate_labels import inverse_depth_of, points_in
from vmfm.trainer.evaluate_modalities import evaluate_modalities, mean_maps, peak_hits, score_depth
from vmfm.trainer.evaluate_sets import list_cases

SIZE = 64
PERSON = (slice(8, 56), slice(20, 44))  # rows and columns


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def data(tmp_path):
    """A render of a person in pure red, 2 m away at the left and 4 m at the right, holding a thing; and a photo of one."""
    root, person = tmp_path / "data", np.zeros((SIZE, SIZE), np.uint8)
    person[PERSON] = 255
    red = np.dstack([0 * person, 0 * person, person])
    write(root / "real" / "backgrounds" / "night.jpg", np.zeros((SIZE, SIZE, 3), np.uint8))
    stem = root / "rendered" / "train" / "000010"
    write(stem.with_name("000010_fg.webp"), np.dstack([red, person]))
    write(stem.with_name("000010_person.png"), person)
    coded = np.zeros((SIZE // 2, SIZE // 2), np.uint8)
    coded[4:28, 10:16], coded[4:28, 16:22] = 255, 1
    write(stem.with_name("000010_depth.png"), coded)
    facts = {
        "depth": {"z_near": 2.0, "z_far": 4.0},
        "person_mask": {"bbox": [20, 8, 44, 56]},
        "objects": [{"bbox": [40, 30, 48, 34]}],
    }
    stem.with_name("000010.json").write_text(json.dumps(facts))
    real = root / "real" / "person_labelled"
    write(real / "images" / "coco_1.jpg", red)
    write(real / "person" / "coco_1.png", person)
    write(real / "depth" / "coco_1.png", np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1)))
    entry = {"persons": [{"box": [20, 8, 24, 48]}], "objects": [], "pairs": []}
    (real / "interactions.json").write_text(json.dumps({"images": {"coco_1": entry}}))
    splits = {"person_labelled": {"dev": ["coco_1"], "train": []}}
    (root / "real" / "splits.json").write_text(json.dumps(splits))
    return root


def case_of(data, dataset):
    return next(case for case in list_cases(data) if case.dataset == dataset)


class TestLabels:
    def test_a_renders_depth_is_in_metres_and_unknown_off_the_person(self, data):
        inverse = inverse_depth_of(case_of(data, "rendered"))
        assert 1 / inverse[10, 12] == pytest.approx(2) and 1 / inverse[10, 18] == pytest.approx(4)
        assert np.isnan(inverse[0, 0]) and np.isfinite(inverse).sum() == 24 * 12

    def test_a_photos_depth_is_known_up_to_a_factor(self, data):
        inverse = inverse_depth_of(case_of(data, "person"))
        assert inverse.max() == pytest.approx(1) and inverse.max() / inverse.min() == pytest.approx(10)

    def test_points(self, data):
        (point,) = points_in(case_of(data, "rendered"))
        assert (point.x, point.y, point.height) == (38, 32, 48)  # between (32, 32) and (44, 32)
        (alone,) = points_in(case_of(data, "person"))
        assert (alone.x, alone.y, alone.height) == (32, 32, 48)

    def test_what_is_not_there_is_not_scored(self, data):
        for name in ("000010_depth.png", "000010.json"):
            (data / "rendered" / "train" / name).unlink()
        shutil.rmtree(data / "real" / "person_labelled" / "depth")
        (data / "real" / "person_labelled" / "interactions.json").unlink()
        for dataset in ("rendered", "person"):
            case = case_of(data, dataset)
            assert inverse_depth_of(case) is None and points_in(case) == []


class TestDepth:
    @settings(max_examples=30, deadline=None)
    @given(scale=st.floats(0.05, 20), shift=st.floats(-2, 2))
    def test_scale_and_shift_do_not_matter(self, scale, shift):
        truth = np.random.default_rng(0).uniform(0.2, 1, (12, 9)).astype(np.float32)
        scores = score_depth(((truth - shift) / scale).astype(np.float32), truth)
        assert scores["depth_delta1"] == 1
        assert scores["depth_explained"] == pytest.approx(1, abs=1e-3)

    def test_one_depth_for_everything_explains_nothing(self):
        truth = np.array([[1.0, 1.0, 0.5, 0.25]], np.float32)
        scores = score_depth(np.full_like(truth, 0.3), truth)
        assert scores["depth_explained"] == pytest.approx(0, abs=1e-6)
        # the mean of the inverse depths is 0.6875: above 0.5 * 1.25, below 1 / 1.25
        assert scores["depth_delta1"] == scores["depth_delta1_flat"] == 0

    def test_half_of_it_right(self):
        truth = np.array([[1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1]], np.float32)
        said = np.array([[1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.5, 0.5]], np.float32)
        scores = score_depth(said, truth)
        assert 0.25 <= scores["depth_delta1"] <= 0.75 and 0 < scores["depth_explained"] < 1

    def test_unknown_pixels_do_not_count(self):
        truth = np.array([[1.0, 0.5, np.nan]], np.float32)
        assert score_depth(np.array([[0.9, 0.1, 7.0]], np.float32), truth)["depth_explained"] == pytest.approx(1)

    @pytest.mark.parametrize("truth", [np.full((4, 4), np.nan), np.full((4, 4), 0.5)], ids=["unknown", "flat"])
    def test_nothing_to_compare(self, truth):
        assert score_depth(np.ones((4, 4), np.float32), truth.astype(np.float32)) == {}


@pytest.mark.parametrize(("x", "hit"), [(10, True), (13, True), (14, False), (30, True), (24, False)])
def test_a_peak_counts_within_a_tenth_of_the_persons_height(x, hit):
    heatmap = np.zeros((16, 32), np.float32)
    heatmap[8, x] = 0.3  # of a picture twice the size: its centre lies at (2 x + 1, 17)
    points = [Point(21, 17, (0, 0), height=60), Point(61, 17, (0, 0), height=10)]
    assert peak_hits(heatmap, points, (32, 64)) == hit


def test_each_net_against_its_own_truth(tiny_bundle, data):
    """This bundle's nets all say how red the picture is."""
    result = evaluate_modalities(str(tiny_bundle.path), data)
    means = {summary.dataset: summary.means for summary in result.summaries}
    assert set(means) == {"person", "rendered", "sharp"}
    for scores in means.values():
        assert scores["segmentation_iou"] > 0.9
    assert means["rendered"]["depth_explained"] < 0.1  # red is the same near and far
    assert means["rendered"]["depth_delta1_flat"] == 0
    red = mean_maps(str(tiny_bundle.path), data)
    assert set(red) == {"segmentation", "depth", "heatmap"}
    assert red["depth"] == pytest.approx(24 * 48 / SIZE**2, abs=0.02)


def test_as_typed(tiny_bundle, data, tmp_path, capsys):
    scores = tmp_path / "scores.json"
    arguments = ["evaluate", str(tiny_bundle.path), str(data), "--modalities"]
    assert run([*arguments, "--only", "rendered", "--json", str(scores)]) == 0
    assert "segmentation iou" in capsys.readouterr().out
    assert set(json.loads(scores.read_text())["summary"]) == {"rendered"}
    assert run([*arguments, "--html", str(tmp_path / "a.html")]) == 1
    assert "leave out --html" in capsys.readouterr().err
