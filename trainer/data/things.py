"""Cut-out things pasted into composed pictures: before a person as held, or beside a person as nobody's.

What a net must learn is not what things look like but which of them belong to a person. So the same thing comes in both
roles: over a person, where somebody held it (foreground), and in the background, away from the person (not foreground).
What is never held, furniture above all, only comes as background.
Places are in shares of the picture: x and y from the top left corner in [0, 1].
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from vmfm.trainer.data import crops
from vmfm.trainer.data.dice import Dice
from vmfm.trainer.data.interactions import Box, pair_point, sigma
from vmfm.trainer.data.samples import ALPHA, DEPTH, PERSON, Sample
from vmfm.trainer.data.store import Store

SIDE_PX = 192  # things are kept at this size, since they fill a part of a picture
LEAST_TOUCH = 0.15  # of a held thing must lie over the person, else it would hang in the air
IN_FRONT = 0.02  # how much nearer a held thing is than the person behind it, in depth of [0, 1]


class Spot(NamedTuple):
    """Where a thing is pasted: its number, its box in the picture, and whether it is mirrored."""

    thing: int
    box: Box
    mirrored: bool


class Things:
    """Draws things from `sources` [(samples, share)]; those with a grip may be held, all may stand about."""

    def __init__(self, sources: list[tuple[list[Sample], float]], device: torch.device) -> None:
        samples = [sample for group, _ in sources for sample in group]
        self.store = Store(samples, SIDE_PX, device, planes=("alpha",))
        self.grips = [sample.grip for sample in samples]
        shares = np.concatenate([np.full(len(group), share / max(1, len(group))) for group, share in sources])
        held = shares * [grip is not None for grip in self.grips]
        alike = {whole: shares * [g is not None and g.whole == whole for g in self.grips] for whole in (True, False)}
        self._shares = _summing_to_one(shares)
        # who is cut off by the picture holds what others held who were: with them, sizes compare
        self._held_shares = {whole: _summing_to_one(some if some.any() else held) for whole, some in alike.items()}

    def _away(self, person: Box, aspect: float, rng: np.random.Generator) -> Spot | None:
        """Something that nobody has in a picture of `aspect`: what may be held beside the person, since it would look held
        there, and what never is anywhere behind, as a sofa is. None where there is no room for half of it.
        """
        thing = int(rng.choice(len(self._shares), p=self._shares))
        place, is_ever_held = self.store.placements[thing], self.grips[thing] is not None
        height = rng.uniform(0.15, 0.6 if is_ever_held else 0.9)
        width = height * place.width / place.height / aspect
        x = _beside(person, width, rng) if is_ever_held else rng.uniform(-width / 2, 1 - width / 2)
        if x is None:
            return None
        mirrored = bool(rng.random() < 0.5)
        y = rng.uniform(0, 1 - 0.6 * height)
        if place.box is not None:  # where its picture cut it off, there this one does
            cuts = place.box[0] <= 1, place.box[2] >= place.width - 1
            if not is_ever_held and cuts[0] != cuts[1]:
                x = 0.0 if cuts[mirrored] else 1 - width
            if place.box[3] >= place.height - 1:
                y = 1 - height
        return Spot(thing, (x, y, width, height), mirrored)

    def _before(self, person: Box, aspect: float, rng: np.random.Generator) -> Spot | None:
        """Something before the person, where its holder held it; None if no thing has a grip."""
        shares = self._held_shares[person[1] + person[3] < 0.99]
        if not shares.any():
            return None
        thing = int(rng.choice(len(shares), p=shares))
        grip, place, mirrored = self.grips[thing], self.store.placements[thing], bool(rng.random() < 0.5)
        assert grip is not None
        height = grip.height * person[3] * rng.uniform(0.8, 1.3)
        width = height * place.width / place.height / aspect
        x = person[0] + person[2] * ((1 - grip.x if mirrored else grip.x) + rng.normal(0, 0.05))
        y = person[1] + person[3] * (grip.y + rng.normal(0, 0.05))
        return Spot(thing, (x - width / 2, y - height / 2, width, height), mirrored)

    def hold(
        self,
        planes: Tensor,
        points: Tensor,
        lone: Tensor,
        people: list[Box | None],
        size: tuple[int, int],
        chance: float,
        dice: Dice,
    ) -> tuple[Tensor, Tensor]:
        """A thing before some of the people; planes (N, 8, H, W): RGB and samples.PLANES of these.

        points (N, P, 4) as in Store.points, in pixels of `size` (height, width): one more comes out, (N, P + 1, 4), and of
        the `lone` ones (N, P) the nearest goes, since that person has a thing now. A thing that would touch its person
        too little is left out.
        """
        more = torch.zeros_like(points[:, :1])
        spots = self._spots(self._before, people, planes, chance, dice)
        if spots:
            at = dice.send(list(spots))
            held, there = put_before(planes[at], self._show(list(spots.values()), planes, dice))
            planes = planes.index_copy(0, at, held)
            meet = [_meeting(people[i], spot.box, size) for i, spot in spots.items()]
            new = dice.send(np.array(meet))[:, None]
            more = more.index_copy(0, at, new * torch.cat((torch.ones_like(new[..., :3]), there[..., 0]), -1))
            points = points.index_copy(0, at, _no_longer_alone(points[at], lone[at], new, there[..., 0]))
        return planes, torch.cat((points, more), 1)

    def stand(self, behind: Tensor, people: list[Box | None], chance: float, dice: Dice) -> tuple[Tensor, list[int]]:
        """A thing beside or behind some of the people, on the backgrounds behind (N, 3, H, W); and in which pictures."""
        spots = self._spots(self._away, people, behind, chance, dice)
        if not spots:
            return behind, []
        at, shown = dice.send(list(spots)), self._show(list(spots.values()), behind, dice)
        return behind.index_copy(0, at, torch.lerp(behind[at], shown[:, :3], shown[:, 3:])), list(spots)

    def _spots(
        self,
        place: Callable[[Box, float, np.random.Generator], Spot | None],
        people: list[Box | None],
        pictures: Tensor,
        chance: float,
        dice: Dice,
    ) -> dict[int, Spot]:
        """Where things go, by the number of the picture."""
        aspect = pictures.shape[-1] / pictures.shape[-2]
        chosen = [(i, person) for i in dice.chosen(chance) if (person := people[i]) is not None]
        spots = {i: place(person, aspect, dice.own[i]) for i, person in chosen}
        return {i: spot for i, spot in spots.items() if spot is not None}

    def _show(self, spots: list[Spot], pictures: Tensor, dice: Dice) -> Tensor:
        """RGBA (K, 4, H, W) of things at their spots, as large as the pictures; drawn at twice that, for smooth edges."""
        height, width = pictures.shape[-2:]
        aim = np.stack([crops.onto(self.store.placements[s.thing], s.box, s.mirrored) for s in spots])
        grid = crops.grid(dice.send(aim), 2 * height, 2 * width)
        return F.avg_pool2d(self.store.crop(dice.send([s.thing for s in spots]), grid), 2)


def _beside(person: Box, width: float, rng: np.random.Generator) -> float | None:
    """Where something of that width begins on either side of the person; None if both lack room for half of it."""
    left, right = person[0], person[0] + person[2]
    sides = np.array([max(left, 0), max(1 - right, 0)])
    on_left = rng.random() * sides.sum() < sides[0]
    if sides.max() < width / 2:
        return None
    if sides[0 if on_left else 1] < width / 2:
        on_left = not on_left
    return rng.uniform(-width / 2, left - width) if on_left else rng.uniform(right, 1 - width / 2)


def put_before(planes: Tensor, thing: Tensor) -> tuple[Tensor, Tensor]:
    """Things RGBA (K, 4, H, W) before people; planes (K, 8, H, W): RGB and samples.PLANES of these.

    Returns the planes, and 1 or 0 (K, 1, 1, 1): a thing that touches its person too little is not there.
    """
    rgb, alpha, person, depth = planes[:, :3], planes[:, ALPHA], planes[:, PERSON], planes[:, DEPTH]
    opacity = thing[:, 3:]
    over = (opacity * alpha).sum((1, 2, 3), True)
    there = (over > LEAST_TOUCH * opacity.sum((1, 2, 3), True)).float()
    opacity = opacity * there
    union = opacity + (1 - opacity) * alpha
    near = (opacity * alpha * depth).sum((1, 2, 3), True) / over.clamp(min=1e-3) + IN_FRONT
    held = planes.clone()
    held[:, :3] = torch.lerp(rgb, thing[:, :3], opacity / union.clamp(min=1e-3))
    held[:, ALPHA], held[:, PERSON] = union, (1 - opacity) * person
    held[:, DEPTH] = torch.where(opacity > 0.5, near.clamp(max=1), depth)
    return held, there


def _no_longer_alone(points: Tensor, lone: Tensor, new: Tensor, there: Tensor) -> Tensor:
    """points (K, P, 4) without the lone one, if any, that is nearest to the new point (K, 1, 4), where it is `there` (K, 1, 1)."""
    here = lone * (points[..., 3] > 0)
    far = torch.where(here > 0, (points[..., :2] - new[..., :2]).norm(dim=-1), torch.inf)
    nearest = F.one_hot(far.argmin(1), far.shape[1]) * here * there[..., 0]
    return torch.cat((points[..., :3], (points[..., 3] * (1 - nearest))[..., None]), -1)


def _meeting(person: Box | None, thing: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Their interaction point in pixels of a picture of `size`: x, y, sigma, confidence."""
    assert person is not None
    point = pair_point(_scaled(person, size), _scaled(thing, size))
    return point.x, point.y, sigma(point), 1.0


def _scaled(box: Box, size: tuple[int, int]) -> Box:
    x, y, width, height = box
    return x * size[1], y * size[0], width * size[1], height * size[0]


def _summing_to_one(shares: np.ndarray) -> np.ndarray:
    return shares / max(float(shares.sum()), 1e-9)
