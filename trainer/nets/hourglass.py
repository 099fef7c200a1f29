"""I-Net as stacked Hourglass (Newell et al. 2016, the paper's [27]) in the form that PPDM ([33]) finds interactions with.

That form is CornerNet's: residuals of two 3x3 convolutions, halving by stride, two hourglasses in a row. It reaches from 1/4
down to 1/128 of the picture; ours ends at 1/32, since the nets run at multiples of 32. It begins with random weights.
"""

import torch
from torch import Tensor, nn
from vmfm.trainer.losses import heatmap_loss
from vmfm.trainer.nets.blocks import conv, upsample
from vmfm.trainer.nets.modality import ModalityNet

STACKS = 2
CHANNELS, RESIDUALS = (256, 256, 384, 384), (2, 2, 2, 4)  # by level, at 1/4, 1/8, 1/16 and 1/32
PRIOR = -2.19  # the logit of 0.1: an untrained net sees few points, as there are


class Residual(nn.Module):
    """(N, in, H, W) -> (N, out, H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(in_channels, out_channels, stride=stride),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.skip = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.skip = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + self.skip(x))


def residuals(count: int, in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Sequential:
    """`count` of them, the first of which changes size and channels."""
    rest = (Residual(out_channels, out_channels) for _ in range(count - 1))
    return nn.Sequential(Residual(in_channels, out_channels, stride=stride), *rest)


class Hourglass(nn.Module):
    """(N, C, H, W) -> the same shape: halved, seen by the next smaller hourglass, brought back and added to what was kept.

    channels: by level from here down, C first; H and W multiples of 2 to the number of levels below.
    """

    def __init__(self, channels: tuple[int, ...], counts: tuple[int, ...]) -> None:
        super().__init__()
        here, below, *_ = channels
        self.keep = residuals(counts[0], here, here)
        self.halve = residuals(counts[0], here, below, stride=2)
        innermost = len(channels) == 2
        self.inner = residuals(counts[1], below, below) if innermost else Hourglass(channels[1:], counts[1:])
        self.back = nn.Sequential(*residuals(counts[0] - 1, below, below), Residual(below, here), upsample())

    def forward(self, x: Tensor) -> Tensor:
        return self.keep(x) + self.back(self.inner(self.halve(x)))


class StackedHourglass(ModalityNet):
    """image (N, 3, H, W) in [0, 1] -> heatmap (N, 1, H, W) in [0, 1]; H and W multiples of 32.

    width: scales all channels; 1 as published. Every hourglass but the first reads what the one before it read and found.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = tuple(max(1, round(width * c)) for c in CHANNELS)
        here = channels[0]
        half = max(1, here // 2)
        self.stem = nn.Sequential(
            nn.Conv2d(3, half, 7, 2, padding=3, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            Residual(half, here, stride=2),
        )
        self.stacks = nn.ModuleList(
            nn.Sequential(Hourglass(channels, RESIDUALS), conv(here, here)) for _ in range(STACKS)
        )
        self.heads = nn.ModuleList(_head(here) for _ in range(STACKS))
        self.read = nn.ModuleList(_mix(here) for _ in range(STACKS - 1))
        self.found = nn.ModuleList(_mix(here) for _ in range(STACKS - 1))
        self.between = nn.ModuleList(Residual(here, here) for _ in range(STACKS - 1))
        self.enlarge = nn.Sequential(upsample(), upsample())

    def forward(self, image: Tensor) -> Tensor:
        return self._heatmaps(image)[-1]

    def learn(self, image: Tensor, truth: Tensor, known: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The earlier hourglasses learn the same heatmap (intermediate supervision)."""
        *early, last = self._heatmaps(image)
        return last, {f"heatmap_early_{i}": heatmap_loss(seen, truth, known) for i, seen in enumerate(early, start=1)}

    def _heatmaps(self, image: Tensor) -> list[Tensor]:
        """What each hourglass finds."""
        x, heatmaps = self.stem(image), []
        for i, (stack, head) in enumerate(zip(self.stacks, self.heads, strict=True)):
            seen = stack(x)
            heatmaps.append(torch.sigmoid(self.enlarge(head(seen)).float()))
            if i < STACKS - 1:
                x = self.between[i](torch.relu(self.read[i](x) + self.found[i](seen)))
        return heatmaps


def _mix(channels: int) -> nn.Sequential:
    """1x1 Conv + BN."""
    return nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))


def _head(channels: int) -> nn.Sequential:
    """Features -> logits of the heatmap."""
    last = nn.Conv2d(channels, 1, 1)
    assert last.bias is not None
    nn.init.constant_(last.bias, PRIOR)
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True), last)
