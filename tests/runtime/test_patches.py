from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.runtime.patches import LEAST_DEVIATION, LEVELS, UNSURE, gather, scatter, select

sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))
counts = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)


def brute_force_select(deviation: np.ndarray, count: int) -> list[tuple[int, int]]:
    height, width = deviation.shape
    cells = []
    for top in range(0, height, 16):
        for left in range(0, width, 16):
            cell = deviation[top : top + 16, left : left + 16]
            cells.append((float(cell.max()), *middle(cell, top, left)))
    cells.sort(key=lambda cell: -cell[0])  # stable: earlier cells first among equals
    corners = [
        (min(max(y - 8, 0), max(height - 16, 0)), min(max(x - 8, 0), max(width - 16, 0)))
        for score, y, x in cells
        if score >= LEAST_DEVIATION or (score, y, x) == cells[0]
    ]
    return [*corners, *[corners[0]] * count][:count]


def middle(cell: np.ndarray, top: int, left: int) -> tuple[int, int]:
    weights = {(y, x): int(np.float32(value) * LEVELS) ** 4 for (y, x), value in np.ndenumerate(cell)}
    if not any(weights.values()):
        return top + 8, left + 8
    total, half = sum(weights.values()), Fraction(1, 2)
    y, x = (Fraction(sum(place[axis] * weight for place, weight in weights.items()), total) for axis in (0, 1))
    return top + int(y + half), left + int(x + half)


def random_frame(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    # Few distinct deviations, so that ties happen all the time.
    return frame, rng.random(size, np.float32), rng.integers(0, 40, size).astype(np.float32) / 40


def corners_of(deviation: np.ndarray, count: int) -> np.ndarray:
    corners = np.full((count, 2), -1, np.int32)
    select(deviation, corners)
    return corners


@given(sizes, counts, seeds)
def test_select_equals_brute_force(size: tuple[int, int], count: int, seed: int) -> None:
    _, _, deviation = random_frame(size, seed)
    assert list(map(tuple, corners_of(deviation, count).tolist())) == brute_force_select(deviation, count)


def test_select_spends_no_patch_where_nothing_is_unsure() -> None:
    deviation = np.zeros((64, 64), np.float32)
    deviation[40, 40] = 0.5
    assert (corners_of(deviation, 5) == (32, 32)).all()


@given(sizes, counts, seeds)
def test_scatter_of_what_was_gathered_changes_nothing(size: tuple[int, int], count: int, seed: int) -> None:
    frame, alpha, deviation = random_frame(size, seed)
    corners, patches = corners_of(deviation, count), np.zeros((count, 4, 16, 16), np.float32)
    gather(frame, alpha, corners, patches)
    back = alpha.copy()
    scatter(back, deviation, patches[:, :1], corners)
    np.testing.assert_allclose(back, alpha, atol=1e-6)


@given(sizes, counts, seeds)
def test_scatter_moves_unsure_pixels_by_the_patches_weights(size: tuple[int, int], count: int, seed: int) -> None:
    _, alpha, deviation = random_frame(size, seed)
    corners = corners_of(deviation, count)
    refined = np.random.default_rng(seed).uniform(-0.2, 1.2, (count, 1, 16, 16)).astype(np.float32)
    window = np.sin(np.pi * (np.arange(16) + 0.5) / 16)
    change, total = np.zeros(size), np.zeros(size)
    for number, ((y, x), patch) in enumerate(zip(corners, np.clip(refined[:, 0], 0, 1), strict=True)):
        if number and (corners[number] == corners[0]).all():
            continue
        under = alpha[y : y + 16, x : x + 16]
        inside = slice(under.shape[0]), slice(under.shape[1])
        weight = np.outer(window, window)[inside]
        change[y : y + 16, x : x + 16] += weight * (patch[inside] - under)
        total[y : y + 16, x : x + 16] += weight
    unsure = np.clip((deviation - 0.02) / (0.15 - 0.02), 0, 1)
    expected = alpha + unsure * change / np.maximum(total, 1)
    scatter(alpha, deviation, refined, corners)
    np.testing.assert_allclose(alpha, expected, atol=1e-5)
    assert alpha.min() >= 0 and alpha.max() <= 1


def test_a_patch_leaves_no_border_and_no_trace_where_the_matte_is_sure() -> None:
    alpha, deviation = np.zeros((48, 48), np.float32), np.full((48, 48), UNSURE, np.float32)
    deviation[:, :20] = LEAST_DEVIATION
    scatter(alpha, deviation, np.ones((1, 1, 16, 16), np.float32), np.array([[16, 16]], np.int32))
    assert alpha[24, 24] > 0.95  # the middle takes what the net says
    assert (
        max(alpha[16, 16:32].max(), alpha[31, 16:32].max(), alpha[16:32, 31].max()) < 0.11
    )  # the border nearly nothing
    assert not alpha[:, :20].any()


def test_gather_gives_alpha_then_rgb() -> None:
    frame, alpha, _ = random_frame((40, 50), 1)
    patches = np.zeros((1, 4, 16, 16), np.float32)
    gather(frame, alpha, np.array([[7, 9]], np.int32), patches)
    np.testing.assert_array_equal(patches[0, 0], alpha[7:23, 9:25])
    np.testing.assert_allclose(patches[0, 1:], frame[7:23, 9:25].transpose(2, 0, 1) / 255, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 3)])
def test_gather_repeats_the_border_of_small_frames(size: tuple[int, int]) -> None:
    frame, alpha, _ = random_frame(size, 2)
    patches = np.zeros((1, 4, 16, 16), np.float32)
    gather(frame, alpha, np.zeros((1, 2), np.int32), patches)
    assert patches[0, 0, 15, 15] == alpha[min(15, size[0] - 1), min(15, size[1] - 1)]
