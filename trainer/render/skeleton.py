"""A skeleton at rest, and a posture of it: one rigid motion per bone, from rest to where the bone is now."""

from dataclasses import dataclass

import numpy as np
from vmfm.trainer.render.kinematics import reject, rotation, rotation_between, transform, two_bones, unit

FINGERS = ("index", "middle", "ring", "pinky")
SIDES = ("l", "r")


def sign(side: str) -> int:
    """+1 for the left side, which is +x, -1 for the right."""
    return 1 if side == "l" else -1


def other(side: str) -> str:
    return "r" if side == "l" else "l"


@dataclass(frozen=True)
class Skeleton:
    """Bones in an order in which parents come first."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root
    heads: np.ndarray  # (J, 3) metres at rest
    tails: np.ndarray  # (J, 3)

    def __post_init__(self) -> None:
        subtree = np.eye(len(self.names), dtype=bool)
        for bone in reversed(range(len(self.names))):
            if self.parents[bone] >= 0:
                subtree[self.parents[bone]] |= subtree[bone]
        object.__setattr__(self, "subtree", subtree)
        object.__setattr__(self, "index", {name: i for i, name in enumerate(self.names)})

    subtree: np.ndarray = None  # type: ignore[assignment]  # (J, J) bool: row's bone moves column's bone
    index: dict[str, int] = None  # type: ignore[assignment]


class Posture:
    """Starts at rest; every method moves a bone and all that hangs on it. Points are (3,) in metres."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.matrices = np.tile(np.eye(4), (len(skeleton.names), 1, 1))  # (J, 4, 4) from rest to posed

    def head(self, bone: str) -> np.ndarray:
        i = self.skeleton.index[bone]
        return transform(self.matrices[i], self.skeleton.heads[i])

    def tail(self, bone: str) -> np.ndarray:
        i = self.skeleton.index[bone]
        return transform(self.matrices[i], self.skeleton.tails[i])

    def carried(self, bone: str, rest_point: np.ndarray) -> np.ndarray:
        """Where a point given at rest is now, if it hangs on `bone`."""
        return transform(self.matrices[self.skeleton.index[bone]], rest_point)

    def basis(self, bone: str) -> np.ndarray:
        """(3, 3) rotation of the bone since rest."""
        return self.matrices[self.skeleton.index[bone]][:3, :3]

    def move(self, offset: np.ndarray) -> None:
        """The whole body."""
        self.matrices[:, :3, 3] += offset

    def rotate(self, bone: str, turn: np.ndarray) -> None:
        """(3, 3) turn, in world axes, about the bone's head."""
        i = self.skeleton.index[bone]
        pivot = self.head(bone)
        motion = np.eye(4)
        motion[:3, :3], motion[:3, 3] = turn, pivot - turn @ pivot
        moved = self.skeleton.subtree[i]
        self.matrices[moved] = motion @ self.matrices[moved]

    def turn(self, bone: str, axis: tuple[float, float, float] | np.ndarray, degrees: float) -> None:
        self.rotate(bone, rotation(np.asarray(axis, float), degrees))

    def aim(self, bone: str, point: np.ndarray, target: np.ndarray) -> None:
        """Turns so that the direction to `point`, which hangs on the bone, becomes the direction to `target`."""
        head = self.head(bone)
        self.rotate(bone, rotation_between(point - head, target - head))

    def _chain(self, bones: tuple[str, str, str], target: np.ndarray, pole: np.ndarray) -> None:
        root, middle, end = (self.head(bone) for bone in bones)
        upper, lower = float(np.linalg.norm(middle - root)), float(np.linalg.norm(end - middle))
        joint, tip = two_bones(root, upper, lower, target, pole)
        self.aim(bones[0], middle, joint)
        self.aim(bones[1], self.head(bones[2]), tip)

    def reach(self, side: str, wrist: np.ndarray, pole: np.ndarray) -> None:
        """Brings the wrist to a point, the elbow bent towards `pole`."""
        self._chain((f"upperarm_{side}", f"lowerarm_{side}", f"hand_{side}"), wrist, pole)

    def step(self, side: str, ankle: np.ndarray, pole: np.ndarray) -> None:
        """Brings the ankle to a point, the knee bent towards `pole`."""
        self._chain((f"thigh_{side}", f"calf_{side}", f"foot_{side}"), ankle, pole)

    def palm(self, side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors: along the fingers, out of the palm, from the index finger to the little one."""
        hand = self.head(f"hand_{side}")
        along = unit(self.head(f"middle_01_{side}") - hand)
        across = unit(self.head(f"pinky_01_{side}") - self.head(f"index_01_{side}"))
        return along, unit(np.cross(along, across)) * (-sign(side)), across

    def grip(self, side: str, off: float = 0.0) -> np.ndarray:
        """The middle of the palm, `off` metres out of it."""
        hand = self.head(f"hand_{side}")
        return hand + 0.8 * (self.head(f"middle_01_{side}") - hand) + off * self.palm(side)[1]

    def orient(self, side: str, along: np.ndarray, normal: np.ndarray) -> None:
        """Turns the hand; the forearm takes most of the twist, as it does in life."""
        along = unit(along)
        normal = unit(reject(normal, along))
        forearm = unit(self.head(f"hand_{side}") - self.head(f"lowerarm_{side}"))
        now, wanted = reject(self.palm(side)[1], forearm), reject(normal, forearm)
        if min(np.linalg.norm(now), np.linalg.norm(wanted)) > 0.1:
            self.turn(f"lowerarm_{side}", forearm, 0.6 * _signed_angle(now, wanted, forearm))
        self.rotate(f"hand_{side}", rotation_between(self.palm(side)[0], along))
        self.turn(f"hand_{side}", along, _signed_angle(self.palm(side)[1], normal, along))

    def curl(self, side: str, degrees: float, thumb: float = 25, fingers: tuple[str, ...] = FINGERS) -> None:
        """Bends each finger joint towards the palm."""
        for finger in fingers:
            for joint in (1, 2, 3):
                along, normal, _ = self.palm(side)
                bend = degrees * (1 if joint < 3 else 0.7)
                self.turn(f"{finger}_0{joint}_{side}", np.cross(along, normal), bend)
        for joint in (1, 2, 3):
            bone = f"thumb_0{joint}_{side}"
            along, normal, across = self.palm(side)
            axis = np.cross(unit(self.tail(bone) - self.head(bone)), 0.8 * across + 0.6 * normal + 0.3 * along)
            if np.linalg.norm(axis) > 1e-3:
                self.turn(bone, axis, thumb * (0.6 if joint == 1 else 0.5))


def _signed_angle(a: np.ndarray, b: np.ndarray, axis: np.ndarray) -> float:
    """Degrees from `a` to `b` about `axis`."""
    return float(np.degrees(np.arctan2(axis @ np.cross(a, b), a @ b)))
