"""Camera faults beside the real thing: our JPEG against an encoder's, blur against its sums."""

import cv2
import numpy as np
import pytest
import torch
from vmfm.trainer.data.camera import blur, jpeg


def scene(height=96, width=128):
    """float32 (1, 3, H, W): slopes, edges and a little texture, as photos have them."""
    rng = np.random.default_rng(3)
    picture = np.linspace(40, 200, width)[None, :, None] * np.linspace(1, 0.6, height)[:, None, None] + np.zeros(3)
    for _ in range(10):
        x, y = rng.integers((0, 0), (width - 30, height - 30))
        cv2.circle(picture, (int(x) + 15, int(y) + 15), 14, rng.uniform(0, 255, 3).tolist(), -1)
    picture += rng.normal(0, 3, picture.shape)
    return torch.from_numpy((picture / 255).clip(0, 1).astype(np.float32)).permute(2, 0, 1)[None]


def encoded(image, quality):
    """What an encoder leaves of it."""
    pixels = (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return torch.from_numpy(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].copy()).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95])
def test_jpeg_loses_what_an_encoder_loses(quality):
    image = scene()
    ours, theirs = jpeg(image, torch.tensor([float(quality)])), encoded(image, quality)
    assert (ours - theirs).square().mean() < 0.1 * (theirs - image).square().mean()


def test_jpeg_of_the_highest_quality_changes_no_grey_pixel():
    grey = scene().mean(1, keepdim=True).expand(1, 3, -1, -1)
    torch.testing.assert_close(jpeg(grey, torch.tensor([100.0])), grey, atol=1.5 / 255, rtol=0)


def test_jpeg_of_each_picture_by_its_own_quality_and_in_range():
    image = torch.cat((scene(), scene().round()))  # the second has only the extremes, where ringing would leave [0, 1]
    qualities = torch.tensor([20.0, 90.0])
    both = jpeg(image, qualities)
    assert 0 <= both.min() and both.max() <= 1
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], jpeg(image[i : i + 1], qualities[i : i + 1]))


def test_blur_keeps_the_sum_and_spreads_it():
    dot = torch.zeros(1, 2, 33, 33)
    dot[:, :, 16, 16] = 1
    seen = blur(dot, 2.0)
    torch.testing.assert_close(seen.sum((2, 3)), torch.ones(1, 2))
    y = torch.arange(33.0) - 16
    assert (seen[0, 0] * (y**2)[:, None]).sum() == pytest.approx(4, rel=0.3)  # the taps end at two sigma
