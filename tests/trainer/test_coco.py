"""COCO's annotations: masks as its own tools read them, and photos in the folders that the trainer reads."""

import json

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from vmfm.apps.main import run
from vmfm.trainer.data.check import check
from vmfm.trainer.data.coco import Item, import_coco, pairs_of
from vmfm.trainer.data.coco_masks import decode
from vmfm.trainer.data.folders import samples
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.recipe import load_recipe
from vmfm.trainer.train import train

HEIGHT, WIDTH = 96, 128
# made with pycocotools 2.0.11 from the mask in `reference`
REFERENCE = (
    "h95n04L4M2N2O0O2O0O2O@E6:JH67JI67JI67JI66KJ65KI67<000000001N1000001N101N101N101N2N3L4LQ3MTL00000000000020N"
    "0000000000020N0000000000020N0000000000020N0000000000020N0000000000020N000000000000"
)


def reference():
    """An ellipse with a hole, and stripes that reach the right edge."""
    y, x = np.mgrid[:37, :53]
    ellipse = ((y - 18) ** 2 / 150 + (x - 25) ** 2 / 300 < 1) & ~((x - 20) ** 2 + (y - 15) ** 2 < 16)
    return ellipse | ((x > 45) & (y % 5 < 2))


def run_lengths(mask):
    flat = np.concatenate([[0], mask.T.ravel(), [-1]]).astype(int)
    edges = np.flatnonzero(np.diff(flat))
    return {"size": list(mask.shape), "counts": np.diff([0, *edges]).tolist()}


class TestMasks:
    def test_compressed_run_lengths(self):
        assert np.array_equal(decode({"size": [37, 53], "counts": REFERENCE}, 37, 53), reference())

    @given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
    def test_plain_run_lengths(self, mask):
        assert np.array_equal(decode(run_lengths(mask), *mask.shape), mask)

    def test_polygons_cover_what_they_enclose(self):
        square = [10, 20, 40, 20, 40, 60, 10, 60]
        mask = decode([square, [30, 50, 50, 50, 50, 70, 30, 70]], HEIGHT, WIDTH)
        expected = np.zeros((HEIGHT, WIDTH), bool)
        expected[20:60, 10:40] = expected[50:70, 30:50] = True
        assert np.array_equal(mask, expected)

    def test_a_polygon_that_leaves_the_picture(self):
        mask = decode([[-10, -10, 20, -10, 20, 20, -10, 20]], HEIGHT, WIDTH)
        assert mask[:20, :20].all() and mask.sum() == 400

    def test_none(self):
        assert decode(None, 4, 4) is None and decode([], 4, 4) is None

    @pytest.mark.parametrize(
        "broken",
        [{"size": [3, 3], "counts": [4, 4]}, {"counts": [9]}, {"size": [9, 1], "counts": [9]}, [["a"] * 6], "0"],
    )
    def test_what_is_no_mask(self, broken):
        with pytest.raises(TrainerError):
            decode(broken, 3, 3)


class TestPairs:
    person = Item("person", (40, 10, 20, 80), None)

    def masked(self, category, x, y, w, h):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[y : y + h, x : x + w] = True
        return Item(category, (x, y, w, h), mask)

    def test_boxes_that_overlap_or_are_near(self):
        things = [Item("cup", (x, 40, 10, 10), None) for x in (55, 62, 66, 80)]
        pairs = pairs_of([self.person], things)
        assert [pair.thing for pair in pairs] == [0, 1, 2]
        confidences = [pair.confidence for pair in pairs]
        assert confidences[0] == pytest.approx(0.75)
        assert confidences == sorted(confidences, reverse=True) and confidences[2] > 0

    def test_masks_that_touch(self):
        person = self.masked("person", 40, 10, 20, 80)
        things = [self.masked("cup", x, 40, 10, 10) for x in (58, 60, 64)]
        assert [(pair.thing, pair.confidence) for pair in pairs_of([person], things)] == [(0, 1.0), (1, 1.0)]

    def test_boxes_that_overlap_do_not_make_masks_touch(self):
        person = self.masked("person", 40, 10, 20, 80)
        hollow = Item("person", (0, 0, 128, 96), person.mask)
        assert pairs_of([hollow], [self.masked("cup", 90, 40, 10, 10)]) == []


def box_polygon(x, y, w, h):
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


