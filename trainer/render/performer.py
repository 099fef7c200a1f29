"""A person being posed: the posture, and the few movements that all stances, gestures and holds are made of."""

from dataclasses import dataclass, field
from random import Random

import numpy as np
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.render.kinematics import UP, reject, rotation, unit, vec
from vmfm.trainer.render.person import Person
from vmfm.trainer.render.skeleton import SIDES, Posture, sign

REACH_TOLERANCE = 0.07  # metres by which a hand may miss


class Unposable(TrainerError):
    """This draw does not work out; another attempt may."""


@dataclass(frozen=True)
class Motion:
    """How far a moment of a clip is from the scene's own moment."""

    hand: tuple[float, float, float] = (0.0, 0.0, 0.0)  # metres, of hands that hold something
    spine_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)  # turn, nod, tilt
    head_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    step: tuple[float, float, float] = (0.0, 0.0, 0.0)  # metres, of the whole body


STILL = Motion()


@dataclass
class Performer:
    """In the person's own axes: looking along -y, standing on z = 0."""

    person: Person
    rng: Random
    motion: Motion = STILL
    posture: Posture = None  # type: ignore[assignment]
    contacts: list[np.ndarray] = field(default_factory=list)  # where body and things touch
    busy: set[str] = field(default_factory=set)  # sides whose hand holds something
    look_at: np.ndarray | None = None  # what the person is busy with
    seated: bool = False
    floor: float = 0.0
    tilt: np.ndarray = field(default_factory=lambda: np.eye(4))  # of person and things together, as in a jump

    def __post_init__(self) -> None:
        self.posture = Posture(self.person.skeleton)

    # What is where

    def mark(self, name: str) -> np.ndarray:
        """A point of the head, as it is now."""
        return self.posture.carried("head", getattr(self.person.marks, name))

    def ear(self, side: str) -> np.ndarray:
        x, y, z = self.person.marks.ear
        return self.posture.carried("head", vec(sign(side) * x, y, z))

    def shoulder(self, side: str) -> np.ndarray:
        return self.posture.head(f"upperarm_{side}")

    def chest(self) -> np.ndarray:
        """Between the shoulders."""
        return (self.shoulder("l") + self.shoulder("r")) / 2

    @property
    def ankle_height(self) -> float:
        """Of the ankle over the sole."""
        return float(self.person.skeleton.heads[self.person.skeleton.index["foot_l"]][2]) + 0.012

    # Movements

    def bring(self, side: str, point: np.ndarray, along: np.ndarray, normal: np.ndarray, off: float, pole: np.ndarray,
              curl: float, thumb: float = 25, tolerance: float = REACH_TOLERANCE, holds: bool = True,
              sways: bool = True) -> np.ndarray:  # fmt: skip
        """Brings a hand to `point`, fingers along `along`, the palm facing `normal` at `off` metres from the point.

        pole: where the elbow goes. curl, thumb: degrees per joint. holds: counts as holding something. sways: a hand
        that holds something moves in clips; not where the thing is at the head, or in the other hand.
        Returns where the grip ended up. Raises Unposable if that is further off than `tolerance`.
        """
        posture = self.posture
        if holds and sways:
            point = point + np.asarray(self.motion.hand)
        along = unit(along)
        normal = unit(reject(normal, along))
        palm = 0.8 * float(np.linalg.norm(posture.head(f"middle_01_{side}") - posture.head(f"hand_{side}")))
        posture.reach(side, point - along * palm - normal * off, pole)
        posture.orient(side, along, normal)
        grip = posture.grip(side, off)
        posture.curl(side, curl, thumb)
        if (miss := float(np.linalg.norm(grip - point))) > tolerance:
            raise Unposable(f"the {side} hand misses by {miss:.2f} m")
        if holds:
            self.contacts.append(posture.grip(side, 0.01))
            self.busy.add(side)
        return grip

    def turn_spine(self) -> None:
        """A back is never quite straight."""
        rng, posture, sway = self.rng, self.posture, self.motion.spine_deg
        posture.turn("spine_01", UP, rng.uniform(-7, 7) + sway[0])
        posture.turn("spine_02", UP, rng.uniform(-8, 8))
        posture.turn("spine_01", vec(0, 1, 0), rng.uniform(-5, 5) + sway[2])
        posture.turn("spine_02", vec(1, 0, 0), rng.uniform(-6, 6) + sway[1])
        posture.turn("neck_01", vec(0, 1, 0), rng.uniform(-7, 7))
        posture.turn("head", vec(0, 1, 0), rng.uniform(-6, 6))

    def face(self, target: np.ndarray, amount: float) -> None:
        """Turns neck and head by a share of the way to a point, as far as a neck goes."""
        posture = self.posture
        eyes = (self.mark("left_eye") + self.mark("right_eye")) / 2
        ahead, wanted = posture.basis("head") @ vec(0, -1, 0), unit(target - eyes)
        yaw = np.degrees(np.arctan2(ahead[0] * wanted[1] - ahead[1] * wanted[0], ahead[:2] @ wanted[:2]))
        pitch = np.degrees(np.arcsin(np.clip(wanted[2], -1, 1)) - np.arcsin(np.clip(ahead[2], -1, 1)))
        yaw, pitch = np.clip(yaw * amount, -50, 50), np.clip(pitch * amount, -28, 25)
        for bone, share in (("neck_01", 0.45), ("head", 0.55)):
            posture.turn(bone, UP, yaw * share)
            posture.turn(bone, posture.basis("head") @ vec(1, 0, 0), -pitch * share)

    def sway_head(self) -> None:
        turn, nod, tilt = self.motion.head_deg
        side = self.posture.basis("head") @ vec(1, 0, 0)
        self.posture.turn("head", UP, turn)
        self.posture.turn("head", side, nod)
        self.posture.turn("head", vec(0, 1, 0), tilt)

    def plant(self, side: str, ankle: np.ndarray, knee: np.ndarray, yaw_deg: float = 0.0) -> None:
        """Puts a foot flat at a place, its toes turned out by `yaw_deg`."""
        self.posture.step(side, ankle, knee)
        flat = rotation(UP, sign(side) * yaw_deg)
        self.posture.rotate(f"foot_{side}", flat @ self.posture.basis(f"foot_{side}").T)

    def relax(self, side: str) -> None:
        """The arm hangs down, or rests on the thigh of somebody who sits."""
        rng, posture, s = self.rng, self.posture, sign(side)
        if self.seated and rng.random() < 0.7:
            thigh, knee = posture.head(f"thigh_{side}"), posture.head(f"calf_{side}")
            rest = thigh + (knee - thigh) * rng.uniform(0.55, 0.85) + vec(0, 0, 0.085)
            posture.reach(side, rest + vec(0, 0.1, 0.03), vec(s, 0.6, -0.2))
            posture.orient(side, vec(-s * 0.2, -1, -0.15), -UP)
            posture.curl(side, rng.uniform(8, 20), 8)
            return
        hang = vec(s * rng.uniform(0.08, 0.2), rng.uniform(-0.14, 0.04), -rng.uniform(0.46, 0.52))
        posture.reach(side, self.shoulder(side) + hang, vec(s * 0.3, 1, 0))
        forearm = unit(posture.head(f"hand_{side}") - posture.head(f"lowerarm_{side}"))
        posture.orient(side, forearm + vec(0, -0.1, 0), vec(-s, 0.25, 0))
        posture.curl(side, rng.uniform(8, 24), 8)

    def free_sides(self) -> list[str]:
        return [side for side in SIDES if side not in self.busy]
