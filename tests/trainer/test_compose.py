"""Batches: composition, what moves with a crop, what is unknown, and the same seed giving the same batch."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from vmfm.trainer.data import camera, compose, crops
from vmfm.trainer.data.compose import Chances, Composer
from vmfm.trainer.data.dice import Dice
from vmfm.trainer.data.interactions import Point
from vmfm.trainer.data.samples import Grip, Sample
from vmfm.trainer.data.store import Placement, Store
from vmfm.trainer.data.things import Things
from vmfm.trainer.errors import TrainerError

CPU = torch.device("cpu")
SIDE = 128


def disc(size=(96, 64), centre=(48, 32), radius=14.0):
    """uint8 (H, W) with a soft edge."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.rint(255 * np.clip((radius - np.hypot(y - centre[0], x - centre[1])) / 6 + 0.5, 0, 1)).astype(np.uint8)


def noise(size=(96, 64), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


CUTOUT = Sample(
    "cutout", noise(), disc(), person=disc(), depth=disc(), points=[Point(32.5, 48.5, (10, 10))], cutout=True
)
PHOTO = Sample("photo", noise(seed=1), disc(), person=disc(), points=[Point(32.5, 48.5, (10, 10))])
EMPTY = Sample("empty", noise(seed=2), np.zeros((96, 64), np.uint8), person=np.zeros((96, 64), np.uint8))


USUAL = Chances()
NOTHING = Chances(sharp=0, held=0, beside=0, crowd=0, defocus=0, shadow=0, motion=0, jpeg=0)
THINGS = [
    Sample("bag", noise((40, 30), seed=5), disc((40, 30), (20, 15), 12.0), cutout=True, grip=Grip(0.5, 0.5, 0.5, True)),
    Sample("plant", noise((30, 40), seed=6), disc((30, 40), (15, 20), 12.0), cutout=True),
]


def composer(*samples, chances=USUAL):
    stores = [(Store([sample], SIDE, CPU), 1.0) for sample in samples]
    behind = Store([EMPTY, replace(EMPTY, rgb=noise(seed=3))], SIDE, CPU)
    return Composer(stores, behind, CPU, Things([(THINGS, 1.0)], CPU), chances)


@pytest.fixture
def plain(monkeypatch):
    """A world with neither light nor camera: pictures are exactly what was composed."""
    monkeypatch.setattr(compose, "camera", lambda image, jpeg, dice: (image, lambda colours: colours))
    monkeypatch.setattr(compose, "colour_apart", lambda rgb, alpha, behind, composed, dice: (rgb, behind))


@pytest.mark.parametrize("effect", [None, "sharp", "held", "beside", "crowd", "defocus", "shadow", "motion"])
def test_a_composed_picture_is_the_composition_equation(plain, effect):
    chances = replace(NOTHING, **{effect: 1.0} if effect else {})
    batch = composer(CUTOUT, chances=chances).batch(12, 64, 96, seed=5)
    assert batch.composed.min() == 1
    mixed = batch.alpha * batch.foreground + (1 - batch.alpha) * batch.background
    torch.testing.assert_close(mixed, batch.image, atol=1e-3, rtol=0)  # below alpha 0.001 F* is any colour
    assert ((batch.alpha > 0.1) & (batch.alpha < 0.9)).any()
    if effect:
        without = composer(CUTOUT, chances=NOTHING).batch(12, 64, 96, seed=5)
        assert (without.image - batch.image).abs().amax((1, 2, 3)).gt(0.02).float().mean() > 0.5
        moves_alpha = effect in {"held", "crowd", "motion"}
        assert torch.equal(without.alpha, batch.alpha) != moves_alpha


def test_of_a_person_behind_no_more_counts_as_known_than_in_front(plain):
    """A cut-out without a mask of the person, depth or points: nobody may learn that there is no person, and infinitely far."""
    known = replace(CUTOUT, person=np.full((96, 64), 255, np.uint8), alpha=disc(), rgb=noise(seed=8))
    unknown = replace(CUTOUT, person=None, depth=None, points=[], sure_points=False, rgb=noise(seed=9))
    batch = composer(known, unknown, chances=replace(NOTHING, crowd=1.0)).batch(32, 64, 96, seed=5)
    alone = composer(known, unknown, chances=NOTHING).batch(32, 64, 96, seed=5)
    told = alone.depth_known.flatten() > 0
    behind = told & ~told.roll(1) & (batch.alpha - alone.alpha).amax((1, 2, 3)).gt(0.5)
    assert 0 < behind.sum() < 32
    assert (batch.depth_known[behind] == 0).all() and (batch.all_points_known[behind] == 0).all()
    added = (batch.alpha - alone.alpha)[behind] > 0.5
    assert (batch.person_known[behind][added] == 0).all()
    assert (batch.depth_known.flatten()[told & told.roll(1)] == 1).all()


def test_a_sharp_background_is_as_sharp_as_a_picture_made_small(plain):
    """Else the nets would learn that whatever is sharp is foreground."""

    def sharpness(chance):
        batch = composer(CUTOUT, chances=replace(NOTHING, sharp=chance)).batch(16, 64, 96, seed=5)
        changes = (batch.background[..., 1:] - batch.background[..., :-1]).abs().mean()
        return (changes / batch.background.std()).item()

    assert sharpness(1.0) > 1.4 * sharpness(0.0)


def test_of_two_people_the_one_behind_is_farther_and_both_are_people_where_they_meet(plain):
    batch = composer(CUTOUT, chances=replace(NOTHING, crowd=1.0)).batch(16, 64, 96, seed=5)
    alone = composer(CUTOUT, chances=NOTHING).batch(16, 64, 96, seed=5)
    behind = (batch.alpha > 0.9) & (alone.alpha < 0.01)
    before = alone.alpha > 0.99
    both = behind.any(dim=(1, 2, 3)) & before.any(dim=(1, 2, 3))
    for depth, far, near in zip(batch.depth[both], behind[both], before[both], strict=True):
        assert depth[far].max() <= depth[near].max()
    assert (batch.person - batch.alpha).abs().max() < 1e-5  # the cut-out holds nothing


def test_the_equation_holds_at_the_finer_size(plain):
    """And averaging it holds to the variation of colours under a pixel."""
    batch = composer(CUTOUT).batch(12, 64, 96, seed=5, fine=True)
    mixed = batch.alpha * batch.foreground + (1 - batch.alpha) * batch.background
    assert (mixed - batch.image).abs().mean() < 0.01


def test_light_and_camera_leave_truths_alone_and_colours_in_range(monkeypatch):
    chances = replace(NOTHING, defocus=1.0, shadow=1.0, jpeg=1.0)
    lit = composer(CUTOUT, chances=chances).batch(8, 64, 96, seed=5)
    monkeypatch.setattr(compose, "camera", lambda image, jpeg, dice: (image, lambda colours: colours))
    plain = composer(CUTOUT, chances=NOTHING).batch(8, 64, 96, seed=5)
    assert torch.equal(lit.alpha, plain.alpha) and torch.equal(lit.heatmap, plain.heatmap)
    assert torch.equal(lit.person, plain.person) and torch.equal(lit.depth, plain.depth)
    assert not torch.equal(lit.image, plain.image)


def test_all_is_in_range():
    batch = composer(CUTOUT, PHOTO, chances=Chances(*[1.0] * len(fields(Chances)))).batch(12, 64, 96, seed=5)
    for field in fields(batch):
        value = getattr(batch, field.name)
        assert 0 <= value.min() and value.max() <= 1, field.name


@pytest.mark.parametrize("jpeg", [0.0, 1.0])
def test_the_cameras_grain_is_on_foreground_and_backgrounds_too(monkeypatch, jpeg):
    """Else a discriminator would tell composites by their cleanness."""
    monkeypatch.setattr(camera, "blur", lambda image, sigma: image)
    batch = composer(CUTOUT, chances=replace(NOTHING, jpeg=jpeg)).batch(12, 64, 96, seed=5)
    for place, colours in ((batch.alpha == 1, batch.foreground), (batch.alpha == 0, batch.background)):
        torch.testing.assert_close(colours * place, batch.image * place, atol=1e-5, rtol=0)


def test_the_other_background_is_one_the_picture_was_not_taken_before(plain):
    batch = composer(CUTOUT, chances=NOTHING).batch(6, 64, 96, seed=5)
    assert torch.equal(batch.other_background, batch.background.roll(1, 0))
    assert (batch.other_background - batch.background).abs().mean((1, 2, 3)).min() > 0.05


def test_no_shadow_falls_on_the_other_background(plain):
    """Nobody stands before it."""
    lit = composer(CUTOUT, chances=replace(NOTHING, shadow=1.0)).batch(6, 64, 96, seed=5)
    unlit = composer(CUTOUT, chances=NOTHING).batch(6, 64, 96, seed=5)
    assert torch.equal(lit.other_background, unlit.other_background)


def test_photos_are_not_composed():
    batch = composer(PHOTO).batch(4, 64, 64, seed=1)
    assert batch.composed.max() == 0
    assert torch.equal(batch.foreground, batch.image) and torch.equal(batch.background, batch.image)


@pytest.mark.parametrize("fine", [False, True])
def test_the_heatmap_moves_with_the_crop(plain, fine):
    batch = composer(CUTOUT, PHOTO, chances=NOTHING).batch(40, 64, 96, seed=9, fine=fine)
    y, x = np.mgrid[:64, :96]
    seen = 0
    for alpha, heatmap in zip(batch.alpha[:, 0].numpy(), batch.heatmap[:, 0].numpy(), strict=True):
        if np.concatenate((alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])).max() > 0.02:
            continue  # the disc is cut off, so its centre is not to be told
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        assert abs((alpha * y).sum() / alpha.sum() - row) < 1.5 and abs((alpha * x).sum() / alpha.sum() - column) < 1.5
        seen += 1
    assert seen >= 6


