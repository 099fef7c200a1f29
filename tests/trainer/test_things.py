"""Things in pictures: held ones are foreground and touch their person, others are background and keep away."""

import json

import cv2
import numpy as np
import pytest
import torch
from vmfm.trainer.data.dice import Dice
from vmfm.trainer.data.folders import samples
from vmfm.trainer.data.samples import ALPHA, DEPTH, PERSON, Grip, Sample
from vmfm.trainer.data.things import Things, put_before

CPU = torch.device("cpu")
WHITE = np.full((20, 10, 3), 255, np.uint8)
SOLID = np.full((20, 10), 255, np.uint8)
BAG = Sample("bag", WHITE, SOLID, cutout=True, grip=Grip(0.5, 0.5, 0.3, whole=True))
PLANT = Sample("plant", WHITE, SOLID, cutout=True)
PERSON_BOX = (0.4, 0.2, 0.2, 0.7)
HEIGHT, WIDTH = 64, 96


def dice(size, seed=0):
    return Dice(size, slice(None), seed, CPU)


def people(count):
    """planes (N, 8, H, W) of black people in PERSON_BOX, at depth 0.5."""
    planes = torch.zeros(count, 8, HEIGHT, WIDTH)
    x, y, w, h = PERSON_BOX
    inside = slice(round(y * HEIGHT), round((y + h) * HEIGHT)), slice(round(x * WIDTH), round((x + w) * WIDTH))
    for plane, value in ((ALPHA, 1), (PERSON, 1), (DEPTH, 0.5)):
        planes[(slice(None), plane, *inside)] = value
    return planes


def hold(things, count, size=(HEIGHT, WIDTH)):
    nowhere = torch.zeros(count, 2, 4)
    return things.hold(people(count), nowhere, torch.zeros(count, 2), [PERSON_BOX] * count, size, 1.0, dice(count))


