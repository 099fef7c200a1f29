"""Soft mattes from binary masks: closer to the truth than the mask, and folders of them that can be resumed."""

import json

import cv2
import numpy as np
import pytest
from vmfm.apps.main import run
from vmfm.trainer.data.cutouts import CutoutConfig, border_share, cut_objects, soften_folder
from vmfm.trainer.data.soften import (
    SoftenConfig,
    SoftenError,
    SoftMatte,
    hair_weight,
    mend_mask,
    soften,
    solve_alpha,
    trimap_from_mask,
)
from vmfm.trainer.errors import TrainerError

SIZE = 128  # small pictures: scale the lengths of the configuration up to keep bands of a few pixels
CONFIG = SoftenConfig(inner_px=12, outer_px=12, hair_inner_px=20, hair_outer_px=36, smallest_px=100)


def disc(x=64.0, y=64.0, radius=40.0, soft=0.5):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.clip((radius - np.hypot(columns - x, rows - y)) / (2 * soft) + 0.5, 0, 1)


def picture(alpha):
    """Smooth red foreground over smooth blue-green background, uint8 RGB, and the foreground alone."""
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE
    foreground = np.dstack([200 + 40 * rows, 40 + 30 * columns, 60 + 0 * rows])
    background = np.dstack([20 + 30 * columns, 120 + 60 * rows, 180 - 40 * rows])
    mixed = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    return np.rint(mixed).astype(np.uint8), foreground


class TestTrimap:
    def test_bands(self):
        mask = np.zeros((SIZE, SIZE), bool)
        mask[20:, 40:90] = True
        trimap = trimap_from_mask(mask, np.zeros_like(mask), CONFIG)
        # 12 px at 512 are 3 px here: three on each side of every outline are unknown
        assert np.flatnonzero(trimap[100] == 128).tolist() == [37, 38, 39, 40, 41, 42, 87, 88, 89, 90, 91, 92]
        assert trimap[100, 36] == 0 and trimap[100, 43] == 255
        assert trimap[-1, 64] == 255, "the photo's border is no outline"

    def test_hair_widens_the_band_at_the_top_of_each_person(self):
        person = np.zeros((SIZE, SIZE), bool)
        person[20:120, 20:50] = person[60:120, 80:110] = True
        hair = hair_weight(person, CONFIG)
        assert hair[25, 35] == hair[65, 95] == 1 and hair[119].max() == 0 and hair[25, 95] == 0
        trimap = trimap_from_mask(person, person, CONFIG)
        assert (trimap[25] == 128).sum() > (trimap[110, :64] == 128).sum()

    def test_mending_takes_crumbs_and_pin_holes_alone(self):
        mask = np.zeros((SIZE, SIZE), bool)
        mask[20:100, 20:100] = True
        flawed = mask.copy()
        flawed[50, 50:52] = False
        flawed[110, 110] = True
        assert (mend_mask(flawed, CONFIG) == mask).all()
        flawed[60:80, 60:80] = False
        assert not mend_mask(flawed, CONFIG)[60:80, 60:80].any()


class TestSoften:
    def test_a_soft_edge_is_found_again(self):
        alpha = disc(soft=2.5)
        image, foreground = picture(alpha)
        mask = alpha >= 0.5
        matte = soften(image, mask, np.zeros_like(mask), CONFIG)
        assert not matte.feathered and matte.iou > 0.97
        assert np.abs(matte.alpha - alpha).mean() < 0.4 * np.abs(mask - alpha).mean()
        edge = (alpha > 0.1) & (alpha < 0.9)
        background_in_it = np.abs(image - foreground)[edge].mean()
        assert np.abs(matte.foreground - foreground)[edge].mean() < 0.3 * background_in_it

    def test_what_strays_from_the_mask_is_feathered(self):
        image, _ = picture(disc(radius=30))
        mask = disc(radius=20) >= 0.5  # the colours say that the mask is far too small
        wide = SoftenConfig(inner_px=50, outer_px=50, prior=1e-6)
        matte = soften(image, mask, np.zeros_like(mask), wide)
        assert matte.feathered and matte.iou < 0.97
        assert np.abs(matte.alpha - mask).mean() < 0.02

    def test_without_colours_the_mask_decides(self):
        mask = disc() >= 0.5
        grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
        alpha = solve_alpha(grey, trimap_from_mask(mask, mask, CONFIG), mask, CONFIG)
        assert ((alpha >= 0.5) == mask).mean() > 0.99

    def test_a_trimap_that_knows_everything(self):
        mask = disc() >= 0.5
        trimap = np.where(mask, 255, 0).astype(np.uint8)
        assert (solve_alpha(picture(disc())[0], trimap, mask) == mask).all()

    @pytest.mark.parametrize("shape, mask", [((SIZE, 64), np.ones), ((SIZE, SIZE), np.zeros)])
    def test_what_cannot_be_softened(self, shape, mask):
        with pytest.raises(SoftenError):
            soften(picture(disc())[0], mask(shape, bool), np.zeros(shape, bool), CONFIG)


