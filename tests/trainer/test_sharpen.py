"""The trainer's tensors against the runtime's NumPy: the refinement is trained on exactly what it will be given."""

import numpy as np
import pytest
import torch
from vmfm.runtime import fusion, patches, upsample
from vmfm.trainer import sharpen


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_the_same_constants():
    assert sharpen.RADIUS_PX == upsample.RADIUS_PX
    assert sharpen.EDGE_CONTRAST == upsample.EDGE_CONTRAST
    assert sharpen.PATCH_PX == patches.PATCH_PX
    assert (sharpen.SURE, sharpen.UNSURE, sharpen.LEVELS) == (patches.SURE, patches.UNSURE, patches.LEVELS)
    assert (sharpen.SOFTNESS, sharpen.DRAW, sharpen.REACH) == (fusion.SOFTNESS, fusion.DRAW, fusion.REACH)


def test_fuse(rng):
    alphas, deviations = (list(rng.random((2, 1, 1, 64, 96), np.float32)) for _ in range(2))
    alpha, deviation, doubt = (np.empty_like(alphas[0]) for _ in range(3))
    fusion.fuse(alphas, deviations, alpha, deviation, doubt)
    (a_s, a_d), (d_s, d_d) = (list(map(torch.from_numpy, maps)) for maps in (alphas, deviations))
    ours = sharpen.fuse(a_s, d_s, a_d, d_d)
    np.testing.assert_allclose(ours[0], alpha, atol=1e-5)
    np.testing.assert_allclose(ours[1], deviation, atol=1e-5)


@pytest.mark.parametrize("size", [(48, 64), (75, 113)])
def test_upsample(rng, size):
    frame = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    image, alpha_net = rng.random((1, 3, 24, 32), np.float32), rng.random((1, 1, 24, 32), np.float32)
    alpha, deviation = np.empty(size, np.float32), np.empty(size, np.float32)
    upsample.upsample(frame, image, alpha_net, alpha_net, alpha, deviation)
    fine = torch.from_numpy(frame).permute(2, 0, 1)[None] / 255
    ours = sharpen.guided_upsample(torch.from_numpy(alpha_net), torch.from_numpy(image), fine)
    # the runtime rounds the frame's luminance to 8 bits, and slopes go up to about 10
    np.testing.assert_allclose(ours[0, 0], alpha, atol=0.02)
    assert np.abs(ours[0, 0].numpy() - alpha).mean() < 2e-3


def test_top_patches_and_gather(rng):
    frame = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    alpha, deviation = rng.random((2, 64, 96), np.float32)
    places, cut = np.empty((10, 3), np.float32), np.empty((10, 4, 16, 16), np.float32)
    patches.select(deviation, places)
    patches.gather(frame, alpha, places, cut)
    ours = sharpen.top_patches(torch.from_numpy(deviation)[None, None], 10)
    planes = torch.cat((torch.from_numpy(alpha)[None], torch.from_numpy(frame).permute(2, 0, 1) / 255))
    np.testing.assert_allclose(sharpen.gather(planes[None], ours), cut, atol=1e-6)


def test_patches_of_several_pictures_stay_apart():
    deviation = torch.zeros(2, 1, 32, 48)
    deviation[0, 0, 20, 40] = deviation[1, 0, 3, 3] = 1
    corners = sharpen.top_patches(deviation, 1)
    assert corners.tolist() == [[[12, 32]], [[0, 0]]]
    planes = torch.stack((torch.zeros(2, 32, 48), torch.ones(2, 32, 48)))
    assert sharpen.gather(planes, corners).mean((1, 2, 3)).tolist() == [0, 1]


def test_there_are_no_more_patches_than_cells():
    assert sharpen.top_patches(torch.rand(1, 1, 32, 48), 100).shape == (1, 6, 2)


def test_put_back_is_what_scatter_does_with_one_patch(rng):
    alpha, deviation, refined = rng.random((3, 16, 16), np.float32)
    ours = sharpen.put_back(*(torch.from_numpy(x)[None, None] for x in (alpha, refined, deviation)))
    patches.scatter(alpha, deviation, refined[None, None], np.array([[7.5, 7.5, 1]], np.float32))
    np.testing.assert_allclose(ours[0, 0], alpha, atol=1e-5)


def test_a_refinement_that_goes_by_a_pixels_place_in_its_patch_is_unsteady():
    patches, unsure = torch.rand(3, 4, 16, 16), torch.ones(3, 1, 16, 16)

    def by_row(x):
        return (torch.arange(x.shape[-2])[:, None] / 16).expand(len(x), 1, *x.shape[-2:])

    changes, counts = sharpen.unsteadiness(by_row, patches, by_row(patches), unsure)
    assert changes.shape == counts.shape == (6, 1, 15, 15)
    assert (
        torch.allclose(changes[:3], torch.tensor(1 / 256)) and not changes[3:].any()
    )  # without the first, the last row
    assert counts.max() <= 1 and counts[0, 0, 6, 6] > 0.95 and counts[0, 0, 14, 14] < 0.02
    assert not sharpen.unsteadiness(by_row, patches, by_row(patches), 0 * unsure)[1].any()


def test_a_refinement_that_goes_by_colours_alone_is_as_steady_as_these():
    patches, unsure = torch.rand(3, 4, 16, 16), torch.ones(3, 1, 16, 16)

    def by_alpha(x):
        return x[:, :1]

    changes, _ = sharpen.unsteadiness(by_alpha, patches, by_alpha(patches), unsure)
    assert 0 < changes.mean() < 2 * sharpen.NOISE_ALPHA**2
