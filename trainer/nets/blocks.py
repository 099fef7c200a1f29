"""The three layers every net of the paper is made of, and how pictures enter a net that was trained on ImageNet."""

import torch
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def conv(in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3x3 Conv + BN + ReLU; (N, in, H, W) -> (N, out, H / stride, W / stride)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def deconv(in_channels: int, out_channels: int, *, stride: int = 2) -> nn.Sequential:
    """Deconv + BN + ReLU; (N, in, H, W) -> (N, out, stride H, stride W).

    At stride 2 the kernel is 4x4, so that every output pixel is reached by equally many weights (no checkerboard).
    """
    kernel = 4 if stride == 2 else 3
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


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
