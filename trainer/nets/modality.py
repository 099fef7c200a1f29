"""S-Net, D-Net and I-Net: three instances of one encoder-decoder (the paper's "three auto-encoders")."""

import torch
from torch import Tensor, nn
from vmfm.trainer.nets.blocks import conv, upsample
from vmfm.trainer.nets.encoder import Encoder


class ModalityNet(nn.Module):
    """image (N, 3, H, W) in [0, 1] -> one modality (N, 1, H, W) in [0, 1]; H and W multiples of 32.

    Decodes with skips up to half the size; the foreground nets see the full-size image themselves. The mean over
    the picture joins the coarsest features, since what is *held* is a question about the whole scene.
    """

    def __init__(self, encoder: Encoder, decoder_channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.encoder = encoder
        *skips, deepest = encoder.channels
        self.context = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(deepest, deepest, 1), nn.ReLU(inplace=True))
        self.upsample = upsample()
        self.decoder = nn.ModuleList()
        channels = deepest
        for skip, out in zip(reversed(skips), decoder_channels, strict=True):
            self.decoder.append(nn.Sequential(nn.Conv2d(channels + skip, out, 1), conv(out, out)))
            channels = out
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def logits(self, image: Tensor) -> Tensor:
        """(N, 1, H, W), before the sigmoid: what a loss on probabilities wants."""
        *skips, x = self.encoder(image)
        x = x + self.context(x)
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            x = block(torch.cat((self.upsample(x), skip), dim=1))
        return self.upsample(self.head(x))

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(image).float())
