from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.runtime.patches import FADE, LEAST_DEVIATION, LEVELS, UNSURE, gather, scatter, select

sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))
counts = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)


def brute_force_select(deviation: np.ndarray, count: int) -> list[tuple[float, float, float]]:
    height, width = deviation.shape
    cells = []
    for top in range(0, height, 16):
        for left in range(0, width, 16):
            cell = deviation[top : top + 16, left : left + 16]
            cells.append((float(cell.max()), *middle(cell, top, left)))
    cells.sort(key=lambda cell: -cell[0])  # stable: earlier cells first among equals
    best = [cell for cell in cells[:count] if cell[0] >= np.float32(LEAST_DEVIATION)]
    bar = max([LEAST_DEVIATION, *(score for score, *_ in cells[len(best) :])])
    places = [(y, x, min((score - bar) / FADE, 1)) for score, y, x in best]
    return [*places, *[(0, 0, 0)] * count][:count]


def middle(cell: np.ndarray, top: int, left: int) -> tuple[float, float]:
    weights = {(y, x): int(np.float32(value) * LEVELS) ** 4 for (y, x), value in np.ndenumerate(cell)}
    if not any(weights.values()):
        return top + 7.5, left + 7.5
    total = sum(weights.values())
    y, x = (Fraction(sum(place[axis] * weight for place, weight in weights.items()), total) for axis in (0, 1))
    return float(top + y), float(left + x)


def random_frame(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    # Few distinct deviations, so that ties happen all the time.
    return frame, rng.random(size, np.float32), rng.integers(0, 40, size).astype(np.float32) / 40


def places_of(deviation: np.ndarray, count: int) -> np.ndarray:
    places = np.full((count, 3), -1, np.float32)
    select(deviation, places)
    return places


@given(sizes, counts, seeds)
def test_select_equals_brute_force(size: tuple[int, int], count: int, seed: int) -> None:
    _, _, deviation = random_frame(size, seed)
    np.testing.assert_allclose(places_of(deviation, count), brute_force_select(deviation, count), atol=1e-4)


def test_select_spends_no_patch_where_nothing_is_unsure() -> None:
    deviation = np.zeros((64, 64), np.float32)
    deviation[40, 40] = 0.5
    assert places_of(deviation, 5).tolist() == [[40, 40, 1], *[[0, 0, 0]] * 4]


@given(sizes, counts, seeds)
def test_scatter_of_what_was_gathered_changes_nothing(size: tuple[int, int], count: int, seed: int) -> None:
    frame, alpha, deviation = random_frame(size, seed)
    places, patches = places_of(deviation, count), np.zeros((count, 4, 16, 16), np.float32)
    gather(frame, alpha, places, patches)
    back = alpha.copy()
    scatter(back, deviation, patches[:, :1], places)
    np.testing.assert_allclose(back, alpha, atol=1e-6)


@given(sizes, counts, seeds)
def test_scatter_moves_unsure_pixels_by_the_patches_weights(size: tuple[int, int], count: int, seed: int) -> None:
    _, alpha, deviation = random_frame(size, seed)
    places = places_of(deviation, count)
    refined = np.random.default_rng(seed).uniform(-0.2, 1.2, (count, 1, 16, 16)).astype(np.float32)
    change, total = np.zeros(size), np.zeros(size)
    for (y, x, weight), patch in zip(places, np.clip(refined[:, 0], 0, 1), strict=True):
        top, left = (int(np.clip(np.rint(p - 7.5), 0, max(s - 16, 0))) for p, s in zip((y, x), size, strict=True))
        for row, column in np.ndindex(min(16, size[0]), min(16, size[1])):
            ways = top + row - y, left + column - x
            share = weight * np.prod([np.cos(np.pi * way / 16) if abs(way) < 8 else 0 for way in ways])
            change[top + row, left + column] += share * (patch[row, column] - alpha[top + row, left + column])
            total[top + row, left + column] += share
    unsure = np.clip((deviation - 0.02) / (0.15 - 0.02), 0, 1)
    expected = alpha + unsure * change / np.maximum(total, 1)
    scatter(alpha, deviation, refined, places)
    np.testing.assert_allclose(alpha, expected, atol=1e-5)
    assert alpha.min() >= 0 and alpha.max() <= 1


@given(seeds, st.integers(1, 30), st.sampled_from([1e-5, 1e-4]))
def test_a_little_more_deviation_changes_the_matte_a_little(seed: int, count: int, little: float) -> None:
    """Wherever cells change places in the order, fall out of it, or patches move on by a pixel."""
    rng = np.random.default_rng(seed)
    deviation = np.clip(rng.normal(0.1, 0.1, (48, 80)), 0, 1).astype(np.float32)
    other = np.clip(deviation + rng.uniform(-little, little, deviation.shape), 0, 1).astype(np.float32)
    alphas = []
    for seen in (deviation, other):
        alpha, places = np.zeros_like(deviation), places_of(seen, count)
        scatter(alpha, seen, np.ones((count, 1, 16, 16), np.float32), places)  # a net that wants all it can change
        alphas.append(alpha)
    # by the weight, 1 / FADE; by the doubt, 1 / 0.13; by the place's way, which levels of 1 / 256 make a staircase
    assert np.abs(alphas[0] - alphas[1]).max() < 0.02 + 100 * little


def test_a_patch_leaves_no_border_and_no_trace_where_the_matte_is_sure() -> None:
    alpha, deviation = np.zeros((48, 48), np.float32), np.full((48, 48), UNSURE, np.float32)
    deviation[:, :20] = LEAST_DEVIATION
    scatter(alpha, deviation, np.ones((1, 1, 16, 16), np.float32), np.array([[23.5, 23.5, 1]], np.float32))
    assert alpha[24, 24] > 0.95  # the middle takes what the net says
    assert (
        max(alpha[16, 16:32].max(), alpha[31, 16:32].max(), alpha[16:32, 31].max()) < 0.11
    )  # the border nearly nothing
    assert not alpha[:, :20].any()


def test_gather_gives_alpha_then_rgb() -> None:
    frame, alpha, _ = random_frame((40, 50), 1)
    patches = np.zeros((1, 4, 16, 16), np.float32)
    gather(frame, alpha, np.array([[14.7, 16.1, 1]], np.float32), patches)
    np.testing.assert_array_equal(patches[0, 0], alpha[7:23, 9:25])
    np.testing.assert_allclose(patches[0, 1:], frame[7:23, 9:25].transpose(2, 0, 1) / 255, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 3)])
def test_gather_repeats_the_border_of_small_frames(size: tuple[int, int]) -> None:
    frame, alpha, _ = random_frame(size, 2)
    patches = np.zeros((1, 4, 16, 16), np.float32)
    gather(frame, alpha, np.zeros((1, 3), np.float32), patches)
    assert patches[0, 0, 15, 15] == alpha[min(15, size[0] - 1), min(15, size[1] - 1)]
