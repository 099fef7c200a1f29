"""RN (Table 8): sharpens the alpha of the 16x16 patches where the matte is least sure."""

import torch
from torch import Tensor, nn
from vmfm.trainer.nets.blocks import conv


class RefinementNet(nn.Module):
    """patches (K, 4, 16, 16), alpha then RGB, in [0, 1] -> refined alpha (K, 1, 16, 16) in [0, 1].

    The table's last row, Conv+Tanh, is read as a *correction* in (-1, 1) of the alpha that came in: an untrained
    refinement then changes nothing, and 1,300 weights need not learn to copy.
    """

    def __init__(self) -> None:
        super().__init__()
        last = nn.Conv2d(4, 1, 3, padding=1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.layers = nn.Sequential(conv(4, 4), conv(4, 8), conv(8, 8), conv(8, 4), last, nn.Tanh())

    def forward(self, patches: Tensor) -> Tensor:
        return torch.clamp(patches[:, :1] + self.layers(patches), 0, 1)
