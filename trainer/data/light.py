"""Light on a composed picture: foreground and background in their own light, drawn together; shadows on the background."""

import torch
import torch.nn.functional as F
from torch import Tensor
from vmfm.trainer.data.camera import blur
from vmfm.trainer.data.dice import Dice

REDUCE = 4  # means, contrasts and shadows are taken at this fraction of the size


def colour_apart(rgb: Tensor, alpha: Tensor, behind: Tensor, composed: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Foreground and background under different light, the foreground's colours drawn toward the background's.

    rgb, behind (N, 3, H, W); alpha (N, 1, H, W). Where `composed` (N, 1, 1, 1) is 0, rgb stays as it is. Per channel, mean
    and contrast of the foreground are moved part of the way to those of the background (Reinhard et al. 2001).
    """
    changed = (rgb * dice.uniform(0.85, 1.15, channels=3)).clamp(1e-4, 1) ** dice.uniform(0.75, 1.35)
    behind = behind.clamp(1e-4, 1) ** dice.uniform(0.7, 1.4)
    pull = dice.uniform(0, 0.6)
    mean, spread = _statistics(changed, alpha)
    other_mean, other_spread = _statistics(behind, torch.ones_like(alpha))
    gain = (other_spread / spread.clamp(min=0.02)).clamp(0.6, 1.6)
    aim = mean * (other_mean / mean.clamp(min=0.05)).clamp(0.5, 1.6)
    # x + pull ((x - mean) gain + aim - x), in one multiplication
    changed = (changed * (1 + pull * (gain - 1)) + pull * (aim - mean * gain)).clamp(0, 1)
    return torch.where(composed > 0, changed, rgb), behind


def _statistics(rgb: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, (N, 3, 1, 1), where weight (N, 1, H, W) is."""
    rgb, weight = F.avg_pool2d(rgb, REDUCE), F.avg_pool2d(weight, REDUCE)
    total = weight.sum((2, 3), True).clamp(min=1e-3)
    mean = (rgb * weight).sum((2, 3), True) / total
    return mean, (((rgb - mean) ** 2 * weight).sum((2, 3), True) / total).sqrt()


def shadow(alpha: Tensor, strength: Tensor, dice: Dice) -> Tensor:
    """The share of light that is left on the background, (N, 1, H, W): the foreground's shape, moved, leaning, softened.

    alpha (N, 1, H, W); strength (N, 1, 1, 1) in [0, 1], how much of the light the foreground takes away; 0 leaves all.
    """
    n = len(alpha)
    shape = F.avg_pool2d(alpha, REDUCE)
    right, down, lean, grow, soft = (
        dice.uniform(low, high).view(n, 1)
        for low, high in ((-0.5, 0.5), (-0.15, 0.25), (-0.4, 0.4), (0.85, 1.3), (0, 1))
    )  # lengths in halves of the picture; rows below the middle lean one way, those above it the other
    zero = torch.zeros_like(lean)
    matrices = torch.stack((torch.cat((1 / grow, lean, -right), 1), torch.cat((zero, 1 / grow, -down), 1)), 1)
    cast = F.grid_sample(shape, F.affine_grid(matrices, list(shape.shape), align_corners=False), align_corners=False)
    cast = torch.lerp(cast, blur(cast, 2.0), soft.view(n, 1, 1, 1))
    return 1 - strength * F.interpolate(cast, scale_factor=REDUCE, mode="bilinear")
