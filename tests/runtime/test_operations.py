"""Laws of preprocessing, fusion and upsampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.runtime.errors import FrameError
from vmfm.runtime.fusion import fuse
from vmfm.runtime.preprocess import check_frame, preprocess
from vmfm.runtime.upsample import upsample

seeds = st.integers(0, 2**32 - 1)
frame_sizes = st.tuples(st.integers(1, 150), st.integers(1, 150))
units = st.floats(0, 1, width=32)


def net_map(value: float | np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.float32(value), (1, 1, 64, 96)).copy()


def upsampled(frame: np.ndarray, alpha_net: np.ndarray, deviation_net: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    image = np.zeros((1, 3, *alpha_net.shape[2:]), np.float32)
    preprocess(frame, image)
    alpha, deviation = (np.full(frame.shape[:2], np.nan, np.float32) for _ in range(2))
    upsample(frame, image, alpha_net, deviation_net, alpha, deviation)
    return alpha, deviation


def noise(size: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@given(frame_sizes, seeds, units, units)
def test_upsampled_constant_is_constant(size: tuple[int, int], seed: int, a: float, d: float) -> None:
    alpha, deviation = upsampled(noise(size, seed), net_map(a), net_map(d))
    np.testing.assert_allclose(alpha, a, atol=2e-3)
    np.testing.assert_allclose(deviation, d, atol=1e-5)


@given(frame_sizes, seeds)
def test_upsampled_stays_in_range(size: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = [(rng.random((1, 1, 64, 96)) > 0.5).astype(np.float32) for _ in range(2)]
    for full in upsampled(noise(size, seed), *maps):
        assert full.min() >= 0 and full.max() <= 1


def test_upsampled_edge_falls_on_the_frame_edge() -> None:
    """A net-size edge is 4 px wide on the frame; with the frame's help it becomes much sharper."""
    frame = np.zeros((256, 384, 3), np.uint8)
    frame[:, 190:] = 200
    truth = (frame[..., 0] > 100).astype(np.float32)
    small = np.zeros((1, 3, 64, 96), np.float32)
    preprocess(frame, small)
    alpha_net = small[:, :1] / small.max()
    plain, _ = upsampled(np.full_like(frame, 100), alpha_net, alpha_net)
    guided, _ = upsampled(frame, alpha_net, alpha_net)
    assert np.abs(guided - truth).mean() < 0.4 * np.abs(plain - truth).mean()


@given(seeds, st.sampled_from([0.0, 0.3, 1.0]))
def test_fuse_is_a_convex_mix_that_prefers_the_surer_net(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    a, b, da = (rng.random((1, 1, 32, 32), np.float32) for _ in range(3))
    da *= np.float32(1 - shift)
    db = da + np.float32(shift)
    alpha, deviation, doubt = (np.empty_like(a) for _ in range(3))
    fuse([a, b], [da, db], alpha, deviation, doubt)
    surer = np.array([0, shift]).reshape(2, 1, 1, 1, 1)  # the same everywhere, and so over any box
    weights = np.exp(-surer / 0.05 - 6 * np.stack([a, b]))
    weights /= weights.sum(axis=0)
    np.testing.assert_allclose(alpha, (weights * [a, b]).sum(axis=0), atol=1e-5)
    np.testing.assert_allclose(deviation, (weights * [da, db]).sum(axis=0), atol=1e-5)
    np.testing.assert_allclose(doubt, np.maximum(deviation, np.abs(a - b)), atol=1e-6)


def test_fuse_lets_a_region_decide_not_a_pixel() -> None:
    sure, unsure = (np.full((1, 1, 96, 128), v, np.float32) for v in (0.1, 0.6))
    sure[0, 0, 40, 60] = 0.9
    alpha, deviation, doubt = (np.empty_like(sure) for _ in range(3))
    fuse([np.ones_like(sure), np.zeros_like(sure)], [sure, unsure], alpha, deviation, doubt)
    assert alpha.min() > 0.8
    assert doubt.min() == 1  # one says foreground, one background


def test_a_draw_between_foreground_and_background_leaves_no_ghost() -> None:
    """Nor does a net that says foreground and is a little surer; one that is much surer has its way."""
    one, zero, unsure = (np.full((1, 1, 4, 4), v, np.float32) for v in (1.0, 0.0, 0.5))
    for alphas in ([one, zero], [zero, one]):
        alpha, deviation, doubt = (np.empty_like(one) for _ in range(3))
        fuse(alphas, [unsure, unsure], alpha, deviation, doubt)
        assert alpha.max() < 0.01
        fuse(alphas, [unsure, unsure - np.float32(0.15)], alpha, deviation, doubt)
        assert alpha.max() < 0.05
        fuse(alphas, [unsure, unsure - np.float32(0.45)], alpha, deviation, doubt)
        assert np.abs(alpha - alphas[1]).max() < 0.05  # the surer net still decides


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (33, 65), (255, 257), (720, 1280), (300, 301)])
def test_preprocess_keeps_colours_and_order(size: tuple[int, int]) -> None:
    image = np.zeros((1, 3, 64, 96), np.float32)
    preprocess(np.broadcast_to(np.array([255, 128, 0], np.uint8), (*size, 3)), image)
    np.testing.assert_allclose(image[0, :, 32, 48], [1, 128 / 255, 0], atol=1e-6)


def test_preprocess_averages_areas() -> None:
    frame = noise((256, 384), 3)
    image = np.zeros((1, 3, 64, 96), np.float32)
    preprocess(frame, image)
    means = frame.reshape(64, 4, 96, 4, 3).mean(axis=(1, 3)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(image[0], means, atol=1.6 / 255)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 40_000, 3), np.uint8),
        "frame.png",
        None,
    ],
)
def test_check_frame_says_what_it_got(frame: object) -> None:
    with pytest.raises(FrameError, match=r"^frame is "):
        check_frame(frame)  # type: ignore[arg-type]
