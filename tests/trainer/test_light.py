"""Light on composed pictures: what the foreground takes over from the background, and where shadows fall."""

import pytest
import torch
from vmfm.trainer.data.dice import Dice
from vmfm.trainer.data.light import colour_apart, shadow

CPU = torch.device("cpu")


def dice(size=1, seed=0):
    return Dice(size, slice(None), seed, CPU)


class Still(Dice):
    """Every draw in the middle of its range, so that no light changes but the one looked at."""

    def uniform(self, low=0.0, high=1.0, channels=1):
        return torch.full((self.size, channels, 1, 1), (low + high) / 2)


def picture(mean, contrast, size=32):
    rows = torch.arange(size) % 2 * 2 - 1  # blocks of the size at which statistics are taken
    return (mean + contrast * rows.repeat_interleave(8)[:size, None].float()).expand(1, 3, size, size).clone()


@pytest.mark.parametrize(("mean", "contrast"), [(0.8, 0.05), (0.2, 0.05), (0.5, 0.2)])
def test_the_foreground_is_drawn_toward_the_backgrounds_mean_and_contrast(mean, contrast):
    rgb, behind = picture(0.45, 0.1), picture(mean, contrast)
    alpha = torch.ones(1, 1, 32, 32)
    still = Still(1, slice(None), 0, CPU)
    changed, behind = colour_apart(rgb, alpha, behind, alpha[:, :, :1, :1], still)
    alone, _ = colour_apart(rgb, alpha, rgb, alpha[:, :, :1, :1], still)
    for statistic in (torch.mean, torch.std):
        before, after, aim = (float(statistic(v)) for v in (alone, changed, behind))
        assert abs(after - aim) < abs(before - aim)
        assert (after - before) * (aim - before) > 0


def test_what_lies_outside_the_foreground_does_not_count():
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., 8:24, 8:24] = 1
    rgb, behind = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    spoiled = torch.where(alpha > 0, rgb, torch.zeros(()))
    composed = torch.ones(1, 1, 1, 1)
    clean, _ = colour_apart(rgb, alpha, behind, composed, dice())
    again, _ = colour_apart(spoiled, alpha, behind, composed, dice())
    torch.testing.assert_close(clean * alpha, again * alpha)


def test_a_photo_keeps_its_colours():
    rgb = torch.rand(2, 3, 32, 32)
    kept, _ = colour_apart(rgb, torch.ones(2, 1, 32, 32), torch.rand(2, 3, 32, 32), torch.zeros(2, 1, 1, 1), dice(2))
    assert torch.equal(kept, rgb)


class TestShadow:
    alpha = torch.zeros(40, 1, 64, 64)
    alpha[:, :, 24:56, 24:40] = 1

    def test_no_strength_no_shadow(self):
        light = shadow(self.alpha, torch.zeros(40, 1, 1, 1), dice(40))
        assert torch.equal(light, torch.ones_like(light))

    def test_it_takes_at_most_its_strength_and_has_about_the_size_of_who_casts_it(self):
        strength = torch.linspace(0.1, 0.7, 40).view(-1, 1, 1, 1)
        light = shadow(self.alpha, strength, dice(40))
        assert light.shape == self.alpha.shape
        assert (light >= 1 - strength - 1e-6).all() and light.max() <= 1
        area = ((1 - light) / strength).sum((1, 2, 3)) / self.alpha[0].sum()
        assert 0.3 < area.min() and area.max() < 2

    def test_it_falls_to_either_side(self):
        light = shadow(self.alpha, torch.ones(40, 1, 1, 1), dice(40))
        x = ((1 - light) * torch.arange(64.0)).sum((1, 2, 3)) / (1 - light).sum((1, 2, 3))
        assert (x < 28).any() and (x > 36).any()

    def test_nobody_casts_none(self):
        assert shadow(torch.zeros(2, 1, 32, 32), torch.ones(2, 1, 1, 1), dice(2)).min() == 1
