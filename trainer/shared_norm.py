"""Batch norms over the pictures of all processes."""

from typing import Any

import torch
from torch import Tensor, nn
from vmfm.trainer import processes


class SharedBatchNorm(nn.BatchNorm2d):
    """As torch's own where a process is alone. (torch's SyncBatchNorm shares, too, but on GPUs only.)"""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or processes.count() == 1:
            return super().forward(x)
        with torch.no_grad():
            pixels, mean, variance = _statistics(x)
            if self.track_running_stats:
                assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * pixels / (pixels - 1), self.momentum)
        return _Normalised.apply(x, self.weight, self.bias, mean, variance, pixels, self.eps)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of every process's x (N, C, H, W): how many pixels (1,), and their mean and variance (C,), float32."""
    # as var_mean, which took 15 times as long on a CPU
    mean, variance = torch.batch_norm_update_stats(x.float(), None, None, 0.0)
    # in float64, where the difference of squares loses nothing
    mean, variance, pixels = mean.double(), variance.double(), mean.new_full((1,), x[:, 0].numel()).double()
    sums = processes.summed(torch.cat((pixels, pixels * mean, pixels * (variance + mean**2))))
    mean, square = (sums[1:] / sums[:1]).chunk(2)
    return sums[:1].float(), mean.float(), (square - mean**2).float()


class _Normalised(torch.autograd.Function):
    """weight * (x - mean) / sqrt(variance + eps) + bias, where mean and variance are those of every process's x.

    Both ways through torch's own kernel with the statistics as constants; what they pass back to x is added.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, pixels: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, pixels)
        ctx.eps = eps
        return nn.functional.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, pixels = ctx.saved_tensors
        to_x, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        # the sums of the gradient times the normalised x, and of the gradient, over every process's pixels
        along, shift = processes.summed(torch.stack((to_weight, to_bias))) / pixels
        scale = torch.rsqrt(variance + ctx.eps)
        slope = weight * scale * scale * along
        constant = weight * scale * shift - slope * mean
        to_x -= torch.addcmul(constant[:, None, None], x, slope[:, None, None]).to(to_x.dtype)
        return to_x, to_weight, to_bias, None, None, None, None


def share_batch_norms(nets: nn.Module) -> None:
    """Makes every batch norm look at all processes' pictures; weights, buffers and their names stay."""
    if processes.count() > 1:
        for module in nets.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SharedBatchNorm
