"""Convolution and batch norm as one, while the norm is fixed and the net learns: faster, and the same."""

import pytest
import torch
from torch import nn
from vmfm.trainer.nets.blocks import conv, deconv, normed
from vmfm.trainer.nets.encoder import InvertedResidual, Stage


def settled(module: nn.Module) -> nn.Module:
    """With statistics, gains and biases of their own, as after training; fixed."""
    torch.manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.running_mean, norm.bias):
                nn.init.normal_(values)
            for values in (norm.running_var, norm.weight):
                nn.init.uniform_(values, 0.5, 2.0)
    return module.eval()


BLOCKS = {
    "3x3": lambda: conv(5, 8),
    "of stride 2": lambda: conv(5, 8, stride=2),
    "dilated": lambda: conv(5, 8, dilation=3),
    "deconvolution": lambda: deconv(5, 8),
    "deconvolution of stride 1": lambda: deconv(5, 8, stride=1),
    "inverted residual": lambda: InvertedResidual(5, Stage(1, 5, 1, 6, 5), 1),
    "inverted residual of stride 2": lambda: InvertedResidual(5, Stage(1, 3, 2, 1, 8), 2),
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_fixed_norm_in_the_kernel_says_the_same(block) -> None:
    block, x = settled(block()), torch.randn(2, 5, 12, 16)
    learning = block(x)
    with torch.no_grad():
        torch.testing.assert_close(learning, block(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("convolution", [nn.Conv2d(4, 6, 3, bias=False), nn.ConvTranspose2d(4, 6, 4, 2, bias=False)])
def test_and_learns_the_same(convolution) -> None:
    x, norm = torch.randn(3, 4, 9, 9), settled(nn.BatchNorm2d(6))
    weights = (convolution.weight, norm.weight, norm.bias)
    apart = torch.autograd.grad(norm(convolution(x)).square().mean(), weights)
    together = torch.autograd.grad(normed(convolution, norm, x).square().mean(), weights)
    torch.testing.assert_close(together, apart, rtol=1e-3, atol=1e-5)


def test_a_norm_that_follows_its_batches_still_does() -> None:
    block = conv(3, 4).train()
    block(torch.rand(2, 3, 8, 8) + 5)
    assert block[1].num_batches_tracked == 1


@pytest.mark.parametrize("fixed", [True, False])
def test_depthwise_kernels_stay_exact_under_bfloat16(fixed) -> None:
    convolution, norm = nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False), settled(nn.BatchNorm2d(4)).train(not fixed)
    x, towards = torch.randn(2, 4, 10, 10), torch.randn(2, 4, 10, 10)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = normed(convolution, norm, x)
    assert mixed.dtype == torch.bfloat16
    (exact,) = torch.autograd.grad((normed(convolution, norm, x) * towards).sum(), convolution.weight)
    (given,) = torch.autograd.grad((mixed.float() * towards).sum(), convolution.weight)
    torch.testing.assert_close(given, exact, rtol=0.02, atol=0.02 * float(exact.abs().max()))
