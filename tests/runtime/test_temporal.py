import itertools
from collections.abc import Callable

import numpy as np
from vmfm.runtime import Bundle, MattingStream
from vmfm.runtime.temporal import MOST, blend_previous, trust_in_previous

Disc = Callable[..., np.ndarray]


def net_map(value: float) -> np.ndarray:
    return np.full((1, 1, 32, 48), value, np.float32)


def grey(value: float) -> np.ndarray:
    return np.full((1, 3, 32, 48), value, np.float32)


def test_trust_needs_doubt_and_stillness() -> None:
    assert trust_in_previous(grey(0.5), grey(0.5), net_map(1.0)).min() == np.float32(MOST)
    assert trust_in_previous(grey(0.5), grey(0.5), net_map(0.0)).max() == 0
    assert trust_in_previous(grey(0.5), grey(0.6), net_map(1.0)).max() == 0


def test_blend_is_the_weighted_mean_and_touches_nothing_else() -> None:
    rng = np.random.default_rng(0)
    alpha, previous = rng.random((2, 96, 144), np.float32)
    trust = np.zeros((32, 48), np.float32)
    trust[10:20, 20:30] = 0.5
    before, was = alpha.copy(), previous.copy()
    blend_previous(alpha, previous, trust, np.empty_like(alpha))
    np.testing.assert_allclose(alpha[36:54, 66:84], (before + was)[36:54, 66:84] / 2, atol=1e-6)
    np.testing.assert_array_equal(alpha[:27], before[:27])
    np.testing.assert_array_equal(alpha[:, 93:], before[:, 93:])


def flicker(mattes: list[np.ndarray], where: np.ndarray) -> float:
    return float(np.mean([np.abs(b - a)[where].mean() for a, b in itertools.pairwise(mattes)]))


def run(bundle: Bundle, frames: list[np.ndarray], temporal: bool) -> list[np.ndarray]:
    with MattingStream(bundle, temporal=temporal, patches=0) as stream:
        return [stream.step(frame).alpha for frame in frames]


def test_flicker_of_a_static_scene_is_lowered(tiny_bundle: Bundle, disc: Disc) -> None:
    rng = np.random.default_rng(1)
    still = disc().astype(int)
    frames = [np.clip(still + rng.integers(-2, 3, still.shape), 0, 255).astype(np.uint8) for _ in range(8)]
    unsure = (disc()[..., 0] > 40) & (disc()[..., 0] < 215)
    assert flicker(run(tiny_bundle, frames, True), unsure) < 0.6 * flicker(run(tiny_bundle, frames, False), unsure)


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