PERSON = {"category_id": 1, "bbox": [40, 10, 30, 80], "segmentation": box_polygon(40, 10, 30, 80)}
CUP = {"category_id": 2, "bbox": [68, 40, 12, 12], "segmentation": box_polygon(68, 40, 12, 12)}
FAR_CUP = {"category_id": 2, "bbox": [110, 80, 12, 12], "segmentation": box_polygon(110, 80, 12, 12)}
TABLE = {"category_id": 3, "bbox": [20, 60, 90, 30], "segmentation": box_polygon(20, 60, 90, 30)}


@pytest.fixture
def photos(tmp_path):
    """A folder of photos, one for each fate, and the annotations; marks may be added to before `write`."""
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    (folder / "sub").mkdir(parents=True)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:90, 40:70] = True
    marks = {
        "holds.jpg": [PERSON, CUP, FAR_CUP, TABLE],
        "sub/box.png": [PERSON | {"segmentation": run_lengths(mask)}, CUP | {"segmentation": []}],
        "boxes.jpg": [PERSON | {"segmentation": []}, CUP],
        "nobody.jpg": [FAR_CUP],
        "crowd.jpg": [PERSON, PERSON | {"iscrowd": 1, "segmentation": run_lengths(mask)}],
        "tiny.jpg": [PERSON | {"bbox": [40, 10, 10, 20], "segmentation": box_polygon(40, 10, 10, 20)}],
        "other_size.jpg": [PERSON],
        "missing.jpg": [PERSON],
    }
    for name in marks:
        shape = (HEIGHT // 2, WIDTH // 2) if name == "other_size.jpg" else (HEIGHT, WIDTH)
        if name != "missing.jpg":
            cv2.imwrite(str(folder / name), rng.integers(0, 255, (*shape, 3), np.uint8))
    content = {
        "images": [{"id": i, "file_name": n, "height": HEIGHT, "width": WIDTH} for i, n in enumerate(marks)],
        "annotations": [mark | {"image_id": i} for i, name in enumerate(marks) for mark in marks[name]],
        "categories": [{"id": i, "name": n} for i, n in enumerate(("person", "cup", "dining table"), 1)],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return folder


def imported(photos, out, **options):
    return import_coco(photos.parent / "instances.json", photos, out, **options)


def test_every_photo_goes_where_its_annotations_suffice_for(photos, tmp_path):
    out, told = tmp_path / "real", []
    counts = imported(photos, out, progress=lambda done, total, name: told.append((done, total)))
    assert counts == {
        "person_object_labelled": 1, "person_labelled": 1, "unlabelled": 1, "backgrounds": 1, "left out": 4
    }  # fmt: skip
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*g")) == [
        "backgrounds/coco_nobody.jpg",
        "person_labelled/images/coco_sub_box.jpg",
        "person_labelled/person/coco_sub_box.png",
        "person_object_labelled/images/coco_holds.jpg",
        "person_object_labelled/person/coco_holds.png",
        "person_object_labelled/person_object/coco_holds.png",
        "unlabelled/images/coco_boxes.jpg",
    ]
    assert told[-1] == (8, 8)
    assert (photos / "holds.jpg").read_bytes() == (out / "person_object_labelled/images/coco_holds.jpg").read_bytes()


def test_what_is_touched_belongs_and_what_is_not_does_not(photos, tmp_path):
    imported(photos, tmp_path)
    home = tmp_path / "person_object_labelled"
    person, both = (
        cv2.imread(str(home / kind / "coco_holds.png"), cv2.IMREAD_GRAYSCALE) for kind in ("person", "person_object")
    )
    only = np.argwhere((both > 0) & (person == 0))
    # the cup; neither the far one nor the table
    assert only.min(0).tolist() == [40, 70] and only.max(0).tolist() == [51, 79]
    assert np.count_nonzero(person) == 30 * 80
    entry = json.loads((home / "interactions.json").read_text())["images"]["coco_holds"]
    assert [thing["cls"] for thing in entry["objects"]] == ["cup", "cup"]
    assert entry["pairs"] == [{"person": 0, "object": 0, "rank": 0, "confidence": 1.0}]


def test_categories_can_be_chosen(photos, tmp_path):
    imported(photos, tmp_path, things=["dining table"])
    both = cv2.imread(str(tmp_path / "person_object_labelled" / "person_object" / "coco_holds.png"), 0)
    assert both[75, 25] == 255 and both[45, 75] == 0
    with pytest.raises(TrainerError, match="no category 'sofa'; it has cup, dining table, person"):
        imported(photos, tmp_path, things=["sofa"])


def test_the_nearest_person_of_a_thing_has_rank_0(photos, tmp_path):
    content = json.loads((tmp_path / "instances.json").read_text())
    content["annotations"].append(PERSON | {"image_id": 2, "segmentation": [], "bbox": [70, 10, 50, 80]})
    (tmp_path / "instances.json").write_text(json.dumps(content))
    imported(photos, tmp_path)
    entry = json.loads((tmp_path / "unlabelled" / "interactions.json").read_text())["images"]["coco_boxes"]
    assert [person["box"][0] for person in entry["persons"]] == [70, 40]  # the largest first
    assert [(pair["person"], pair["rank"]) for pair in entry["pairs"]] == [(0, 0), (1, 1)]


def test_a_photo_turned_by_its_camera(photos, tmp_path):
    """Its annotations are for the pixels as they are stored."""
    from PIL import Image

    upright = Image.open(photos / "holds.jpg")
    exif = upright.getexif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    upright.save(photos / "holds.jpg", exif=exif)
    imported(photos, tmp_path)
    assert cv2.imread(str(tmp_path / "person_object_labelled/images/coco_holds.jpg")).shape == (HEIGHT, WIDTH, 3)


def test_what_is_there_already_stays(photos, tmp_path):
    out = tmp_path / "real"
    imported(photos, out)
    content = json.loads((tmp_path / "instances.json").read_text())
    content["images"][0]["file_name"] = "again.jpg"
    (photos / "holds.jpg").rename(photos / "again.jpg")
    (tmp_path / "instances.json").write_text(json.dumps(content))
    imported(photos, out)
    imported(photos, out)
    known = json.loads((out / "person_object_labelled" / "interactions.json").read_text())["images"]
    assert sorted(known) == ["coco_again", "coco_holds"]
    splits = json.loads((out / "splits.json").read_text())["person_object_labelled"]
    assert sorted(splits["dev"] + splits["train"]) == ["coco_again", "coco_holds"]


def test_cut_outs_of_imported_photos_need_no_depth(photos, tmp_path):
    imported(photos, tmp_path)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[10:90, 40:70] = 255
    (tmp_path / "soft").mkdir()
    cv2.imwrite(str(tmp_path / "soft" / "coco_holds.webp"), np.dstack([alpha] * 4))
    (cutout,) = samples("cutouts", tmp_path / "soft", labels=tmp_path / "person_object_labelled")
    assert cutout.depth is None and cutout.cutout and np.array_equal(cutout.alpha, alpha)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content.pop("categories"), "KeyError: 'categories'"),
        (lambda content: content["annotations"][0].update(image_id=99), "KeyError: 99"),
        (lambda content: content["images"][0].pop("height"), "KeyError: 'height'"),
        (lambda content: content["categories"].pop(0), "no category 'person'"),
    ],
)
def test_a_file_that_is_not_cocos(photos, tmp_path, change, told):
    content = json.loads((tmp_path / "instances.json").read_text())
    if told.startswith("no category"):
        content["annotations"] = []
    change(content)
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(TrainerError, match=told):
        imported(photos, tmp_path / "real")
    assert not (tmp_path / "real").exists()


