"""The paper's losses (section 3 of its text), each a mean over the pixels whose truth is known.

Maps are float32 (N, 1, H, W) in [0, 1]; `known` is a weight map of that shape, 0 where the truth must not be trusted.
Means are over the whole batch, of which the maps may be a part: so every sum goes through `totals`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from vmfm.trainer.totals import totals

OCTAVES = 5  # of the Laplacian pyramid
DILATION_PX = 7  # Q of Eq. 7: how far around a mistake counts as doubtful


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Sum of values * weights over sum of weights; 0 where nothing is known. Shapes broadcast."""
    weights = weights.expand_as(values)
    total, weight = totals((values * weights).sum(), weights.sum())
    return total / weight.clamp(min=1)


def mean(values: Tensor) -> Tensor:
    """Over the whole batch; values of any shape."""
    total, number = totals(values.sum(), values.new_full((), values.numel()))
    return total / number


def sobel(x: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, 2, H, W): derivative along x and y, each kernel normalised to unit gain."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    rows = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    columns = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    return torch.cat((rows[..., 2:] - rows[..., :-2], columns[:, :, 2:] - columns[:, :, :-2]), dim=1) / 2


def matte_loss(alpha: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """L_a = |a - a*| + |grad a - grad a*| (Eq. 2); a gradient counts where its whole neighbourhood is known."""
    error = alpha - truth
    sharp = -F.max_pool2d(-known, 3, stride=1, padding=1)
    return weighted_mean(error.abs(), known) + weighted_mean(sobel(error).abs(), sharp)


def laplacian_loss(alpha: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean of |L_s(a) - L_s(a*)| over the octaves s of a Laplacian pyramid, weighed by 2^s; sides of 32 pixels or multiples.

    Beyond the paper, after Hou and Liu (ICCV 2019): a misplaced edge is felt at every scale it spans. The octaves are linear,
    so they are taken of the error; they count where all that they are made of is known.
    """
    error = (alpha - truth) * (known > 0)
    total = error.new_zeros(())
    for octave in range(OCTAVES):
        coarse = F.avg_pool2d(error, 2)
        band = error - F.interpolate(coarse, size=error.shape[-2:], mode="bilinear")
        sure = -F.max_pool2d(-known, 5, stride=1, padding=2)  # a band reaches two pixels far
        total = total + 2**octave * weighted_mean(band.abs(), sure)
        error, known = coarse, -F.max_pool2d(-known, 2)
    return total / (2**OCTAVES - 1)


def composite_loss(alpha: Tensor, foreground: Tensor, background: Tensor, image: Tensor, known: Tensor) -> Tensor:
    """L_com = |a F* + (1 - a) B* - I| (Eq. 4); colours (N, 3, H, W), known (N, 1, 1, 1): are F* and B* known?"""
    return weighted_mean((composite(alpha, foreground, background) - image).abs(), known)


def deviation_truth(alpha: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Q(|a - a*|) of Eq. 7: the error, dilated, over its maximum in the picture (the all-zero map stays zero)."""
    error = (alpha - truth).abs() * (known > 0)
    wide = F.max_pool2d(error, DILATION_PX, stride=1, padding=DILATION_PX // 2)
    peak = wide.amax(dim=(2, 3), keepdim=True)
    return torch.where(peak > 1 / 255, wide / peak.clamp(min=1 / 255), torch.zeros_like(wide))


def deviation_loss(deviation: Tensor, alpha: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """L_c = |CL(I, a) - Q(|a - a*|)| (Eq. 7). It trains CL; no gradient reaches the foreground net through Q."""
    return weighted_mean((deviation - deviation_truth(alpha.detach(), truth, known)).abs(), (known > 0).float())


def composite(alpha: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """alpha F + (1 - alpha) B (Eq. 1), colours (N, 3, H, W)."""
    return alpha * foreground + (1 - alpha) * background


def generator_loss(score: Tensor) -> Tensor:
    """(D(composite) - 1)^2, the first term of Eq. 3 and 6; score of any shape."""
    return mean((score - 1) ** 2)


def discriminator_loss(fake_score: Tensor, real_score: Tensor) -> Tensor:
    """L_D = D(composite)^2 + (D(real) - 1)^2 (Eq. 5)."""
    return mean(fake_score**2) + mean((real_score - 1) ** 2)


def thresholded(deviation: Tensor, threshold: float) -> Tensor:
    """Deviation above the threshold becomes 1 (Eq. 8)."""
    return torch.where(deviation > threshold, 1.0, deviation)


def supervision_loss(
    alpha: Tensor, other_alpha: Tensor, deviation: Tensor, other_deviation: Tensor, threshold: float, *, below: bool
) -> Tensor:
    """L_cs = beta |a_m - a_other| (Eq. 10): where a net is less sure than its counterpart it learns from that one.

    The paper's text says that only pixels above the threshold are taught, by counterparts below it; its equation also
    acts where both are below. below: follow the equation. No gradient reaches the counterpart or either deviation.
    """
    area = thresholded(deviation, threshold) > thresholded(other_deviation, threshold)
    if not below:
        area = area & (deviation > threshold)
    return mean(area.detach() * (alpha - other_alpha.detach()).abs())


def correction_loss(deviation: Tensor, other_deviation: Tensor, threshold: float) -> Tensor:
    """L_dc = sigma |CL_m|_2 (Eq. 11), sigma = 1 where neither net is sure; the norm as a root mean square per picture.

    The gradient runs through the deviation as CL gave it, since what Eq. 8 set to 1 has none.
    """
    area = (torch.minimum(deviation, other_deviation) > threshold).detach()
    norms = torch.linalg.vector_norm(area * deviation, dim=(1, 2, 3))
    return mean(norms / deviation[0].numel() ** 0.5)


def segmentation_loss(segmentation: Tensor, person: Tensor, known: Tensor) -> Tensor:
    """Cross entropy plus soft Dice against the person's coverage."""
    p = segmentation.clamp(1e-4, 1 - 1e-4)
    entropy = -(person * p.log() + (1 - person) * (1 - p).log())
    overlap, extent = totals((segmentation * person * known).sum(), ((segmentation + person) * known).sum())
    dice = 1 - (2 * overlap + 1) / (extent + 1)
    return weighted_mean(entropy, known) + dice


def depth_loss(depth: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """|d - d*| + |grad d - grad d*| on relative inverse depth; known (N, 1, 1, 1)."""
    return weighted_mean((depth - truth).abs(), known) + weighted_mean(sobel(depth - truth).abs(), known)


def heatmap_loss(heatmap: Tensor, truth: Tensor, all_points_known: Tensor) -> Tensor:
    """Cross entropy with the soft peaks, peaks weighted up; where some points may be missing the empty rest counts little."""
    p = heatmap.clamp(1e-4, 1 - 1e-4)
    entropy = -(truth * p.log() + (1 - truth) * (1 - p).log())
    weight = 20 * truth + torch.where(all_points_known > 0, 1.0, 0.1)
    return weighted_mean(entropy, weight)
