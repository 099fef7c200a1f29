"""Interaction points and their heatmaps: CornerNet's radius, PPDM's points, our floor."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from vmfm.trainer.data.interactions import (
    FLOOR,
    gaussian_radius,
    lone_point,
    pair_point,
    points_of,
    points_of_render,
    render,
    sigma,
)

SIDES = st.floats(1, 2000)


@given(SIDES, SIDES)
def test_corners_may_wander_by_the_radius_and_no_further(width, height):
    r, area = gaussian_radius(width, height), width * height
    shifted = (width - r) * (height - r)
    overlaps = (
        shifted / (2 * area - shifted),  # one corner in, one out
        (width - 2 * r) * (height - 2 * r) / area,  # both in
        area / ((width + 2 * r) * (height + 2 * r)),  # both out
    )
    assert min(overlaps) == pytest.approx(0.7, abs=1e-6)


@given(SIDES, SIDES, st.floats(0.1, 10))
def test_the_radius_grows_with_the_box_and_does_not_care_which_side_is_which(width, height, scale):
    r = gaussian_radius(width, height)
    assert gaussian_radius(height, width) == pytest.approx(r)
    assert gaussian_radius(scale * width, scale * height) == pytest.approx(scale * r, rel=1e-6, abs=1e-9)


def test_a_square_by_hand():
    # both in is the tightest: (100 - 2 r)^2 = 0.7 * 100^2
    assert gaussian_radius(100, 100) == pytest.approx(50 * (1 - math.sqrt(0.7)))


def test_centres_in_line_have_no_radius():
    assert gaussian_radius(80, 0) == 0
    assert sigma(pair_point((0, 0, 10, 10), (80, 0, 10, 10))) == pytest.approx(1 / 6)


def test_a_pair_peaks_midway_and_spans_the_centres():
    point = pair_point((0, 0, 20, 100), (40, 30, 20, 20), confidence=0.5)
    assert point == (30, 45, (40, 10), 0.5, 100, False)


def test_a_lone_person_peaks_at_the_own_centre():
    point = lone_point((10, 20, 30, 40))
    assert point[:2] == (25, 40) and point.height == 40


def entry(*pairs):
    return {
        "persons": [{"box": [0, 0, 10, 20]}, {"box": [50, 0, 10, 20]}],
        "objects": [{"box": [20, 10, 4, 4]}],
        "pairs": pairs,
    }


def test_a_photo_has_a_point_per_best_pair_and_per_idle_person():
    best = {"person": 0, "object": 0, "rank": 0, "confidence": 0.4}
    other = {"person": 0, "object": 0, "rank": 1, "confidence": 0.9}
    pair, idle = points_of(entry(best, other), weigh=True)
    assert (pair.x, pair.y, pair.confidence) == (13.5, 11, 0.4)
    assert (idle.x, idle.y, idle.confidence) == (55, 10, 1)
    assert points_of(entry(best), weigh=False)[0].confidence == 1


def test_a_render_has_a_point_per_thing_and_per_idle_person_who_is_seen():
    thing = {"bbox": [20, 10, 24, 14], "person": 1, "person_bbox": [50, 0, 60, 20]}
    people = [{"bbox": [0, 0, 10, 20]}, {"bbox": [50, 0, 60, 20]}, {"bbox": None}]
    pair, idle = points_of_render({"person_mask": people[0], "persons": people, "objects": [thing]})
    assert (pair.x, pair.y) == (38.5, 11)
    assert (idle.x, idle.y) == (5, 10)
    (alone,) = points_of_render({"person_mask": people[0], "objects": []})
    assert alone == idle


class TestRender:
    def test_a_peak_by_hand(self):
        heatmap = render(torch.tensor([[[10.5, 4.5, 3.0, 1.0]]]), 16, 32)
        assert heatmap.shape == (1, 1, 16, 32)
        assert heatmap[0, 0, 4, 10] == 1
        assert heatmap[0, 0, 4, 13] == pytest.approx(math.exp(-0.5))
        assert heatmap[0, 0, 7, 13] == pytest.approx(math.exp(-1))

    def test_small_spreads_are_floored(self):
        heatmap = render(torch.tensor([[[32.5, 32.5, 0.0, 1.0]]]), 64, 64)
        floor = FLOOR * 64
        assert heatmap[0, 0, 32, 34] == pytest.approx(math.exp(-2 / floor**2))

    def test_peaks_merge_by_their_maximum(self):
        one, two = [8.5, 8.5, 4.0, 1.0], [14.5, 8.5, 4.0, 0.6]
        both = render(torch.tensor([[one, two]]), 16, 32)
        alone = [render(torch.tensor([[point]]), 16, 32) for point in (one, two)]
        assert torch.equal(both, torch.maximum(*alone))
        assert alone[1].max() == pytest.approx(0.6)

    def test_no_confidence_is_no_point(self):
        assert render(torch.zeros(2, 3, 4), 32, 32).max() == 0
