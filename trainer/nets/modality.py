"""S-Net, D-Net and I-Net: what all of them promise, and the encoder-decoder that they are by default.

The paper calls them "three auto-encoders", and takes published nets for them; those are in densedepth.py, hourglass.py and
mask_rcnn.py, behind the same signature.
"""

import torch
from torch import Tensor, nn
from vmfm.trainer.nets.blocks import conv, upsample
from vmfm.trainer.nets.encoder import Encoder


class ModalityNet(nn.Module):
    """image (N, 3, H, W) in [0, 1] -> one modality (N, 1, H, W) in [0, 1]; H and W multiples of 32.

    replayable: whether a step does the same work for every picture, so that a GPU may record it once.
    """

    replayable = True

    def learn(self, image: Tensor, truth: Tensor, known: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The modality, and by name the losses that this net has beyond that of its result: here none.

        truth (N, 1, H, W) in [0, 1]; known: 1 where it may be trusted, broadcasts to it.
        """
        return self(image), {}

    def load_pretrained(self) -> None:
        """Begins with published weights, where some can be had. Raises TrainerError where those cannot be got."""


class AutoEncoder(ModalityNet):
    """A light encoder-decoder.

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

    def forward(self, image: Tensor) -> Tensor:
        *skips, x = self.encoder(image)
        x = x + self.context(x)
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            x = block(torch.cat((self.upsample(x), skip), dim=1))
        return torch.sigmoid(self.upsample(self.head(x)).float())

    def load_pretrained(self) -> None:
        self.encoder.load_pretrained()
