"""Another program's matte teaches where people's masks and boxes vouch for it, and nowhere else."""

import json

import cv2
import numpy as np
import pytest
import torch
from vmfm.trainer.data.folders import UNKNOWN, samples
from vmfm.trainer.data.store import Store
from vmfm.trainer.data.vouch import NotVouchedError, cut_out, vouch_folder, vouched
from vmfm.trainer.errors import TrainerError

HEIGHT, WIDTH = 200, 300
PERSON = (60, 30, 60, 140)  # x, y, width, height
RACKET = (120, 60, 40, 20)  # touches the person
BYSTANDER = (220, 60, 40, 120)


def scene(*boxes: tuple[int, int, int, int], value: int = 255) -> np.ndarray:
    """uint8 (HEIGHT, WIDTH): these boxes filled."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x, y, w, h in boxes:
        mask[y : y + h, x : x + w] = value
    return mask


def inside(values: np.ndarray, box: tuple[int, int, int, int], by: int = 6) -> np.ndarray:
    x, y, w, h = box
    return values[y + by : y + h - by, x + by : x + w - by]


class TestVouched:
    def test_what_hangs_together_with_a_person_is_foreground(self) -> None:
        label = vouched(scene(PERSON, RACKET), [PERSON], person=scene(PERSON))
        assert (inside(label, PERSON) == 255).all() and (inside(label, RACKET) == 255).all()
        assert (label[:, 200:] == 0).all()

    @pytest.mark.parametrize("person", [scene(PERSON), None], ids=["mask", "box alone"])
    def test_a_matte_without_the_person_teaches_nothing(self, person) -> None:
        with pytest.raises(NotVouchedError):
            vouched(scene(RACKET), [PERSON], person=person)

    def test_a_person_whom_the_matte_leaves_out_is_unknown(self) -> None:
        label = vouched(scene(PERSON), [PERSON, BYSTANDER])
        assert (inside(label, BYSTANDER) == UNKNOWN).all() and (inside(label, PERSON) == 255).all()

    def test_so_is_a_thing_that_it_leaves_out(self) -> None:
        label = vouched(scene(PERSON), [PERSON], [RACKET], scene(PERSON))
        assert (inside(label, RACKET) == UNKNOWN).all()

    def test_and_a_thing_that_nobody_touches(self) -> None:
        label = vouched(scene(PERSON, BYSTANDER), [PERSON], person=scene(PERSON))
        assert (inside(label, BYSTANDER) == UNKNOWN).all()

    def test_haze_is_unknown_but_an_outline_is_not(self) -> None:
        matte = scene(PERSON) | scene(BYSTANDER, value=140)
        matte[30:170, 118:121] = 150, 100, 60  # an edge, three pixels wide
        label = vouched(matte, [PERSON], person=scene(PERSON))
        assert (inside(label, BYSTANDER) == UNKNOWN).all()
        assert (label[40:160, 119] == 100).all()

    def test_a_scene_round_a_small_person_teaches_nothing(self) -> None:
        with pytest.raises(NotVouchedError, match="other things"):
            vouched(scene((10, 20, 280, 170)), [PERSON], person=scene(PERSON))

    def test_the_half_of_the_range_that_means_unknown_is_never_an_alpha(self) -> None:
        matte = scene(PERSON)
        matte[30:170, 119] = UNKNOWN
        assert (vouched(matte, [PERSON], person=scene(PERSON))[40:160, 119] == UNKNOWN - 1).all()


class TestCutOut:
    def photo(self) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)

    def test_keeps_the_matte_of_what_is_kept(self) -> None:
        matte = scene(PERSON, RACKET, BYSTANDER)
        rgba = cut_out(self.photo(), matte, vouched(matte, [PERSON], person=scene(PERSON)))
        assert np.array_equal(rgba[..., 3], scene(PERSON, RACKET))

    @pytest.mark.parametrize(
        ("matte", "why"),
        [
            (scene((60, 0, 60, 200), (0, 0, 100, 20)), "border"),
            (scene((60, 30, 20, 40)), "small"),
            (scene(PERSON) | scene((120, 30, 40, 140), value=140), "doubt"),
        ],
    )
    def test_is_refused_where_it_would_look_cut(self, matte, why) -> None:
        label = np.where(matte == 140, UNKNOWN, matte)
        with pytest.raises(NotVouchedError, match=why):
            cut_out(self.photo(), matte, label)


class TestFolder:
    @pytest.fixture
    def photos(self, tmp_path):
        folder = tmp_path / "real" / "people"
        for part in ("images", "person"):
            (folder / part).mkdir(parents=True)
        entry = {"wh": [WIDTH, HEIGHT], "persons": [{"box": PERSON}], "objects": [], "pairs": []}
        for name in ("seen", "missed"):
            cv2.imwrite(str(folder / "images" / f"{name}.jpg"), scene(PERSON, RACKET))
            cv2.imwrite(str(folder / "person" / f"{name}.png"), scene(PERSON))
        (folder / "interactions.json").write_text(json.dumps({"images": {"seen": entry, "missed": entry}}))
        mattes = tmp_path / "mattes"
        mattes.mkdir()
        cv2.imwrite(str(mattes / "seen.png"), scene(PERSON, RACKET))
        cv2.imwrite(str(mattes / "missed.png"), scene(BYSTANDER))
        return folder, mattes, tmp_path / "out"

    def test_labels_and_cutouts_are_what_training_reads(self, photos) -> None:
        folder, mattes, out = photos
        counts = vouch_folder(folder, mattes, out)
        assert counts == {"labels": 1, "cutouts": 1, "misses the person": 1}
        seen = {sample.name: sample for sample in samples("people", folder, vouched=out / "labels")}["seen"]
        assert (inside(seen.alpha, RACKET) == 255).all() and (inside(seen.alpha_unknown, RACKET) == 0).all()
        (cutout,) = samples("cutouts", out / "cutouts", folder)
        assert cutout.cutout and not cutout.sure_points
        assert (inside(cutout.alpha, RACKET) == 255).all() and (inside(cutout.person, RACKET) == 0).all()

    @pytest.mark.parametrize(("cls", "known"), [("couch", 0), ("umbrella", UNKNOWN)])
    def test_what_the_matte_leaves_out_is_background_if_nobody_holds_such_things(self, photos, cls, known) -> None:
        folder, mattes, out = photos
        facts = json.loads((folder / "interactions.json").read_text())
        facts["images"]["seen"]["objects"] = [{"cls": cls, "box": BYSTANDER}]
        (folder / "interactions.json").write_text(json.dumps(facts))
        vouch_folder(folder, mattes, out)
        (label,) = (
            np.where(sample.alpha_unknown, UNKNOWN, sample.alpha)
            for sample in samples("people", folder, vouched=out / "labels", showing=[cls])
        )
        assert (inside(label, BYSTANDER) == known).all() and (inside(label, PERSON) == 255).all()

    def test_goes_on_where_it_stopped(self, photos) -> None:
        folder, mattes, out = photos
        first = vouch_folder(folder, mattes, out)
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*.webp")}
        assert vouch_folder(folder, mattes, out) == first
        assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.webp")}

    def test_mattes_of_other_photos(self, photos) -> None:
        folder, mattes, out = photos
        for path in mattes.iterdir():
            path.rename(path.with_stem(f"other_{path.stem}"))
        with pytest.raises(TrainerError, match="no matte"):
            vouch_folder(folder, mattes, out)

    def test_a_matte_of_another_size(self, photos) -> None:
        folder, mattes, out = photos
        cv2.imwrite(str(mattes / "seen.png"), np.zeros((10, 10), np.uint8))
        with pytest.raises(TrainerError, match="same size"):
            vouch_folder(folder, mattes, out)

    def test_what_is_no_longer_vouched_for_is_gone(self, photos) -> None:
        folder, mattes, out = photos
        vouch_folder(folder, mattes, out)
        assert any((out / "labels").iterdir())
        (out / "index.json").unlink()
        for matte in mattes.iterdir():
            cv2.imwrite(str(matte), scene())
        vouch_folder(folder, mattes, out)
        assert not any((out / "labels").iterdir()) and not any((out / "cutouts").iterdir())

    def test_crops_look_at_what_is_known(self, photos) -> None:
        """Not at what nobody vouches for, which is all over some photos."""
        folder, mattes, out = photos
        cv2.imwrite(str(mattes / "seen.png"), scene(PERSON, BYSTANDER))
        vouch_folder(folder, mattes, out)
        seen = {sample.name: sample for sample in samples("people", folder, vouched=out / "labels")}["seen"]
        assert (inside(seen.alpha_unknown, BYSTANDER) == 255).all()
        x0, _, x1, _ = Store([seen], WIDTH, torch.device("cpu")).placements[0].box
        assert x0 >= PERSON[0] - 3 and x1 <= PERSON[0] + PERSON[2] + 3
