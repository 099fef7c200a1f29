"""`vmfm data check`: a clean folder passes, and each thing that can be wrong is told with its file."""

import json

import cv2
import numpy as np
import pytest
from vmfm.trainer.data.check import check
from vmfm.trainer.data.folders import samples
from vmfm.trainer.errors import TrainerError

HEIGHT, WIDTH = 40, 60


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def mask(left=20):
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[5:35, left:40] = 255
    return image


@pytest.fixture
def home(tmp_path):
    """A clean folder: two labelled photos with interactions and splits, one render, one background."""
    home, rng = tmp_path / "data", np.random.default_rng(0)
    photo = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for name in ("a", "b"):
        write(home / "set" / "images" / f"{name}.jpg", photo)
        write(home / "set" / "person" / f"{name}.png", mask())
        write(home / "set" / "person_object" / f"{name}.png", mask(10))
        write(home / "set" / "depth" / f"{name}.png", mask()[::2, ::2])
    entry = {
        "wh": [WIDTH, HEIGHT],
        "persons": [{"box": [20, 5, 20, 30]}],
        "objects": [{"box": [10, 5, 10, 30]}],
        "pairs": [{"person": 0, "object": 0}],
    }
    interactions = {"images": {"a": entry, "b": entry}}
    (home / "set" / "interactions.json").write_text(json.dumps(interactions))
    (home / "splits.json").write_text(json.dumps({"set": {"dev": ["a"], "train": ["b"]}}))
    write(home / "rendered" / "000010_fg.webp", np.dstack([photo, mask()]))
    write(home / "rendered" / "000010_person.png", mask())
    write(home / "rendered" / "000010_depth.png", mask()[::2, ::2])
    (home / "rendered" / "000010.json").write_text("{}")
    write(home / "backgrounds" / "sky.jpg", photo)
    return home


def problems(home):
    return [f"{finding.path.relative_to(home)}: {finding.problem}" for finding in check(home).findings]


def test_a_clean_folder(home):
    seen = []
    checked = check(home, seen.append)
    assert checked.findings == ()
    assert checked.images == seen[-1] == 2 * 4 + 3 + 1


def test_a_photo_that_was_taken_upright(home):
    """Cameras store it lying, with a word; it is trained on upright."""
    file = home / "set" / "images" / "a.jpg"
    lying = cv2.imencode(".jpg", cv2.rotate(cv2.imread(str(file)), cv2.ROTATE_90_COUNTERCLOCKWISE))[1].tobytes()
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    file.write_bytes(lying[:2] + b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned + lying[2:])
    assert cv2.imread(str(file)).shape == (HEIGHT, WIDTH, 3)
    assert problems(home) == []


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("set/images/a.jpg", "set/person/a.png: has no picture images/a.*"),
        ("set/person/a.png", "set/images/a.jpg: has no person/a.*"),
        ("rendered/000010_person.png", "rendered/000010_fg.webp: has no 000010_person.png"),
        ("rendered/000010.json", "rendered/000010_fg.webp: has no 000010.json"),
    ],
)
def test_a_broken_pair(home, missing, told):
    (home / missing).unlink()
    assert told in problems(home)


@pytest.mark.parametrize(
    "victim", ["set/images/a.jpg", "set/person/a.png", "rendered/000010_fg.webp", "backgrounds/sky.jpg"]
)
@pytest.mark.parametrize("damage", ["cut off", "empty", "text"])
def test_an_unreadable_file(home, victim, damage):
    path = home / victim
    data = path.read_bytes()
    path.write_bytes({"cut off": data[: len(data) // 2], "empty": b"", "text": b"not an image"}[damage])
    told = problems(home)
    assert len([line for line in told if line.startswith(victim)]) == 1
    assert any("empty file" in line or "cut off" in line for line in told)


@pytest.mark.parametrize(
    ("file", "image", "told"),
    [
        ("set/person/a.png", mask()[:, :30], "is 30x40, its picture 60x40"),
        ("set/person/a.png", mask() * 0, "is empty: nothing is marked"),
        ("set/person/a.png", mask(5), "has 150 pixels of person that are not in person_object"),
        ("set/person/a.png", np.dstack([mask(), mask() * 0, mask()]), "is a colour image; a person label is grey"),
        ("set/depth/a.png", mask()[::2], "is 60x20, its picture 60x40"),
        ("rendered/000010_fg.webp", np.dstack([mask()] * 3 + [mask() * 0]), "is empty: its alpha is 0 everywhere"),
        ("rendered/000010_fg.webp", np.dstack([mask()] * 3), "has no alpha channel"),
        ("rendered/000010_person.png", mask()[:20], "is 60x20, its picture 60x40"),
    ],
)
def test_a_label_that_does_not_fit(home, file, image, told):
    write(home / file, image)
    assert problems(home) == [f"{file}: {told}"]


def test_two_pictures_of_one_name(home):
    write(home / "set" / "images" / "a.png", mask())
    assert problems(home) == ["set/images/a.png: has the same name as a.jpg"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"wh": [1, 1]}, "a: wh is [1, 1], the picture 60x40"),
        ({"objects": [{"box": [50, 5, 20, 30]}]}, "a: box [50, 5, 20, 30] is empty or leaves the picture of 60x40"),
        ({"objects": []}, "a: a pair joins person 0 and object 0, which are not both there"),
    ],
)
def test_interactions_that_do_not_fit(home, change, told):
    path = home / "set" / "interactions.json"
    content = json.loads(path.read_text())
    content["images"]["a"] |= change
    path.write_text(json.dumps(content))
    assert problems(home) == [f"set/interactions.json: {told}"]


def test_no_interactions_at_all(home):
    (home / "set" / "interactions.json").unlink()
    assert problems(home) == ["set: has no interactions.json, so nothing in it is trained on"]
    with pytest.raises(TrainerError, match=r"interactions\.json is missing.*vmfm data check"):
        samples("photos", home / "set")


def test_pictures_that_the_trainer_passes_over(home):
    (home / "set" / "images" / "a.jpg").rename(home / "set" / "images" / "a.jpeg")
    assert problems(home) == ["set/images/a.jpeg: is not read: pictures beside labels are NAME.jpg"]


def test_interactions_of_other_pictures(home):
    path = home / "set" / "interactions.json"
    content = json.loads(path.read_text())
    content["images"]["c"] = content["images"].pop("b")
    path.write_text(json.dumps(content))
    assert problems(home) == [
        "set/interactions.json: has no entry for b",
        "set/interactions.json: names c, which is not among the pictures",
    ]


@pytest.mark.parametrize("file", ["set/interactions.json", "splits.json", "rendered/000010.json"])
def test_json_that_is_none(home, file):
    (home / file).write_text("{")
    assert len([line for line in problems(home) if line.startswith(file)]) == 1


def test_splits_that_overlap_or_name_what_is_not_there(home):
    (home / "splits.json").write_text(json.dumps({"set": {"dev": ["a", "z"], "train": ["a", "b"]}}))
    assert problems(home) == [
        "splits.json: set: a is in dev and in train (1 such)",
        "splits.json: set: there is no picture z",
    ]


def test_no_folder_and_no_image(tmp_path):
    with pytest.raises(TrainerError, match="no folder"):
        check(tmp_path / "nowhere")
    with pytest.raises(TrainerError, match="holds no image"):
        check(tmp_path)
