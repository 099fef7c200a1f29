import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.runtime import composite, estimate_foreground
from vmfm.runtime.errors import FrameError


def soft_disc(size: tuple[int, int] = (180, 240), softness: float = 6.0) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.clip((60 - np.hypot(y - 90, x - 120)) / softness + 0.5, 0, 1).astype(np.float32)


def colour(rgb: tuple[int, int, int], size: tuple[int, int] = (180, 240)) -> np.ndarray:
    return np.broadcast_to(np.array(rgb, np.uint8), (*size, 3)).copy()


def mix(alpha: np.ndarray, foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
    return np.rint(alpha[..., None] * foreground + (1 - alpha[..., None]) * background).astype(np.uint8)


SKIN, GREEN, BLUE = (200, 150, 120), (0, 255, 0), (20, 30, 90)


def test_old_background_does_not_leak_at_soft_edges() -> None:
    alpha = soft_disc()
    frame = mix(alpha, colour(SKIN), colour(GREEN))
    ideal = mix(alpha, colour(SKIN), colour(BLUE)).astype(int)
    edge = (alpha > 0.05) & (alpha < 0.95)
    naive = np.abs(mix(alpha, frame, colour(BLUE)).astype(int) - ideal)[edge].mean()
    ours = np.abs(composite(frame, alpha, colour(BLUE)).astype(int) - ideal)[edge].mean()
    assert ours < 3 < naive


def test_foreground_colours_are_recovered() -> None:
    alpha = soft_disc()
    foreground = estimate_foreground(mix(alpha, colour(SKIN), colour(GREEN)), alpha)
    assert np.abs(foreground[alpha > 0.2].astype(int) - SKIN).max() <= 12


@pytest.mark.parametrize("linear", [False, True])
def test_opaque_shows_the_frame_and_empty_the_background(linear: bool) -> None:
    rng = np.random.default_rng(0)
    frame, background = rng.integers(0, 256, (2, 50, 70, 3), dtype=np.uint8)
    alpha = np.zeros((50, 70), np.float32)
    alpha[:, 30:] = 1
    out = composite(frame, alpha, background, linear=linear)
    np.testing.assert_array_equal(out[:, 30:], frame[:, 30:])
    np.testing.assert_array_equal(out[:, :30], background[:, :30])


@pytest.mark.parametrize("linear", [False, True])
@given(seed=st.integers(0, 2**32 - 1), size=st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_a_foreground_over_itself_is_itself(linear: bool, seed: int, size: tuple[int, int]) -> None:
    """With the foreground's colour behind it too, alpha must not show, in either space."""
    rng = np.random.default_rng(seed)
    one_colour = colour(tuple(rng.integers(0, 256, 3).tolist()), size)
    alpha = rng.random(size, np.float32)
    out = composite(one_colour, alpha, one_colour, linear=linear)
    assert np.abs(out.astype(int) - one_colour).max() <= 1


def test_linear_blends_light() -> None:
    alpha = np.full((20, 20), 0.5, np.float32)
    alpha[:, :10] = 1
    out = composite(colour((255, 255, 255), (20, 20)), alpha, colour((0, 0, 0), (20, 20)), linear=True)
    assert abs(int(out[10, 15, 0]) - 188) <= 1  # half the light of white is sRGB 188


def test_a_large_picture_soft_everywhere_equals_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    frame, background = rng.integers(0, 256, (2, 90, 130, 3), dtype=np.uint8)
    alpha = rng.uniform(0.1, 0.9, (90, 130)).astype(np.float32)
    whole = composite(frame, alpha, background)
    monkeypatch.setattr(importlib.import_module("vmfm.runtime.composite"), "PIECE", 1000)
    np.testing.assert_array_equal(composite(frame, alpha, background), whole)
    backwards = (picture[::-1].copy()[::-1] for picture in (frame, alpha, background))  # views, not contiguous
    np.testing.assert_array_equal(composite(*backwards), whole)


def test_inputs_stay_as_they_were() -> None:
    alpha = soft_disc()
    frame, background = mix(alpha, colour(SKIN), colour(GREEN)), colour(BLUE)
    before = frame.copy(), alpha.copy(), background.copy()
    composite(frame, alpha, background)
    for now, then in zip((frame, alpha, background), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("alpha", "background", "says"),
    [
        (np.zeros((8, 9), np.float32), np.zeros((8, 8, 3), np.uint8), "alpha is float32"),
        (np.zeros((8, 8), np.float64), np.zeros((8, 8, 3), np.uint8), "alpha is float64"),
        (np.zeros((8, 8), np.float32), np.zeros((4, 8, 3), np.uint8), "background is 8x4 and the frame 8x8"),
        (np.zeros((8, 8), np.float32), np.zeros((8, 8), np.uint8), "background is uint8"),
    ],
)
def test_what_does_not_fit_is_told(alpha: np.ndarray, background: np.ndarray, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        composite(np.zeros((8, 8, 3), np.uint8), alpha, background)