class TestObjects:
    def test_compact_things_are_cut_and_named(self):
        person, bag, strap = (np.zeros((SIZE, SIZE), bool) for _ in range(3))
        person[20:120, 50:80] = True
        bag[60:90, 84:110] = True
        strap[20:60, 30:34] = True
        mask = person | bag | strap
        matte = SoftMatte(mask.astype(np.float32), picture(mask.astype(float))[0], 1.0, 0.0, False)
        named = [{"cls": "handbag", "box": [84, 60, 26, 30]}]
        no_straps = CutoutConfig(min_thickness_px=20)
        (piece,) = cut_objects(matte, mask, person, named, no_straps)
        assert piece.cls == "handbag" and piece.solidity > 0.9
        x, y, w, h = piece.box
        assert piece.rgba.shape == (h, w, 4)
        alone = np.zeros((SIZE, SIZE))
        alone[y : y + h, x : x + w] = piece.rgba[..., 3] / 255
        assert alone[bag].mean() > 0.9 and alone[person].max() < 0.1
        assert not list(cut_objects(matte, mask, person, [{"cls": "hat", "box": [84, 60, 26, 30]}], no_straps))

    def test_border_share_ignores_the_feet(self):
        mask = np.zeros((SIZE, SIZE), bool)
        mask[-1] = True
        assert border_share(mask) < 0.01
        assert border_share(mask.T) > 0.3


@pytest.fixture
def photos(tmp_path):
    """Three photos of a disc with a bag beside it; "held_out" is in the dev split, "cut" lies on the border."""
    folder = tmp_path / "real" / "labelled"
    for kind in ("images", "person", "person_object"):
        (folder / kind).mkdir(parents=True)
    for name, x in (("first", 50), ("held_out", 60), ("cut", 8)):
        alpha = disc(x=x, radius=30)
        alpha[70:100, 95:118] = 1
        person = disc(x=x, radius=30) >= 0.5
        cv2.imwrite(
            str(folder / "images" / f"{name}.jpg"), picture(alpha)[0][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95]
        )
        cv2.imwrite(str(folder / "person" / f"{name}.png"), person * np.uint8(255))
        cv2.imwrite(str(folder / "person_object" / f"{name}.png"), (alpha >= 0.5) * np.uint8(255))
    (folder.parent / "splits.json").write_text(json.dumps({"labelled": {"dev": ["held_out"]}}))
    return folder


SMALL = CutoutConfig(matte=CONFIG, min_thickness_px=2)


class TestFolder:
    def test_what_is_written(self, photos, tmp_path):
        counts = soften_folder(photos, tmp_path / "out", SMALL)
        assert counts == {"soft": 2, "feathered": 0, "dropped": 1, "objects": 2}
        rgba = cv2.imread(str(tmp_path / "out/person_object/first.webp"), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(photos / "person_object/first.png"), cv2.IMREAD_GRAYSCALE) > 0
        assert rgba.shape == (SIZE, SIZE, 4)
        assert ((rgba[..., 3] > 127) == mask).mean() > 0.98
        index = json.loads((tmp_path / "out/person_object/index.json").read_text())["photos"]
        assert index["held_out"]["split"] == "dev" and index["first"]["split"] == "train"
        assert index["cut"]["state"] == "dropped" and "border" in index["cut"]["why"]
        pieces = json.loads((tmp_path / "out/objects/index.json").read_text())["objects"]
        assert {piece["photo"] for piece in pieces.values()} == {"first", "held_out"}
        assert not list((tmp_path / "out").rglob("*.part"))

    def test_a_second_run_does_only_what_is_missing(self, photos, tmp_path):
        out = tmp_path / "out"
        soften_folder(photos, out, SMALL, pattern="first")
        before = (out / "person_object/first.webp").stat().st_mtime_ns
        assert soften_folder(photos, out, SMALL)["soft"] == 2
        assert (out / "person_object/first.webp").stat().st_mtime_ns == before

    def test_skipping_takes_back_what_was_written(self, photos, tmp_path):
        out = tmp_path / "out"
        soften_folder(photos, out, SMALL)
        counts = soften_folder(photos, out, SMALL, skip=["first"])
        assert counts == {"soft": 1, "feathered": 0, "dropped": 2, "objects": 1}
        assert not (out / "person_object/first.webp").exists() and not list((out / "objects").glob("first*"))

    def test_no_photos(self, tmp_path):
        with pytest.raises(SoftenError, match="images"):
            soften_folder(tmp_path, tmp_path / "out")

    def test_a_missing_mask_is_named(self, photos, tmp_path):
        (photos / "person" / "first.png").unlink()
        with pytest.raises(TrainerError, match="first"):
            soften_folder(photos, tmp_path / "out", SMALL)

    def test_the_command(self, photos, tmp_path):
        skip = tmp_path / "skip.txt"
        skip.write_text("cut\n")
        arguments = ["data", "soften", str(photos), "--out", str(tmp_path / "out"), "--skip", str(skip)]
        assert run(arguments) == 0
        assert (tmp_path / "out/person_object/first.webp").exists()
