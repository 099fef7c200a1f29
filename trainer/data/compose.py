"""Makes training batches on the device: crops, new backgrounds, colours, camera faults."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from vmfm.trainer.data import crops, interactions
from vmfm.trainer.data.dice import Dice
from vmfm.trainer.data.samples import PLANES
from vmfm.trainer.data.store import MAX_POINTS, Store

DETAIL = 2  # pictures are drawn at twice the nets' size: what the refinement sees, and antialiasing for the nets


@dataclass(frozen=True)
class Batch:
    """Float32 in [0, 1], (N, C, H, W) at the nets' size; fields called fine_* at DETAIL times that size.

    Where no finer size was asked for, the fine fields are at the nets' size too.
    image, fine_image (3): what the camera saw. foreground F*, background B* (3): clean colours; where `composed` (N, 1, 1, 1)
    is 0 they are not known and both equal the image. other_background (3): B-bar, a background that the picture was not
    taken before. alpha, fine_alpha, person, depth, heatmap (1): truths.
    alpha_known, fine_alpha_known, person_known (1), depth_known, all_points_known (N, 1, 1, 1): 1 where a truth may be trusted.
    """

    image: Tensor
    foreground: Tensor
    background: Tensor
    other_background: Tensor
    composed: Tensor
    alpha: Tensor
    alpha_known: Tensor
    person: Tensor
    person_known: Tensor
    depth: Tensor
    depth_known: Tensor
    heatmap: Tensor
    all_points_known: Tensor
    fine_image: Tensor
    fine_alpha: Tensor
    fine_alpha_known: Tensor

    def rows(self, chosen: slice) -> "Batch":
        """Some of its pictures."""
        return Batch(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


class Composer:
    """Draws batches from `sources` [(store, share)] over `backgrounds`; the same seed draws the same batches."""

    def __init__(self, sources: list[tuple[Store, float]], backgrounds: Store, device: torch.device) -> None:
        self.stores = [store for store, _ in sources]
        self.shares = np.array([share for _, share in sources]) / sum(share for _, share in sources)
        self.backgrounds = backgrounds
        self.device = device

    def batch(
        self, size: int, height: int, width: int, seed: int, *, fine: bool = False, rows: range | None = None
    ) -> Batch:
        """`size` pictures of height x width (multiples of 32); `fine` composes them at DETAIL times that size first.

        rows: compose only these of them. They come out as in the whole batch, whose processes each make their part.
        """
        if rows is None or len(rows) == size:
            return self._compose(Dice(size, slice(None), seed, self.device), height, width, fine)
        # every picture borrows from the one before it (`roll`), so the first one's goes along and is dropped at the end
        numbers = np.array([*rows, (rows.start - 1) % size])
        return self._compose(Dice(size, numbers, seed, self.device), height, width, fine).rows(slice(len(rows)))

    def _compose(self, dice: Dice, height: int, width: int, fine: bool) -> Batch:
        fine_height, fine_width = DETAIL * height, DETAIL * width
        planes, points, flags = self._draw(fine_height, fine_width, dice)
        points = torch.cat((points[..., :3] / DETAIL, points[..., 3:]), dim=-1)
        behind = self._behind(fine_height, fine_width, dice)
        if not fine:
            planes, behind = F.avg_pool2d(planes, DETAIL), F.avg_pool2d(behind, DETAIL)
        rgb, (alpha, alpha_unknown, person, person_unknown, depth) = planes[:, :3], planes[:, 3:].split(1, dim=1)
        composed, depth_known, sure = (f.view(-1, 1, 1, 1) for f in flags.unbind(1))

        behind = self._defocus(behind, dice)
        rgb, behind = _colour_apart(rgb, behind, composed, dice)
        elsewhere = behind.roll(1, 0)
        # a second person with his or her things, behind the first
        crowd = composed * composed.roll(1, 0) * _chance(len(rgb), 0.12, dice)
        other_alpha = crowd * alpha.roll(1, 0)
        behind = other_alpha * rgb.roll(1, 0) + (1 - other_alpha) * behind
        person = torch.maximum(person, (1 - alpha) * crowd * person.roll(1, 0))
        depth = torch.where(alpha > 0.5, depth, torch.where(other_alpha > 0.5, 0.9 * depth.roll(1, 0), depth))
        points = torch.cat((points, points.roll(1, 0) * crowd.view(-1, 1, 1)), dim=1)
        # what of the first is seen, and what of the one behind: both belong to the matte
        union = alpha + (1 - alpha) * other_alpha
        foreground = torch.where(
            union > 1e-3, (alpha * rgb + (1 - alpha) * other_alpha * behind) / union.clamp(min=1e-3), rgb
        )
        background = behind
        image = torch.where(composed > 0, alpha * rgb + (1 - alpha) * behind, rgb)
        unknown = torch.where(composed > 0, torch.zeros_like(alpha_unknown), alpha_unknown)

        image, seen = _camera(image, dice)
        foreground, background, elsewhere = seen(foreground), seen(background), seen(elsewhere)
        reduce = DETAIL if fine else 1
        truths = torch.cat((image, foreground, background, elsewhere, union, person, depth), 1)
        small = F.avg_pool2d(truths, reduce).split((3, 3, 3, 3, 1, 1, 1), 1)
        keep = composed > 0
        return Batch(
            image=small[0],
            foreground=torch.where(keep, small[1], small[0]),
            background=torch.where(keep, small[2], small[0]),
            other_background=small[3],
            composed=composed,
            alpha=small[4],
            alpha_known=_trusted(F.max_pool2d(unknown, reduce)),
            person=small[5],
            person_known=_trusted(F.max_pool2d(person_unknown, reduce)),
            depth=_stretch(small[6]),
            depth_known=depth_known,
            heatmap=interactions.render(points, height, width),
            all_points_known=sure,
            fine_image=image,
            fine_alpha=union,
            fine_alpha_known=_trusted(unknown),
        )

    def _draw(self, height: int, width: int, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
        """planes (N, 8, H, W), points (N, P, 4) in output pixels, flags (N, 3): composed, depth known, all points known."""
        # grouped by store: the order within a batch means nothing
        which = np.sort(dice.host.choice(len(self.stores), dice.size, p=self.shares))
        aims = [self._aim(self.stores[s], int((which == s).sum()), width / height, dice) for s in np.unique(which)]
        which, indices, matrices = (
            every[dice.rows] for every in (which, *(np.concatenate(parts) for parts in zip(*aims, strict=True)))
        )
        planes = torch.empty(len(which), 3 + len(PLANES), height, width, device=self.device)
        points = np.empty((len(which), MAX_POINTS, 4), np.float32)
        flags = np.empty((len(which), 3), np.float32)
        for s in np.unique(which):
            store, at = self.stores[s], np.flatnonzero(which == s)
            chosen, aim = indices[at], matrices[at]
            planes[self._send(at)] = store.crop(self._send(chosen), crops.grid(self._send(aim), height, width))
            points[at] = crops.move_points(store.points[chosen], aim, height, width)
            composed = np.array([store.placements[i].cutout for i in chosen], np.float32)
            flags[at] = np.stack((composed, store.depth_known[chosen], store.sure_points[chosen]), 1)
        return planes, self._send(points), self._send(flags)

    def _behind(self, height: int, width: int, dice: Dice) -> Tensor:
        indices, matrices = (every[dice.rows] for every in self._aim(self.backgrounds, dice.size, width / height, dice))
        grid = crops.grid(self._send(matrices), height, width)
        return self.backgrounds.crop(self._send(indices), grid)[:, :3]

    def _defocus(self, behind: Tensor, dice: Dice) -> Tensor:
        """Shallow depth of field, for every fifth background."""
        chosen = np.flatnonzero((dice.host.random(dice.size) < 0.2)[dice.rows])
        if len(chosen) == 0:
            return behind
        which = self._send(chosen)
        return behind.index_copy(0, which, _blur(behind[which], behind.shape[-2] / 60))

    @staticmethod
    def _aim(store: Store, count: int, aspect: float, dice: Dice) -> tuple[np.ndarray, np.ndarray]:
        """Which pictures, (count,), and where to look in each, (count, 2, 3)."""
        indices = dice.host.integers(len(store), size=count)
        return indices, np.stack([crops.choose(store.placements[i], aspect, dice.host) for i in indices])

    def _send(self, values: np.ndarray) -> Tensor:
        """To the device without waiting for it."""
        return torch.from_numpy(values).to(self.device, non_blocking=True)


def _trusted(unknown: Tensor) -> Tensor:
    return (unknown < 0.02).float()


def _chance(size: int, p: float, dice: Dice) -> Tensor:
    return (dice.uniform(size, 1, 1, 1) < p).float()


def _uniform(size: int, channels: int, low: float, high: float, dice: Dice) -> Tensor:
    return low + (high - low) * dice.uniform(size, channels, 1, 1)


def _stretch(depth: Tensor) -> Tensor:
    """Nearest = 1, farthest = 0 within each picture."""
    low, high = depth.amin((1, 2, 3), True), depth.amax((1, 2, 3), True)
    return (depth - low) / (high - low).clamp(min=1e-3)


def _blur(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, round(2 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=image.device) / sigma) ** 2)
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    padded = F.pad(image, (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, taps, groups=3), taps.transpose(2, 3), groups=3)


def _colour_apart(rgb: Tensor, behind: Tensor, composed: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Foreground and background under different light, the foreground drawn toward the background's brightness."""
    n = len(rgb)
    changed = (rgb * _uniform(n, 3, 0.85, 1.15, dice)).clamp(1e-4, 1) ** _uniform(n, 1, 0.75, 1.35, dice)
    pull = _uniform(n, 1, 0, 0.6, dice)
    means = [v.mean((2, 3), keepdim=True) for v in (changed, behind)]
    changed = (changed * ((1 - pull) + pull * (means[1] / means[0].clamp(min=0.05)).clamp(0.5, 1.6))).clamp(0, 1)
    behind = behind.clamp(1e-4, 1) ** _uniform(n, 1, 0.7, 1.4, dice)
    return torch.where(composed > 0, changed, rgb), behind