class TestHeld:
    def test_it_is_foreground_but_no_person_and_nearer(self):
        planes, points = hold(Things([([BAG], 1.0)], CPU), 8)
        thing = planes[:, 0] > 0.99  # it is white, the people are black
        assert thing.flatten(1).any(1).all()
        assert planes[:, 3][thing].min() > 0.99 and planes[:, 5][thing].max() < 0.01
        assert planes[:, 7][thing].min() > 0.5
        assert points.shape == (8, 3, 4) and (points[:, 2, 3] == 1).all()

    def test_who_is_handed_it_is_no_longer_alone(self):
        """Of two who were, the nearer; points of people with things stay."""
        points = torch.tensor([[48.0, 36, 3, 1], [5, 5, 3, 1], [45, 30, 3, 1], [0, 0, 0, 0]]).expand(4, -1, -1)
        lone = torch.tensor([1.0, 1, 0, 0]).expand(4, -1)
        things = Things([([BAG], 1.0)], CPU)
        _, found = things.hold(people(4), points, lone, [PERSON_BOX] * 4, (HEIGHT, WIDTH), 1.0, dice(4))
        assert found[..., 3].tolist() == [[0, 1, 1, 0, 1]] * 4
        _, found = things.hold(people(4), points, 0 * lone, [PERSON_BOX] * 4, (HEIGHT, WIDTH), 1.0, dice(4))
        assert found[..., 3].tolist() == [[1, 1, 1, 0, 1]] * 4

    def test_it_hangs_where_its_holder_had_it(self):
        planes, points = hold(Things([([BAG], 1.0)], CPU), 30)
        y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
        centres = torch.stack(
            [(planes[:, 0] * v).sum((1, 2)) / planes[:, 0].sum((1, 2)) for v in (x / WIDTH, y / HEIGHT)]
        )
        assert centres.mean(1).tolist() == pytest.approx([0.5, 0.55], abs=0.02)
        middle = [(0.5 + float(c[0])) / 2 * WIDTH for c in centres.T]  # of the person's centre and the thing's
        assert points[:, 2, 0].tolist() == pytest.approx(middle, abs=0.6)

    def test_points_are_in_pixels_of_the_size_asked_for(self):
        _, points = hold(Things([([BAG], 1.0)], CPU), 4)
        _, doubled = hold(Things([([BAG], 1.0)], CPU), 4, (2 * HEIGHT, 2 * WIDTH))
        torch.testing.assert_close(doubled[:, 2, :2], 2 * points[:, 2, :2])

    def test_what_would_hang_in_the_air_is_left_out(self):
        far = Sample("far", WHITE, SOLID, cutout=True, grip=Grip(3.0, 0.5, 0.3, whole=True))
        planes, points = hold(Things([([far], 1.0)], CPU), 4)
        assert torch.equal(planes, people(4)) and points[:, 2, 3].max() == 0

    def test_what_nobody_held_is_not_held(self):
        planes, points = hold(Things([([PLANT], 1.0)], CPU), 4)
        assert torch.equal(planes, people(4)) and points[:, 2].abs().max() == 0

    def test_who_is_cut_off_holds_what_others_held_who_were(self):
        half = Sample("half", WHITE // 2, SOLID, cutout=True, grip=Grip(0.5, 0.5, 0.3, whole=False))
        things, box = Things([([BAG, half], 1.0)], CPU), (0.4, 0.3, 0.2, 0.9)
        planes, _ = things.hold(
            people(6), torch.zeros(6, 1, 4), torch.zeros(6, 1), [box] * 6, (HEIGHT, WIDTH), 1.0, dice(6)
        )
        assert planes[:, 0].max() < 0.6
        planes, _ = hold(things, 6)
        assert planes[:, 0].flatten(1).amax(1).min() > 0.99

    def test_half_seen_through_it_stays_a_composition(self):
        planes, thing, behind = people(1), torch.full((1, 4, HEIGHT, WIDTH), 0.5), 0.25
        planes[:, :3], thing[:, 3, :, :30] = 0.8, 0
        held, there = put_before(planes, thing)
        seen = held[:, ALPHA] * held[:, :3] + (1 - held[:, ALPHA]) * behind
        before = planes[:, ALPHA] * planes[:, :3] + (1 - planes[:, ALPHA]) * behind
        torch.testing.assert_close(seen, thing[:, 3:] * 0.5 + (1 - thing[:, 3:]) * before)
        assert there.item() == 1


class TestBeside:
    def test_what_is_held_elsewhere_keeps_away_from_the_person(self):
        behind = torch.zeros(60, 3, HEIGHT, WIDTH)
        shown, where = Things([([BAG], 1.0)], CPU).stand(behind, [PERSON_BOX] * 60, 1.0, dice(60))
        columns = (shown[:, 0] > 0.5).any(0).any(0)
        left, right = round(0.4 * WIDTH), round(0.6 * WIDTH)
        assert not columns[left:right].any()
        assert columns[:left].any() and columns[right:].any() and len(where) > 40

    def test_what_is_never_held_stands_anywhere_behind(self):
        behind = torch.zeros(60, 3, HEIGHT, WIDTH)
        shown, where = Things([([PLANT], 1.0)], CPU).stand(behind, [PERSON_BOX] * 60, 1.0, dice(60))
        assert (shown[:, 0] > 0.5).any(0).any(0).all() and len(where) == 60

    def test_what_its_picture_cuts_off_on_one_side_stands_at_that_side(self):
        half = np.zeros((20, 20), np.uint8)
        half[2:18, :12] = 255
        sofa = Sample("sofa", np.full((20, 20, 3), 255, np.uint8), half, cutout=True)
        behind = torch.zeros(20, 3, HEIGHT, WIDTH)
        shown, where = Things([([sofa], 1.0)], CPU).stand(behind, [PERSON_BOX] * 20, 1.0, dice(20))
        columns = (shown[where, 0] > 0.5).any(1)
        assert (columns[:, 0] | columns[:, -1]).all() and columns[:, 0].any() and columns[:, -1].any()

    def test_where_people_fill_the_picture_there_is_none(self):
        behind = torch.zeros(9, 3, HEIGHT, WIDTH)
        shown, where = Things([([BAG], 1.0)], CPU).stand(behind, [(-0.1, 0, 1.2, 1)] * 9, 1.0, dice(9))
        assert shown is behind and where == []

    def test_pictures_that_are_not_composed_stay_as_they_are(self):
        behind = torch.zeros(4, 3, HEIGHT, WIDTH)
        _, where = Things([([BAG], 1.0)], CPU).stand(behind, [None, PERSON_BOX, None, PERSON_BOX], 1.0, dice(4))
        assert set(where) <= {1, 3} and where

    def test_what_is_cut_off_below_stands_at_the_edge(self):
        behind = torch.zeros(20, 3, HEIGHT, WIDTH)
        shown, where = Things([([PLANT], 1.0)], CPU).stand(behind, [PERSON_BOX] * 20, 1.0, dice(20))
        assert (shown[where, 0, -1] > 0.5).any(1).all()


class TestFolders:
    def test_of_renders_what_people_hold(self, data_folder):
        folder = data_folder / "rendered" / "train"
        found = samples("things", folder)
        assert found
        for thing in found:
            facts = json.loads((folder / f"{thing.name}.json").read_text())
            assert len(facts["objects"]) == 1 and not facts["seated"]
            area = (thing.alpha > 127).sum()
            assert area == pytest.approx(facts["objects"][0]["area_px"], rel=0.1)
            assert thing.grip.height == pytest.approx(
                (facts["objects"][0]["bbox"][3] - facts["objects"][0]["bbox"][1])
                / (facts["person_mask"]["bbox"][3] - facts["person_mask"]["bbox"][1])
            )

    def test_cut_out_of_photos(self, tmp_path):
        (tmp_path / "objects").mkdir()
        for name in ("a_0", "b_0"):
            cv2.imwrite(str(tmp_path / "objects" / f"{name}.webp"), np.dstack([WHITE, np.pad(SOLID[2:-2, 2:-2], 2)]))
        piece = {"photo": "a", "split": "train", "cls": "handbag", "box": [50, 40, 10, 20]}
        pieces = {"objects": {"a_0": piece, "b_0": piece | {"photo": "b", "split": "dev"}}}
        (tmp_path / "objects" / "index.json").write_text(json.dumps(pieces))
        photo = {"wh": [100, 100], "persons": [{"box": [40, 10, 20, 80]}], "objects": [], "pairs": []}
        (tmp_path / "interactions.json").write_text(json.dumps({"images": {"a": photo}}))
        (thing,) = samples("things", tmp_path / "objects", labels=tmp_path)
        assert thing.name == "a_0" and thing.grip == Grip(0.75, 0.5, 0.25, whole=True)
        assert samples("things", tmp_path / "objects")[0].grip is None

    def test_with_alpha_and_nobody(self, tmp_path):
        for kind, picture in (("images/toy.jpg", WHITE), ("alpha/toy.png", SOLID)):
            (tmp_path / kind).parent.mkdir()
            cv2.imwrite(str(tmp_path / kind), picture)
        (thing,) = samples("things", tmp_path)
        assert thing.grip is None and thing.alpha.min() == 255 and thing.cutout
        assert samples("things", tmp_path, split="dev") == []