@pytest.mark.parametrize("cutout", [False, True])
def test_points_land_where_their_pixels_do(cutout):
    rng = np.random.default_rng(4)
    place = Placement(100, 120, (30, 20, 70, 110), cutout)
    points = np.array([[[50.0, 60.0, 3.0, 1.0]]], np.float32)
    for _ in range(50):
        matrix = crops.choose(place, 1.5, rng)[None]
        moved = crops.move_points(points, matrix, 64, 96)
        grid = crops.grid(torch.from_numpy(matrix), 64, 96)[0].numpy()  # the source of every output pixel
        x, y = moved[0, 0, :2]
        if moved[0, 0, 3] == 0 or not (0 <= x < 96 and 0 <= y < 64):
            continue
        pixel_px = np.abs(np.linalg.det(matrix[0, :, :2] / (96, 64))) ** 0.5
        assert np.hypot(*(grid[int(y), int(x)] - (50, 60))) <= pixel_px
        assert moved[0, 0, 2] == pytest.approx(3 / pixel_px, rel=1e-4)


def test_a_point_outside_the_crop_is_none():
    look_left = np.array([[[40.0, 0, 0], [0, 40.0, 0]]], np.float32)
    points = np.array([[[50.0, 20.0, 3.0, 1.0], [20.0, 20.0, 3.0, 0.7]]], np.float32)
    assert crops.move_points(points, look_left, 64, 64)[0, :, 3].tolist() == pytest.approx([0, 0.7])


