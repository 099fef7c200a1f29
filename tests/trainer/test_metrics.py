"""The metrics against published golden values, cases worked out by hand, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from vmfm.trainer import metrics
from vmfm.trainer.errors import TrainerError

masks = arrays(np.uint8, (24, 20), elements=st.sampled_from([0, 0, 0, 40, 128, 200, 255, 255]))
DISTANCES = [metrics.sad, metrics.mse, metrics.mad, metrics.gradient_error, metrics.connectivity_error]


def rectangle(top, left, height, width, shape=(64, 64)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[top : top + height, left : left + width] = True
    return mask


class TestGoldenValues:
    """The values that open-mmlab's evaluators give on this pair; theirs look at the unknown part of a trimap."""

    truth = np.ones((32, 32))
    prediction = rectangle(16, 16, 16, 16, (32, 32)).astype(float)
    unknown = rectangle(0, 0, 16, 16, (32, 32))

    def test_sad(self):
        assert metrics.sad(self.prediction, self.truth) == pytest.approx(0.768)

    def test_mse(self):
        # theirs divides the error of the whole frame by the unknown area: 768 / 256 = 3
        squared_error = metrics.mse(self.prediction, self.truth) * 1e-3 * self.truth.size
        assert squared_error / self.unknown.sum() == pytest.approx(3.0)

    def test_gradient(self):
        assert metrics.gradient_error(self.prediction, self.truth, self.unknown) == pytest.approx(0.0028887, abs=5e-8)

    def test_connectivity(self):
        assert metrics.connectivity_error(self.prediction, self.truth, self.unknown) == pytest.approx(0.256)


class TestByHand:
    def test_half_of_a_frame_half_wrong(self):
        truth, prediction = np.zeros((10, 10)), np.zeros((10, 10))
        prediction[:5] = 51 / 255  # 50 pixels off by 0.2
        assert metrics.sad(prediction, truth) == pytest.approx(0.010)
        assert metrics.mad(prediction, truth) == pytest.approx(100)
        assert metrics.mse(prediction, truth) == pytest.approx(20)

    def test_the_prediction_is_rounded_to_8_bits_and_the_truth_is_not(self):
        truth = np.full((10, 10), 0.5)
        assert metrics.mad(np.full((10, 10), 0.5), truth) == pytest.approx(1e3 * (128 / 255 - 0.5))
        assert metrics.sad(np.full((10, 10), 0.0019), np.zeros((10, 10))) == 0

    def test_a_region_leaves_the_rest_out(self):
        prediction, region = rectangle(0, 0, 8, 64), rectangle(0, 0, 16, 64)
        assert metrics.mad(prediction, np.zeros((64, 64)), region) == pytest.approx(500)
        assert metrics.mad(prediction, np.zeros((64, 64)), np.zeros((64, 64), bool)) is None

    def test_connectivity_counts_an_island_and_not_a_small_dent(self):
        truth = rectangle(10, 10, 20, 20)
        island = truth | rectangle(50, 50, 4, 4)  # 16 pixels of foreground that hang on nothing
        assert metrics.connectivity_error(island, truth) == pytest.approx(0.016)
        dent = truth.astype(float)
        dent[20, 20] = 230 / 255  # 0.902: connected up to 0.9; the truth's gap of 0.1 is below theta
        assert metrics.connectivity_error(dent, truth) == 0

    def test_dtssd_sees_flicker_and_forgives_a_constant_error(self):
        truths = [np.zeros((8, 8))] * 3
        flicker = [np.zeros((8, 8)), np.ones((8, 8)), np.zeros((8, 8))]
        assert metrics.dtssd(flicker, truths) == pytest.approx(100)
        assert metrics.dtssd([np.ones((8, 8))] * 3, truths) == 0
        assert metrics.dtssd(truths[:1], truths[:1]) is None
        quarter = [np.zeros((8, 8)), rectangle(0, 0, 4, 4, (8, 8)).astype(float)]
        assert metrics.dtssd(quarter, truths[:2]) == pytest.approx(50)  # sqrt(1/4)

    def test_dtssd_wants_as_many_predictions_as_truths(self):
        with pytest.raises(ValueError):
            metrics.dtssd([np.zeros((8, 8))] * 2, [np.zeros((8, 8))] * 3)

    def test_iou(self):
        assert metrics.iou(rectangle(0, 0, 10, 10), rectangle(0, 5, 10, 10)) == pytest.approx(50 / 150)
        assert metrics.iou(np.zeros((8, 8)), np.zeros((8, 8))) == 1
        assert metrics.iou(np.full((8, 8), 0.5), np.ones((8, 8))) == 1  # 0.5 counts as foreground

    def test_object_recall_looks_at_the_object_without_its_rim(self):
        person, both = rectangle(0, 0, 40, 20), rectangle(0, 0, 40, 20) | rectangle(10, 20, 12, 12)
        assert metrics.object_core(both, person).sum() == 8 * 8
        assert metrics.object_recall(both, both, person) == 1
        assert metrics.object_recall(person, both, person) == 0
        top = both & ~rectangle(16, 20, 6, 12)  # keeps 4 of the 8 rows that are looked at
        assert metrics.object_recall(top, both, person) == pytest.approx(0.5)
        assert metrics.object_recall(person, person, person) is None

    def test_leak_starts_beyond_15_px(self):
        mask = rectangle(0, 0, 64, 10)
        near, far = rectangle(0, 10, 64, 15), rectangle(0, 25, 64, 39)
        assert metrics.leak(mask | near, mask) == 0
        assert metrics.leak(far, mask) == pytest.approx(1000)
        assert metrics.leak(far * 0.2, mask) == pytest.approx(200)
        assert metrics.leak(mask, np.ones((64, 64))) is None
        assert metrics.leak(np.ones((64, 64)), np.zeros((64, 64))) == pytest.approx(1000)

    def test_mad_outside_border_forgives_5_px_on_either_side(self):
        mask = rectangle(0, 0, 64, 32)
        assert metrics.mad_outside_border(rectangle(0, 0, 64, 37), mask) == 0
        assert metrics.mad_outside_border(rectangle(0, 0, 64, 27), mask) == 0
        assert metrics.mad_outside_border(rectangle(0, 0, 64, 38), mask) == pytest.approx(1000 * 1 / 54)

    def test_mean_of_leaves_out_what_is_missing(self):
        assert metrics.mean_of([1, None, 3]) == 2
        assert metrics.mean_of([None]) is None


