import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.runtime.blur import DEFAULT_RADIUS, blur_background


def blurred(frame: np.ndarray, alpha: np.ndarray, radius_px: float | None) -> np.ndarray:
    background = np.full_like(frame, 77)
    blur_background(frame, alpha, background, radius_px)
    return background


@pytest.mark.parametrize("radius_px", [None, 3, 30, 500])
def test_blur_takes_no_colour_from_the_foreground(radius_px: float | None) -> None:
    frame = np.full((100, 100, 3), (0, 0, 200), np.uint8)
    frame[30:70, 30:70] = (255, 255, 0)
    alpha = np.zeros((100, 100), np.float32)
    alpha[30:70, 30:70] = 1
    outside = blurred(frame, alpha, radius_px)[alpha == 0].astype(int)
    assert np.abs(outside - (0, 0, 200)).max() <= 12


def test_blur_of_nothing_is_the_frame() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    np.testing.assert_array_equal(blurred(frame, np.zeros((48, 64), np.float32), 0), frame)


@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 60), st.integers(1, 60)), st.floats(0, 200))
def test_blur_makes_no_colour_that_was_not_there(seed: int, size: tuple[int, int], radius_px: float) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.integers(40, 201, (*size, 3), np.uint8)
    picture = blurred(frame, rng.random(size, np.float32), radius_px)
    assert 39 <= picture.min() and picture.max() <= 201


@pytest.mark.parametrize("size", [(360, 640), (720, 1280)])
def test_a_plain_wall_keeps_its_colour(size: tuple[int, int]) -> None:
    for level in range(0, 256, 5):
        wall = np.full((*size, 3), (level, 255 - level, 77), np.uint8)
        np.testing.assert_array_equal(blurred(wall, np.zeros(size, np.float32), None), wall)


def test_a_wider_blur_is_smoother() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (216, 300, 3), np.uint8)
    empty = np.zeros((216, 300), np.float32)
    spread = [blurred(frame, empty, radius_px).std() for radius_px in (0, 1, 3, None, 20)]
    assert spread == sorted(spread, reverse=True)
    np.testing.assert_array_equal(blurred(frame, empty, None), blurred(frame, empty, 216 * DEFAULT_RADIUS))
