"""Complementary Learning (Table 7): how far off is each foreground net, pixel by pixel? Two encoders, one decoder."""

import torch
from torch import Tensor, nn
from vmfm.trainer.nets.blocks import conv, deconv, upsample


class ComplementaryBranch(nn.Module):
    """image (N, 3, H, W), alpha (N, 1, H, W), in [0, 1] -> deviation (N, 1, H, W) in [0, 1]; H, W multiples of 8."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def logits(self, image: Tensor, alpha: Tensor) -> Tensor:
        return self.decoder(self.encoder(torch.cat((image, alpha), dim=1)))

    def forward(self, image: Tensor, alpha: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(image, alpha).float())


class ComplementaryNet(nn.Module):
    """The CL module: branch `s` judges SFPnet's matte, branch `d` DFPnet's; their decoder is the same object.

    width: channels at half size, 32 in the paper.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        decoder = nn.Sequential(
            deconv(8 * width, 4 * width, stride=1),
            conv(4 * width, 4 * width),
            deconv(4 * width, 2 * width),
            conv(2 * width, 2 * width),
            upsample(),
            conv(2 * width, width),
            upsample(),
            conv(width, width),
            nn.Conv2d(width, 1, 3, padding=1),
        )
        self.s = ComplementaryBranch(self._encoder(width), decoder)
        self.d = ComplementaryBranch(self._encoder(width), decoder)

    @staticmethod
    def _encoder(width: int) -> nn.Sequential:
        return nn.Sequential(
            conv(4, width, stride=2),
            conv(width, 2 * width, stride=2),
            conv(2 * width, 4 * width, stride=2),
            conv(4 * width, 8 * width),
        )
