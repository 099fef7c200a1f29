import itertools
from collections.abc import Callable

import numpy as np
import pytest
from vmfm.runtime import Bundle, MattingStream
from vmfm.runtime.temporal import LONGEST, steady

Disc = Callable[..., np.ndarray]


class Scene:
    """A grey scene, and what the stabiliser makes of frame after frame of it."""

    def __init__(self) -> None:
        self.memory = np.full((1, 7, 32, 48), np.nan, np.float32)
        self.first = True

    def step(self, alpha: np.ndarray | float, *, doubt: float = 1.0, grey: np.ndarray | float = 0.5) -> np.ndarray:
        """alpha, grey: (32, 48) or one value for all. Returns alpha (32, 48), steadied."""

        def net_map(value: np.ndarray | float, channels: int = 1) -> np.ndarray:
            return np.broadcast_to(np.float32(value), (1, channels, 32, 48)).copy()

        out = net_map(alpha)
        steady(net_map(grey, 3), net_map(doubt), out, net_map(doubt), self.memory, first=self.first)
        self.first = False
        return out[0, 0]


def test_a_doubtful_pixel_that_stands_still_shows_the_mean_of_what_was_said() -> None:
    scene, said = Scene(), [0.2, 0.8, 0.5, 0.1, 0.9, 0.3]
    for count, alpha in enumerate(said, 1):
        np.testing.assert_allclose(scene.step(alpha), np.mean(said[:count]), atol=1e-6)


def test_what_is_long_gone_is_forgotten() -> None:
    scene = Scene()
    for _ in range(100):
        scene.step(1.0)
    shown = [scene.step(0.0).max() for _ in range(3 * LONGEST)]
    assert 0.9 < shown[0] and shown[-1] < 0.1


def test_a_sure_pixel_shows_its_own_frame() -> None:
    scene = Scene()
    scene.step(0.2, doubt=0.0)
    np.testing.assert_array_equal(scene.step(0.8, doubt=0.0), np.float32(0.8))


def test_doubt_lasts_a_few_frames() -> None:
    """A pixel that changes its mind, surely, after many doubtful frames: it gets its way, but not at once."""
    scene = Scene()
    for _ in range(LONGEST):
        scene.step(1.0)
    shown = [scene.step(0.0, doubt=0.0).max() for _ in range(15)]
    assert shown[0] > 0.9 and shown[-1] == 0
    assert all(later <= earlier for earlier, later in itertools.pairwise(shown))


@pytest.mark.parametrize("step", [0.015, 0.1, 0.5], ids=["a slow change of light", "a change", "a jump"])
def test_a_pixel_whose_colour_moved_shows_its_own_frame(step: float) -> None:
    """However slowly: what counts is how far the colour is from its mean, not from the last frame's."""
    scene = Scene()
    for _ in range(LONGEST):
        scene.step(1.0, grey=0.2)
    levels = np.arange(0.2, 0.75, step)[1:]
    assert scene.step(0.0, grey=float(levels[-1])).max() == 0
    for level in levels:
        last = scene.step(0.0, grey=float(level))
    assert last.max() < 0.15


def test_what_moves_elsewhere_changes_nothing_here() -> None:
    scene, grey, alpha = Scene(), np.full((32, 48), 0.5), np.full((32, 48), 0.2)
    scene.step(alpha)
    grey[:, 24:], alpha[:, 24:] = 0.9, 1.0
    shown = scene.step(alpha, grey=grey)
    np.testing.assert_array_equal(shown[:, 24:], np.float32(1))
    np.testing.assert_allclose(shown[:, :22], 0.2, atol=1e-6)


def flicker(mattes: list[np.ndarray], where: np.ndarray) -> float:
    return float(np.mean([np.abs(b - a)[where].mean() for a, b in itertools.pairwise(mattes)]))


def run(bundle: Bundle, frames: list[np.ndarray], temporal: bool) -> list[np.ndarray]:
    with MattingStream(bundle, temporal=temporal, patches=0) as stream:
        return [stream.step(frame).alpha for frame in frames]


def test_flicker_of_a_static_scene_is_lowered(tiny_bundle: Bundle, disc: Disc) -> None:
    """Under a lamp that flickers. The tiny bundle takes brightness for alpha, so its matte does too."""
    amounts = np.random.default_rng(1).integers(-2, 3, 12)
    frames = [np.clip(disc().astype(int) + amount, 0, 255).astype(np.uint8) for amount in amounts]
    unsure = (disc()[..., 0] > 40) & (disc()[..., 0] < 215)
    assert flicker(run(tiny_bundle, frames, True), unsure) < 0.5 * flicker(run(tiny_bundle, frames, False), unsure)


def test_moving_edge_is_not_delayed(tiny_bundle: Bundle, disc: Disc) -> None:
    frames = [disc(centre=(60, 50 + 4 * t)) for t in range(8)]
    for with_time, without in zip(run(tiny_bundle, frames, True), run(tiny_bundle, frames, False), strict=True):
        assert np.abs(with_time - without).mean() < 1e-3


def test_reset_and_a_new_size_forget_the_past(tiny_bundle: Bundle, disc: Disc) -> None:
    faint, strong = disc() // 2, disc()
    other = np.clip(faint.astype(int) + 2, 0, 255).astype(np.uint8)
    (alone,) = run(tiny_bundle, [other], True)
    with MattingStream(tiny_bundle, patches=0) as stream:
        stream.step(faint)
        assert np.abs(stream.step(other).alpha - alone).max() > 1e-4
        stream.reset()
        np.testing.assert_array_equal(stream.step(other).alpha, alone)
        stream.step(np.ascontiguousarray(strong[:96, :128]))
        np.testing.assert_array_equal(stream.step(other).alpha, alone)