RECIPE = """
net = "tiny"
side_px = 96

[stage_defaults]
batch = 4
steps = 2
learning_rate = 1e-3
sizes = [[64, 64]]

[[stage]]
name = "matting"
trains = ["segmentation", "depth", "interaction", "foreground_s", "foreground_d", "complementary"]

[[source]]
kind = "photos"
path = "real/person_object_labelled"

[[source]]
kind = "people"
path = "real/person_labelled"

[[source]]
kind = "unlabelled"
path = "real/unlabelled"

[[source]]
kind = "backgrounds"
path = "real/backgrounds"
"""


def test_from_annotations_to_a_trained_net(photos, tmp_path, capsys):
    """The imported folder passes the check, and the nets learn from it."""
    out = tmp_path / "data" / "real"
    arguments = ["data", "import-coco", str(photos), "--annotations", str(tmp_path / "instances.json"), "-o", str(out)]
    assert run(arguments) == 0
    assert "1 person_object_labelled" in capsys.readouterr().out
    assert check(out).findings == ()
    assert len(samples("photos", out / "person_object_labelled")) == 1
    recipe = tmp_path / "own.toml"
    recipe.write_text(RECIPE)
    weights = train(load_recipe(str(recipe)), tmp_path / "data", tmp_path / "run", device=torch.device("cpu"))
    assert weights.exists()