def test_photo_crops_stay_inside_the_photo():
    rng = np.random.default_rng(4)
    for _ in range(100):
        x, y, height = crops.photo_crop(Placement(100, 120, (30, 20, 70, 110), False), 0.75, rng)
        assert x >= 0 and y >= 0 and x + 0.75 * height <= 100 + 1e-6 and y + height <= 120 + 1e-6


@pytest.mark.parametrize("edge", ["left", "right", "bottom"])
def test_who_is_cut_off_by_the_source_stays_at_the_crops_border(edge):
    rng, width, height = np.random.default_rng(4), 100, 120
    box = {"left": (0, 20, 60, 90), "right": (40, 20, 100, 90), "bottom": (30, 20, 70, 120)}[edge]
    for _ in range(50):
        x, y, crop_height = crops.cutout_crop(Placement(width, height, box, True), 1.2, rng)
        if edge == "left":
            assert x >= 0
        elif edge == "right":
            assert x + 1.2 * crop_height <= width + 1e-6
        else:
            assert y + crop_height <= height + 1e-6


class TestUnknown:
    def test_what_a_photo_does_not_know(self):
        unknown = np.zeros((96, 64), np.uint8)
        unknown[:48] = 255
        batch = composer(replace(PHOTO, alpha_unknown=unknown)).batch(8, 64, 64, seed=2)
        assert 0 < batch.alpha_known.mean() < 1
        assert batch.person_known.min() == 1 and batch.depth_known.max() == 0

    def test_no_matte_and_no_person_at_all(self):
        batch = composer(replace(PHOTO, alpha=None, person=None, sure_points=False)).batch(4, 64, 64, seed=2)
        assert batch.alpha_known.max() == 0 and batch.person_known.max() == 0
        assert batch.all_points_known.max() == 0

    def test_a_cutout_knows_all(self):
        batch = composer(CUTOUT, chances=NOTHING).batch(4, 64, 64, seed=2)
        assert batch.alpha_known.min() == 1 and batch.depth_known.min() == 1

    def test_nobody_knows_how_far_a_thing_beside_would_be(self):
        batch = composer(CUTOUT, chances=replace(NOTHING, beside=1.0)).batch(8, 64, 96, seed=2)
        assert batch.alpha_known.min() == 1 and batch.depth_known.mean() < 0.5

    def test_one_unknown_fine_pixel_makes_the_pixel_unknown(self):
        unknown = np.zeros((96, 64), np.uint8)
        unknown[20:30, 20:30] = 255
        batch = composer(replace(PHOTO, alpha_unknown=unknown)).batch(4, 64, 64, seed=2, fine=True)
        shrunk = -torch.nn.functional.max_pool2d(-batch.fine_alpha_known, 2)
        assert torch.equal(shrunk, batch.alpha_known)


