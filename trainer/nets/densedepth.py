"""D-Net as DenseDepth (Alhashim and Wonka 2018, the paper's [2]): DenseNet-169 and a decoder of bilinear steps.

There is no package that carries ImageNet weights of DenseNet-169, so it begins with random ones.
"""

import torch
from torch import Tensor, nn
from vmfm.trainer.nets.blocks import Normalise, upsample
from vmfm.trainer.nets.modality import ModalityNet

# DenseNet-169: layers by block, channels a layer adds, times that within
BLOCKS, GROWTH, BOTTLENECK = (6, 12, 32, 32), 32, 4
STEM = 64
LEAK = 0.2


class DenseLayer(nn.Module):
    """(N, C, H, W) -> (N, C + growth, H, W): what came in, and `growth` channels made of it."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        hidden = BOTTLENECK * growth
        self.layers = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.layers(x)), dim=1)


class DenseNet(nn.Module):
    """image (N, 3, H, W) RGB in [0, 1] -> features at 1/2, 1/4, 1/8, 1/16 and 1/32 with `channels` channels.

    As DenseDepth taps it: after the first convolution, after its pooling, and after each transition.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        growth, channels = max(1, round(width * GROWTH)), max(2, round(width * STEM))
        self.stem = nn.Sequential(
            Normalise(),
            nn.Conv2d(3, channels, 7, 2, padding=3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.blocks = nn.ModuleList()
        tapped = [channels, channels]
        for index, layers in enumerate(BLOCKS):
            block: list[nn.Module] = [DenseLayer(channels + i * growth, growth) for i in range(layers)]
            channels += layers * growth
            block += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            if index < len(BLOCKS) - 1:
                block += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
                channels //= 2
                tapped.append(channels)
            self.blocks.append(nn.Sequential(*block))
        # the last transition feeds the last block, and is itself no level
        self.channels = (*tapped[:-1], channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [self.stem(image)]
        features.append(self.pool(features[0]))
        for block in self.blocks:
            features.append(block(features[-1]))
        return features[:4] + features[5:]


class DenseDepth(ModalityNet):
    """image (N, 3, H, W) in [0, 1] -> depth (N, 1, H, W) in [0, 1], near = 1; H and W multiples of 32.

    width: scales all channels; 1 as published. Decodes up to half the size, where the published net ends; the rest is
    one more bilinear step. Its output is squashed to [0, 1], the range of our relative inverse depth.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        self.encoder = DenseNet(width)
        *skips, channels = self.encoder.channels
        self.enter = nn.Conv2d(channels, channels, 1)
        self.upsample = upsample()
        self.decoder = nn.ModuleList()
        for skip in reversed(skips):
            out = max(1, channels // 2)
            self.decoder.append(
                nn.Sequential(
                    nn.Conv2d(channels + skip, out, 3, padding=1),
                    nn.LeakyReLU(LEAK, inplace=True),
                    nn.Conv2d(out, out, 3, padding=1),
                    nn.LeakyReLU(LEAK, inplace=True),
                )
            )
            channels = out
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        *skips, x = self.encoder(image)
        x = self.enter(x)
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            x = block(torch.cat((self.upsample(x), skip), dim=1))
        return torch.sigmoid(self.upsample(self.head(x)).float())
