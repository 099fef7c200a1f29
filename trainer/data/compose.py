"""Makes training batches on the device: crops, things, new backgrounds, light, motion, camera faults."""

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from vmfm.trainer.data import crops, interactions
from vmfm.trainer.data.camera import blur, camera
from vmfm.trainer.data.dice import Dice
from vmfm.trainer.data.interactions import Box
from vmfm.trainer.data.light import colour_apart, shadow
from vmfm.trainer.data.motion import shake
from vmfm.trainer.data.samples import PLANES
from vmfm.trainer.data.store import MAX_POINTS, Store
from vmfm.trainer.data.things import Things
from vmfm.trainer.errors import TrainerError

BEHIND = 0.37  # of its depth, a second person's: the nearest then is as far as the farthest of the first one
SHARP_ZOOM = 0.45, 0.9  # pixels of the nets to one of a photo that is made small
DETAIL = 2  # pictures are drawn at twice the nets' size: what the refinement sees, and antialiasing for the nets


@dataclass(frozen=True)
class Chances:
    """How often, from 0 to 1, something happens to a picture that is composed; jpeg: to any picture.

    Raises TrainerError on a number that is no probability.
    """

    held: float = 0.15  # a thing is put before the person, where its holder held it: foreground
    beside: float = 0.3  # a thing stands beside or behind the person: background
    crowd: float = 0.12  # a second person with his or her things stands behind
    sharp: float = 0.5  # the background is a large photo made small, which is as sharp as pictures get
    defocus: float = 0.2  # the background is out of focus
    shadow: float = 0.3  # the foreground's shadow lies on the background
    motion: float = 0.15  # the foreground, the background or both move during the exposure
    jpeg: float = 0.3

    def __post_init__(self) -> None:
        if wrong := [name for name, p in vars(self).items() if not 0 <= p <= 1]:
            raise TrainerError(f"the chance of {wrong[0]} is {vars(self)[wrong[0]]}; wanted 0 to 1")


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

    def __init__(
        self,
        sources: list[tuple[Store, float]],
        backgrounds: Store,
        device: torch.device,
        things: Things | None = None,
        chances: Chances = Chances(),
    ) -> None:
        self.stores = [store for store, _ in sources]
        self.shares = np.array([share for _, share in sources]) / sum(share for _, share in sources)
        self.backgrounds, self.things, self.chances = backgrounds, things, chances
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
        chances, fine_height, fine_width = self.chances, DETAIL * height, DETAIL * width
        planes, points, lone, flags, people = self._draw(fine_height, fine_width, dice)
        behind = self._behind(fine_height, fine_width, dice)
        if not fine:
            planes, behind = F.avg_pool2d(planes, DETAIL), F.avg_pool2d(behind, DETAIL)
        if self.things is not None:
            size = fine_height, fine_width
            planes, points = self.things.hold(planes, points, lone, people, size, chances.held, dice)
            behind, stands = self.things.stand(behind, people, chances.beside, dice)
            flags[stands, 1] = 0  # how far away a thing would be that was put there is not known
        points = torch.cat((points[..., :3] / DETAIL, points[..., 3:]), dim=-1)
        composed, depth_known, sure = (f.view(-1, 1, 1, 1) for f in dice.send(flags).unbind(1))
        behind = self._defocus(behind, dice)
        planes, behind = shake(planes, behind, chances.motion * flags[:, 0], dice)

        rgb, (alpha, alpha_unknown, person, person_unknown, depth) = planes[:, :3], planes[:, 3:].split(1, dim=1)
        rgb, behind = colour_apart(rgb, alpha, behind, composed, dice)
        elsewhere = behind.roll(1, 0)
        behind = behind * shadow(alpha, composed * dice.chance(chances.shadow) * dice.uniform(0.15, 0.7), dice)
        # a second person with his or her things, behind the first
        crowd = composed * composed.roll(1, 0) * dice.chance(chances.crowd)
        other_alpha = crowd * alpha.roll(1, 0)
        behind = other_alpha * rgb.roll(1, 0) + (1 - other_alpha) * behind
        person = person + (1 - alpha) * crowd * person.roll(1, 0)
        person_unknown = torch.maximum(person_unknown, (1 - alpha) * crowd * person_unknown.roll(1, 0))
        depth = torch.where(alpha > 0.5, depth, torch.where(other_alpha > 0.5, BEHIND * depth.roll(1, 0), depth))
        points = torch.cat((points, points.roll(1, 0) * crowd.view(-1, 1, 1)), dim=1)
        depth_known, sure = (known * (1 - crowd * (1 - known.roll(1, 0))) for known in (depth_known, sure))
        # what of the first is seen, and what of the one behind: both belong to the matte
        union = alpha + (1 - alpha) * other_alpha
        foreground = torch.where(
            union > 1e-3, (alpha * rgb + (1 - alpha) * other_alpha * behind) / union.clamp(min=1e-3), rgb
        )
        background = behind
        image = torch.where(composed > 0, alpha * rgb + (1 - alpha) * behind, rgb)
        unknown = torch.where(composed > 0, torch.zeros_like(alpha_unknown), alpha_unknown)

        image, seen = camera(image, chances.jpeg, dice)
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

    def _draw(self, height: int, width: int, dice: Dice) -> tuple[Tensor, Tensor, Tensor, np.ndarray, list[Box | None]]:
        """planes (N, 8, H, W), points (N, P, 4) in output pixels, which of them are lone (N, P), flags (N, 3): composed,
        depth known, all points known.

        And the boxes of those who are composed, in shares of the picture.
        """
        # grouped by store: the order within a batch means nothing
        which = np.sort(dice.host.choice(len(self.stores), dice.size, p=self.shares))
        aims = [self._aim(self.stores[s], int((which == s).sum()), width / height, dice) for s in np.unique(which)]
        which, indices, matrices = (
            every[dice.rows] for every in (which, *(np.concatenate(parts) for parts in zip(*aims, strict=True)))
        )
        planes = torch.empty(len(which), 3 + len(PLANES), height, width, device=self.device)
        points = np.empty((len(which), MAX_POINTS, 4), np.float32)
        lone = np.empty((len(which), MAX_POINTS), np.float32)
        flags = np.empty((len(which), 3), np.float32)
        people: list[Box | None] = [None] * len(which)
        for s in np.unique(which):
            store, at = self.stores[s], np.flatnonzero(which == s)
            chosen, aim = indices[at], matrices[at]
            planes[dice.send(at)] = store.crop(dice.send(chosen), crops.grid(dice.send(aim), height, width))
            points[at], lone[at] = crops.move_points(store.points[chosen], aim, height, width), store.lone[chosen]
            places = [store.placements[i] for i in chosen]
            composed = np.array([place.cutout for place in places], np.float32)
            flags[at] = np.stack((composed, store.depth_known[chosen], store.sure_points[chosen]), 1)
            for i, place, matrix in zip(at, places, aim, strict=True):
                people[i] = crops.move_box(place.box, matrix) if place.cutout and place.box else None
        return planes, dice.send(points), dice.send(lone), flags, people

    def _behind(self, height: int, width: int, dice: Dice) -> Tensor:
        """Sharp ones go on mirrored where the photo ends, since photos are kept too small to be shown smaller still.

        Were all of them enlarged, as crops of photos mostly are, the nets would learn that whatever is sharp is foreground.
        """
        indices, matrices = self._aim(self.backgrounds, dice.size, width / height, dice)
        zooms = dice.host.uniform(*SHARP_ZOOM, dice.size)
        for i in np.flatnonzero(dice.host.random(dice.size) < self.chances.sharp):
            matrices[i] = crops.widened(matrices[i], height / DETAIL / zooms[i])
        indices, matrices = indices[dice.rows], matrices[dice.rows]
        places = [self.backgrounds.placements[i] for i in indices]
        sizes = dice.send(np.array([(place.width, place.height) for place in places], np.float32))
        grid = crops.mirrored(crops.grid(dice.send(matrices), height, width), sizes)
        return self.backgrounds.crop(dice.send(indices), grid, channels=3)

    def _defocus(self, behind: Tensor, dice: Dice) -> Tensor:
        """Shallow depth of field, for some backgrounds."""
        chosen = np.flatnonzero((dice.host.random(dice.size) < self.chances.defocus)[dice.rows])
        if len(chosen) == 0:
            return behind
        which = dice.send(chosen)
        return behind.index_copy(0, which, blur(behind[which], behind.shape[-2] / 60))

    @staticmethod
    def _aim(store: Store, count: int, aspect: float, dice: Dice) -> tuple[np.ndarray, np.ndarray]:
        """Which pictures, (count,), and where to look in each, (count, 2, 3)."""
        indices = dice.host.integers(len(store), size=count)
        return indices, np.stack([crops.choose(store.placements[i], aspect, dice.host) for i in indices])


def _trusted(unknown: Tensor) -> Tensor:
    return (unknown < 0.02).float()


def _stretch(depth: Tensor) -> Tensor:
    """Nearest = 1, farthest = 0 within each picture."""
    low, high = depth.amin((1, 2, 3), True), depth.amax((1, 2, 3), True)
    return (depth - low) / (high - low).clamp(min=1e-3)
