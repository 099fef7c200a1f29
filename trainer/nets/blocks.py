"""The three layers every net of the paper is made of."""

from torch import nn


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
