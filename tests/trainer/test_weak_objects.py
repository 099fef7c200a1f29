"""Pseudo-masks from boxes: what is confident is right, what is doubtful is left out."""

import json

import cv2
import numpy as np
import pytest
from vmfm.trainer.data.soften import SoftenError
from vmfm.trainer.data.weak_objects import OBJECT, UNKNOWN, UNSURE, WeakConfig, segment_box, weak_folder
from vmfm.trainer.errors import TrainerError

HEIGHT, WIDTH = 160, 200
BOX = (100, 60, 60, 40)
PERSON_BOX = (40, 20, 62, 130)


def noise():
    return np.random.default_rng(0).normal(0, 8, (HEIGHT, WIDTH, 3))


def scene(colour=(40, 60, 200)):
    """A person-coloured block with an ellipse of `colour` (BGR) at its side, on green; the ellipse and the person."""
    image = np.full((HEIGHT, WIDTH, 3), (60, 160, 60), np.float64)
    person = np.zeros((HEIGHT, WIDTH), np.uint8)
    person[20:150, 40:102] = 1
    image[person > 0] = (120, 90, 80)
    thing = cv2.ellipse(np.zeros_like(person), (130, 80), (29, 19), 0, 0, 360, 1, -1)
    image[thing > 0] = colour
    return np.clip(image + noise(), 0, 255).astype(np.uint8), thing > 0, (person > 0) & (thing == 0)


class TestSegmentBox:
    @pytest.mark.parametrize("known", [True, False])
    def test_a_clear_object(self, known):
        image, thing, person = scene()
        found = segment_box(image, BOX, person if known else None, [PERSON_BOX])
        assert found.why is None and found.sides == 4
        assert (found.region & thing).sum() > 0.9 * thing.sum()
        assert (found.region & ~thing & ~person).sum() < 0.05 * found.region.sum()
        assert not (known and (found.region & person).any())

    def test_the_same_photo_gives_the_same_mask(self):
        image, _, person = scene()
        first, second = (segment_box(image, BOX, person, [PERSON_BOX]) for _ in range(2))
        assert (first.region == second.region).all()

    def test_an_object_like_its_background_is_refused(self):
        image, _, person = scene(colour=(62, 158, 62))
        assert segment_box(image, BOX, person, [PERSON_BOX]).why is not None

    def test_an_object_out_of_reach_is_refused(self):
        image, _, _ = scene()
        far = np.zeros((HEIGHT, WIDTH), bool)
        far[20:150, :30] = True
        assert segment_box(image, BOX, far, []).why == "apart from the person"

    @pytest.mark.parametrize("box", [(100, 60, 8, 40), (0, 0, WIDTH, HEIGHT)])
    def test_boxes_too_small_or_too_large(self, box):
        image, _, person = scene()
        assert segment_box(image, box, person, []).why == "size"

    def test_a_box_that_the_person_covers(self):
        image, _, _ = scene()
        everywhere = np.ones((HEIGHT, WIDTH), bool)
        assert segment_box(image, BOX, everywhere, []).why == "covered by the person"


@pytest.fixture
def photos(tmp_path):
    """ "clear" has a confident pair, "doubtful" a weak one, "table" one with a class that is not carried."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    (folder / "person").mkdir()
    images = {}
    for name, confidence, cls in (("clear", 0.8, "frisbee"), ("doubtful", 0.2, "frisbee"), ("table", 0.9, "bench")):
        image, _, person = scene()
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        cv2.imwrite(str(folder / "person" / f"{name}.png"), person * np.uint8(255))
        images[name] = {
            "persons": [{"box": list(PERSON_BOX)}],
            "objects": [{"cls": cls, "box": [float(value) for value in BOX]}],
            "pairs": [{"person": 0, "object": 0, "confidence": confidence}],
        }
    (folder / "interactions.json").write_text(json.dumps({"images": images}))
    return folder


class TestFolder:
    def test_what_is_written(self, photos, tmp_path):
        assert weak_folder(photos, tmp_path / "out") == {"accepted": 1}
        label = cv2.imread(str(tmp_path / "out/clear.png"), cv2.IMREAD_UNCHANGED)
        assert label.shape == (HEIGHT, WIDTH) and set(np.unique(label)) == {UNKNOWN, UNSURE, OBJECT}
        _, thing, _ = scene()
        assert thing[label == OBJECT].mean() > 0.98
        assert label[10, 10] == UNKNOWN and label[62, 102] == UNSURE, "a corner of the box is not the ellipse"
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clear.png", "index.json"]

    def test_a_second_run_does_only_what_is_missing(self, photos, tmp_path):
        weak_folder(photos, tmp_path / "out")
        before = (tmp_path / "out/clear.png").stat().st_mtime_ns
        assert weak_folder(photos, tmp_path / "out") == {"accepted": 1}
        assert (tmp_path / "out/clear.png").stat().st_mtime_ns == before

    def test_things_on_tables_need_more_confidence(self, photos, tmp_path):
        strict = WeakConfig(resting_classes=frozenset({"frisbee"}), min_confidence_resting=0.85)
        assert weak_folder(photos, tmp_path / "out", strict) == {}

    def test_no_boxes(self, tmp_path):
        with pytest.raises(SoftenError, match="interactions.json"):
            weak_folder(tmp_path, tmp_path / "out")

    def test_a_missing_photo_is_named(self, photos, tmp_path):
        (photos / "images/clear.jpg").unlink()
        with pytest.raises(TrainerError, match="clear"):
            weak_folder(photos, tmp_path / "out")
