"""SFPnet and DFPnet (Table 6): the same net, once fed with segmentation, once with depth."""

import torch
from torch import Tensor, nn
from vmfm.trainer.nets.blocks import conv, deconv


class ForegroundNet(nn.Module):
    """image (N, 3, H, W), heatmap (N, 1, H, W), modality (N, 1, H, W), all in [0, 1] -> alpha (N, 1, H, W) in [0, 1].

    width: channels at full size, 64 in the paper; H and W multiples of 4.
    """

    def __init__(self, width: int, fusion_dilations: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_encoder = self._encoder(4, width)
        self.modality_encoder = self._encoder(1, width)
        a, b, c = fusion_dilations
        self.fusion = nn.Sequential(
            conv(8 * width, 4 * width, dilation=a),
            conv(4 * width, 4 * width, dilation=b),
            conv(4 * width, 4 * width, dilation=c),
        )
        self.decoder = nn.Sequential(
            deconv(4 * width, 2 * width),
            conv(2 * width, 2 * width),
            deconv(2 * width, width),
            conv(width, width),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    @staticmethod
    def _encoder(in_channels: int, width: int) -> nn.Sequential:
        return nn.Sequential(
            conv(in_channels, width), conv(width, 2 * width, stride=2), conv(2 * width, 4 * width, stride=2)
        )

    def forward(self, image: Tensor, heatmap: Tensor, modality: Tensor) -> Tensor:
        seen = self.image_encoder(torch.cat((image, heatmap), dim=1))
        hinted = self.modality_encoder(modality)
        return (torch.tanh(self.decoder(self.fusion(torch.cat((seen, hinted), dim=1))).float()) + 1) / 2
