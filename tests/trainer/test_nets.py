"""The nets against Tables 6-8 of the paper, worked out by hand, and what a frame costs on `lite`."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from vmfm.runtime.bundle import Bundle
from vmfm.trainer.config import FULL, LITE, TINY
from vmfm.trainer.model import VMFM

# (kernel side, channels in, channels out, side of the output), one row per line of the paper's table at 512x512.
IMAGE_ENCODER = [(3, 4, 64, 512), (3, 64, 128, 256), (3, 128, 256, 128)]
MODALITY_ENCODER = [(3, 1, 64, 512), (3, 64, 128, 256), (3, 128, 256, 128)]
FUSION = [(3, 512, 256, 128), (3, 256, 256, 128), (3, 256, 256, 128)]
DECODER = [
    (4, 256, 128, 256),
    (3, 128, 128, 256),
    (4, 128, 64, 512),
    (3, 64, 64, 512),
]  # 4: a deconvolution of stride 2
FOREGROUND = IMAGE_ENCODER + MODALITY_ENCODER + FUSION + DECODER
COMPLEMENTARY_ENCODER = [(3, 4, 32, 256), (3, 32, 64, 128), (3, 64, 128, 64), (3, 128, 256, 64)]
COMPLEMENTARY_DECODER = [
    *[(3, 256, 128, 64), (3, 128, 128, 64), (4, 128, 64, 128), (3, 64, 64, 128)],
    *[(3, 64, 32, 256), (3, 32, 32, 512)],
]
REFINEMENT = [(3, 4, 4, 16), (3, 4, 8, 16), (3, 8, 8, 16), (3, 8, 4, 16)]
HEAD = 9  # weights per channel of the last 3x3 convolution, to one channel; its bias is one more


def weights(rows, last_channels):
    """Convolutions without bias, BatchNorm with gain and bias per channel, then the head with its bias."""
    return sum(k * k * c * out + 2 * out for k, c, out, _ in rows) + HEAD * last_channels + 1


def count(*nets: nn.Module):
    return sum(p.numel() for p in {id(p): p for net in nets for p in net.parameters()}.values())


@pytest.fixture(scope="module")
def full():
    """On the meta device: shapes without the arithmetic."""
    with torch.device("meta"):
        return VMFM(FULL).eval()


def shapes_of(net, *inputs):
    """(channels, side) that every Conv + BN + ReLU block put out, in order, and the shape of the result."""
    seen = []
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [
        norm.register_forward_hook(lambda _, __, out: seen.append((out.shape[1], *out.shape[2:]))) for norm in norms
    ]
    with torch.no_grad():
        result = net(*inputs)
    for hook in hooks:
        hook.remove()
    return seen, tuple(result.shape)


def picture(channels, side=512, count=1):
    return torch.empty(count, channels, side, side, device="meta")


def test_foreground_nets_are_table_6(full):
    assert weights(FOREGROUND, 64) == 3_943_809
    for net in (full.foreground_s, full.foreground_d):
        assert count(net) == 3_943_809
        seen, result = shapes_of(net, picture(3), picture(1), picture(1))
        assert seen == [(out, side, side) for _, _, out, side in FOREGROUND]
        assert result == (1, 1, 512, 512)


def test_complementary_learning_is_table_7(full):
    branch = weights(COMPLEMENTARY_ENCODER + COMPLEMENTARY_DECODER, 32)
    encoder = sum(k * k * c * out + 2 * out for k, c, out, _ in COMPLEMENTARY_ENCODER)
    assert (encoder, branch) == (389_184, 1_028_321)
    assert count(full.complementary.s) == count(full.complementary.d) == branch
    assert count(full.complementary) == branch + encoder  # two encoders, one decoder
    for net in (full.complementary.s, full.complementary.d):
        seen, result = shapes_of(net, picture(3), picture(1))
        assert seen == [(out, side, side) for _, _, out, side in COMPLEMENTARY_ENCODER + COMPLEMENTARY_DECODER]
        assert result == (1, 1, 512, 512)


def test_refinement_is_table_8_with_the_eight_channels_twice(full):
    assert count(full.refinement) == weights(REFINEMENT, 4)
    seen, result = shapes_of(full.refinement, picture(4, 16, count=7))
    assert seen == [(out, side, side) for _, _, out, side in REFINEMENT]
    assert result == (7, 1, 16, 16)


def test_modality_nets_write_one_map_at_the_images_size(full):
    for net in (full.segmentation, full.depth, full.interaction):
        assert net(picture(3)).shape == (1, 1, 512, 512)


def test_lite_at_its_fastest_costs_at_most_6_gmac_a_frame():
    with torch.device("meta"):
        model = VMFM(LITE).eval()
    size = Bundle(Path(), "lite", {}, LITE.pixel_budget).net_size(720, 1280, "fast")
    image = torch.empty(1, 3, *size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        seen = model(image)
        model.complementary.s(image, seen.alpha_s)
        model.complementary.d(image, seen.alpha_d)
        model.refinement(torch.empty(LITE.patches, 4, 16, 16, device="meta"))
    assert 1e9 < counter.get_total_flops() / 2 <= 6e9


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (96, 64), (32, 160)])
def test_any_multiple_of_32_and_outputs_in_0_1(size):
    torch.manual_seed(0)
    model = VMFM(TINY).eval()
    with torch.no_grad():
        seen = model(torch.rand(2, 3, *size))
        deviation = model.complementary.d(torch.rand(2, 3, *size), seen.alpha_d)
    for value in (*vars(seen).values(), deviation):
        assert value.shape == (2, 1, *size)
        assert 0 <= value.min() and value.max() <= 1


def test_an_untrained_refinement_changes_nothing():
    patches = torch.rand(5, 4, 16, 16)
    assert torch.equal(VMFM(TINY).refinement(patches), patches[:, :1])