def _camera(image: Tensor, dice: Dice) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """What a camera does to everything it sees: exposure, white balance, contrast, lost colour; then blur and noise.

    Returns the image, and all but the blur as a function for the foreground and backgrounds behind it: they get the very
    same grain, else a discriminator would tell composites by it.
    """
    n = len(image)
    balance, gamma = _uniform(n, 3, 0.9, 1.1, dice), _uniform(n, 1, 0.7, 1.4, dice)
    contrast, mean = _uniform(n, 1, 0.75, 1.25, dice), image.mean((1, 2, 3), keepdim=True)
    grey = _chance(n, 0.04, dice) + _uniform(n, 1, -0.3, 0.35, dice).clamp(0, 1)

    def colours(x: Tensor) -> Tensor:
        x = ((x * balance).clamp(1e-4, 1) ** gamma - mean) * contrast + mean
        luma = 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]
        return torch.lerp(x, luma, grey.clamp(0, 1)).clamp(0, 1)

    image = colours(image)
    image = torch.lerp(image, _blur(image, 1.6), _chance(n, 0.3, dice) * _uniform(n, 1, 0, 1, dice))
    noise = dice.normal(*image.shape) * _uniform(n, 1, -0.03, 0.05, dice).clamp(min=0)
    return (image + noise).clamp(0, 1), lambda x: (colours(x) + noise).clamp(0, 1)