class TestLaws:
    @given(masks)
    @settings(max_examples=30, deadline=None)
    def test_a_perfect_prediction_costs_nothing(self, alpha):
        for distance in DISTANCES:
            assert distance(alpha, alpha) == 0
        assert metrics.iou(alpha, alpha) == 1

    @given(masks, masks)
    @settings(max_examples=30, deadline=None)
    def test_distances_are_symmetric_and_not_negative(self, a, b):
        for distance in DISTANCES:
            assert distance(a, b) == pytest.approx(distance(b, a))
            assert distance(a, b) >= 0
        assert metrics.iou(a, b) == pytest.approx(metrics.iou(b, a))

    @given(masks, masks, st.integers(0, 12), st.integers(0, 12))
    @settings(max_examples=30, deadline=None)
    def test_moving_both_changes_nothing(self, a, b, down, right):
        def placed(alpha, top, left):
            canvas = np.zeros((64, 64), np.uint8)
            canvas[top : top + 24, left : left + 20] = alpha
            return canvas

        for distance in DISTANCES:
            here = distance(placed(a, 8, 8), placed(b, 8, 8))
            there = distance(placed(a, 8 + down, 8 + right), placed(b, 8 + down, 8 + right))
            # of two largest parts of the same size the first in reading order wins, wherever both are
            assert there == pytest.approx(here, abs=1e-9)

    @given(masks, masks)
    @settings(max_examples=30, deadline=None)
    def test_mirroring_both_changes_nothing_but_ties(self, a, b):
        for distance in [metrics.sad, metrics.mse, metrics.mad, metrics.gradient_error]:
            assert distance(a[:, ::-1], b[:, ::-1]) == pytest.approx(distance(a, b))
            assert distance(a.T, b.T) == pytest.approx(distance(a, b))

    @given(masks, masks)
    @settings(max_examples=30, deadline=None)
    def test_a_region_and_its_complement_add_up(self, a, b):
        region = np.arange(24 * 20).reshape(24, 20) % 3 == 0
        for summed in [metrics.sad, metrics.gradient_error, metrics.connectivity_error]:
            assert summed(a, b, region) + summed(a, b, ~region) == pytest.approx(summed(a, b))

    def test_every_kind_of_array_scores_the_same(self):
        mask = rectangle(10, 10, 20, 20)
        for same in [mask.astype(np.uint8) * 255, mask.astype(np.float32), mask.astype(np.float64)]:
            assert metrics.sad(same, mask) == 0


class TestRefusals:
    @pytest.mark.parametrize(
        "prediction",
        [
            np.zeros((8, 9)),
            np.zeros((8, 8, 1)),
            np.zeros((0, 0)),
            np.full((8, 8), 2.0),
            np.full((8, 8), np.nan),
            np.zeros((8, 8), np.int64),
        ],
        ids=["other size", "three dimensions", "empty", "out of range", "nan", "integers"],
    )
    def test_an_unusable_prediction(self, prediction):
        with pytest.raises(TrainerError):
            metrics.sad(prediction, np.zeros((8, 8)))

    def test_a_region_that_is_no_mask_of_the_frame(self):
        with pytest.raises(TrainerError, match="region"):
            metrics.sad(np.zeros((8, 8)), np.zeros((8, 8)), np.zeros((4, 4), bool))
