"""The discriminator: does this look like a photo, or like somebody cut out and put elsewhere? Only training has it.

PatchGAN as in pix2pixHD (one scale): every output judges a window of 70x70 pixels. The paper leaves the net open.
"""

from torch import Tensor, nn

LAYERS, WIDTH, KERNEL, LEAK = 3, 64, 4, 0.2


class Discriminator(nn.Module):
    """picture (N, 3, H, W) RGB in [0, 1], H and W at least 32 -> score (N, 1, about H/8, about W/8): real is 1, fake is 0."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, KERNEL, 2, padding=2), nn.LeakyReLU(LEAK, inplace=True)]
        for i in range(LAYERS):
            channels, stride = width << i, 2 if i < LAYERS - 1 else 1
            layers += [
                nn.Conv2d(channels, 2 * channels, KERNEL, stride, padding=2),
                nn.InstanceNorm2d(2 * channels),
                nn.LeakyReLU(LEAK, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width << LAYERS, 1, KERNEL, padding=2))

    def forward(self, picture: Tensor) -> Tensor:
        return self.layers(2 * picture - 1).float()