def test_the_finer_size():
    batch = composer(CUTOUT).batch(2, 64, 96, seed=3, fine=True)
    assert batch.image.shape == (2, 3, 64, 96) and batch.fine_image.shape == (2, 3, 128, 192)
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(batch.fine_alpha, 2), batch.alpha)


def test_the_seed_is_all_the_chance_there_is():
    torch.manual_seed(1)
    first = composer(CUTOUT, PHOTO).batch(6, 64, 64, seed=2**40 + 7)
    torch.manual_seed(2)
    again, other = (composer(CUTOUT, PHOTO).batch(6, 64, 64, seed=seed) for seed in (2**40 + 7, 8))
    for field in fields(first):
        assert torch.equal(getattr(first, field.name), getattr(again, field.name)), field.name
    assert not torch.equal(first.image, other.image)


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("parts", [2, 3, 6])
def test_a_part_is_what_it_is_in_the_whole_batch(fine, parts):
    """Whatever chance, neighbours and stores have to do with a picture: processes compose one batch between them."""
    # Places are up to 100 pixels in float32, 8e-6 apart, and some CPUs round them otherwise in smaller batches.
    rounding = 1e-5
    drawn, share = composer(CUTOUT, PHOTO, replace(CUTOUT, rgb=noise(seed=8))), 6 // parts
    for seed in range(4):
        whole = drawn.batch(6, 64, 96, seed, fine=fine)
        rows = [range(first, first + share) for first in range(0, 6, share)]
        made = [drawn.batch(6, 64, 96, seed, fine=fine, rows=r) for r in rows]
        for field in fields(whole):
            joined = torch.cat([getattr(part, field.name) for part in made])
            torch.testing.assert_close(joined, getattr(whole, field.name), atol=rounding, rtol=0, msg=field.name)


def test_what_is_no_probability():
    with pytest.raises(TrainerError, match="the chance of shadow is 30"):
        Chances(shadow=30)


def test_shares():
    drawn = Composer(
        [(Store([CUTOUT], SIDE, CPU), 3.0), (Store([PHOTO], SIDE, CPU), 1.0)], Store([EMPTY], SIDE, CPU), CPU
    )
    composed = torch.cat([drawn.batch(50, 32, 32, seed=i).composed for i in range(4)])
    assert composed.mean() == pytest.approx(0.75, abs=0.1)


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (64, 64)])
def test_where_a_photo_or_cut_off_cutout_ends_nothing_fades(plain, size):
    """Frames cut people off all the time; beyond the border of the source lies nothing that could shine in."""
    full = np.full((90, 60), 255, np.uint8)
    photo = Sample("full", np.full((90, 60, 3), 200, np.uint8), full, person=full)
    batch = composer(photo, chances=NOTHING).batch(16, *size, seed=1)
    assert batch.alpha.min() > 1 - 1e-5 and batch.image.min() > 200 / 255 - 1e-5
    below = np.zeros((90, 60), np.uint8)
    below[40:, 20:40] = 255
    batch = composer(replace(photo, alpha=below, person=below, cutout=True), chances=NOTHING).batch(16, *size, seed=1)
    bottom = batch.alpha[:, 0, -1]
    assert (bottom.amax(-1) > 0.999).all()


def test_more_points_than_are_kept_are_not_all_there_are():
    many = [Point(10 + n, 20, (5, 5)) for n in range(11)]
    assert Store([replace(PHOTO, points=many), PHOTO], SIDE, CPU).sure_points.tolist() == [0, 1]


def test_seeds_stages_and_pictures_draw_their_own_chance():
    dice = [Dice(4, slice(None), seed, CPU) for seed in ((64 << 32) + 5, (65 << 32) + 5)]
    assert not torch.equal(dice[0].uniform(), dice[1].uniform())
    streams = [each.random() for each in (dice[0].host, *dice[0].own)]
    assert len(set(streams)) == 5
