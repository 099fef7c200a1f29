"""The three layers every net of the paper is made of, and how pictures enter a net that was trained on ImageNet."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normed(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """norm(convolution(x)), the convolution without a bias; two ways of doing that are there to be fast on CPUs.

    While a norm with fixed statistics learns it is part of the kernel, as inference engines have it: that spares two
    passes over the features, a third of a step. And kernels of single channels stay float32 under autocast.
    """
    fixed = not norm.training and torch.is_grad_enabled()
    exact = _stays_exact(convolution, x)
    if not fixed and not exact:
        return norm(convolution(x))
    kernel, bias = _folded(convolution, norm) if fixed else (convolution.weight, None)
    with torch.autocast("cpu", enabled=not exact and torch.is_autocast_enabled("cpu")):
        y = _convolve(convolution, x.float() if exact else x, kernel, bias)
    y = y.to(torch.get_autocast_dtype("cpu")) if exact else y
    return y if fixed else norm(y)


def _stays_exact(convolution: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> bool:
    """On CPUs the gradient of a depthwise kernel takes six times as long in bfloat16."""
    return convolution.groups > 1 and torch.is_autocast_enabled("cpu") and x.device.type == "cpu"


def _folded(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The kernel and bias of both in one."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shape = (1, -1, 1, 1) if isinstance(convolution, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    return convolution.weight * scale.view(shape), norm.bias - norm.running_mean * scale


def _convolve(convolution: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """What the module does, with another kernel and bias."""
    if isinstance(convolution, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, kernel, bias, convolution.stride, convolution.padding)  # type: ignore[arg-type]
    return convolution._conv_forward(x, kernel, bias)


class ConvBlock(nn.Sequential):
    """Convolution or deconvolution, BN and ReLU."""

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self[2](normed(self[0], self[1], x))  # type: ignore[arg-type]


def conv(in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1) -> ConvBlock:
    """3x3 Conv + BN + ReLU; (N, in, H, W) -> (N, out, H / stride, W / stride)."""
    return ConvBlock(nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False))


def deconv(in_channels: int, out_channels: int, *, stride: int = 2) -> ConvBlock:
    """Deconv + BN + ReLU; (N, in, H, W) -> (N, out, stride H, stride W).

    At stride 2 the kernel is 4x4, so that every output pixel is reached by equally many weights (no checkerboard).
    """
    kernel = 4 if stride == 2 else 3
    return ConvBlock(nn.ConvTranspose2d(in_channels, out_channels, kernel, stride, padding=1, bias=False))


def upsample() -> nn.Upsample:
    """Bilinear, twice the height and width."""
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


class Normalise(nn.Module):
    """image (N, 3, H, W) RGB in [0, 1] -> the same with the mean 0 and deviation 1 that ImageNet's pictures have."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std
