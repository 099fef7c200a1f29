"""Where the legs are: standing, sitting, on a board, kicking."""

from collections.abc import Callable

import numpy as np
from vmfm.trainer.render.kinematics import UP, frame, placed, rotation, unit, vec
from vmfm.trainer.render.mesh import Prop
from vmfm.trainer.render.performer import Performer
from vmfm.trainer.render.skeleton import SIDES, other, sign

Matrix = np.ndarray
FORWARD = vec(0, -1, 0.1)


def stand(performer: Performer) -> None:
    posture, rng = performer.posture, performer.rng
    for side in SIDES:
        posture.turn(f"thigh_{side}", vec(1, 0, 0), rng.uniform(-9, 9))
        posture.turn(f"thigh_{side}", vec(0, 1, 0), -sign(side) * rng.uniform(-5, 3))
        posture.turn(f"calf_{side}", vec(1, 0, 0), rng.uniform(0, 10))
    performer.floor = min(posture.head("foot_l")[2], posture.head("foot_r")[2]) - performer.ankle_height


def _crouch(performer: Performer, drop: float, feet: dict[str, tuple[float, float]], toes_out: float) -> None:
    """Lowers the hips and puts the feet at (x, y)."""
    performer.posture.move(vec(0, 0, -drop))
    for side, (x, y) in feet.items():
        performer.plant(side, vec(x, y, performer.ankle_height), vec(sign(side) * 0.35, -1, 0), toes_out)


def wide(performer: Performer) -> None:
    rng = performer.rng
    apart = rng.uniform(0.16, 0.34)
    feet = {side: (sign(side) * apart, rng.uniform(-0.12, 0.12)) for side in SIDES}
    _crouch(performer, rng.uniform(0.04, 0.12), feet, rng.uniform(5, 30))
    performer.posture.turn("spine_01", vec(1, 0, 0), rng.uniform(0, 16))


def lunge(performer: Performer) -> None:
    rng = performer.rng
    front = rng.choice(SIDES)
    feet = {
        front: (sign(front) * 0.1, -rng.uniform(0.22, 0.38)),
        other(front): (sign(other(front)) * 0.12, rng.uniform(0.2, 0.36)),
    }
    _crouch(performer, rng.uniform(0.1, 0.2), feet, 10)
    performer.posture.turn("spine_01", vec(1, 0, 0), rng.uniform(0, 14))


def ride(performer: Performer) -> None:
    """Sideways on a board that runs along x, now and then in the air."""
    rng, posture = performer.rng, performer.posture
    apart = rng.uniform(0.2, 0.3)
    _crouch(performer, rng.uniform(0.14, 0.34), {side: (sign(side) * apart, 0.0) for side in SIDES}, rng.uniform(5, 20))
    posture.turn("spine_01", vec(1, 0, 0), rng.uniform(5, 28))
    posture.turn("spine_01", vec(0, 1, 0), rng.uniform(-12, 12))
    tilt = rotation(vec(0, 1, 0), rng.uniform(-24, 24)) @ rotation(vec(1, 0, 0), rng.uniform(-12, 12))
    performer.tilt = placed(tilt, vec(0, 0, 0))


def ski(performer: Performer) -> None:
    rng, posture = performer.rng, performer.posture
    _crouch(performer, rng.uniform(0.1, 0.28), {side: (sign(side) * 0.11, 0.02) for side in SIDES}, 0)
    posture.turn("spine_01", vec(1, 0, 0), rng.uniform(12, 34))
    performer.tilt = placed(rotation(vec(0, 1, 0), rng.uniform(-16, 16)), vec(0, 0, 0))


def kick(performer: Performer) -> None:
    """On one leg; the other swings forward, towards a ball."""
    rng, posture = performer.rng, performer.posture
    side = rng.choice("rrl")
    s = sign(side)
    performer.posture.move(vec(0, 0, -0.03))
    performer.plant(other(side), vec(-s * 0.09, 0, performer.ankle_height), FORWARD, 10)
    hip = posture.head(f"thigh_{side}")
    swing = rng.uniform(-0.1, 0.75)
    posture.step(side, hip + vec(s * 0.05, -0.75 * swing - 0.05, -0.74 + 0.4 * max(0.0, swing)), FORWARD)
    posture.turn(f"foot_{side}", vec(1, 0, 0), rng.uniform(0, 25))
    posture.turn("spine_01", vec(1, 0, 0), rng.uniform(-8, 12))


def sit(performer: Performer) -> None:
    """Without a seat it is standing; `seat` bends the legs."""


def seat(performer: Performer, prop: Prop) -> Matrix:
    """Sits the person down on a prop and returns where the prop stands."""
    rng, posture = performer.rng, performer.posture
    level, back = prop.grips[0][2], prop.grips[1][1]
    posture.move(vec(0, 0, level + 0.095 - posture.head("thigh_l")[2]))
    for side in SIDES:
        s = sign(side)
        hip, knee = posture.head(f"thigh_{side}"), posture.head(f"calf_{side}")
        length = float(np.linalg.norm(knee - hip))
        thigh = vec(s * rng.uniform(0.03, 0.14), -length, rng.uniform(-0.02, 0.03))
        posture.aim(f"thigh_{side}", knee, hip + thigh)
        knee = posture.head(f"calf_{side}")
        posture.aim(f"calf_{side}", posture.head(f"foot_{side}"), knee + vec(s * 0.01, rng.uniform(-0.12, 0.06), -0.45))
        foot = posture.head(f"foot_{side}")
        posture.aim(f"foot_{side}", posture.head(f"ball_{side}"), foot + vec(s * 0.03, -0.14, -0.06))
    posture.turn("spine_01", vec(1, 0, 0), rng.uniform(-9, 4))
    performer.seated = True
    performer.contacts.append(posture.head("pelvis") - UP * 0.06)
    y = posture.head("thigh_l")[1] + 0.13 - max(back, 0.05)
    return placed(np.eye(3), vec(posture.head("pelvis")[0], y, 0))


def under_feet(performer: Performer, prop: Prop, *, ahead: np.ndarray | None = None) -> Matrix:
    """A board or a pair of skis, under the soles. ahead: where its tip points; by default from foot to foot."""
    posture = performer.posture
    deck = prop.grips[0][2]
    feet = [posture.head(f"foot_{side}") for side in SIDES]
    toes = [posture.head(f"ball_{side}") for side in SIDES]
    center = (feet[0] + feet[1] + toes[0] + toes[1]) / 4
    sole = min(foot[2] for foot in feet) - performer.ankle_height
    performer.contacts += [toe * (1, 1, 0) + UP * sole for toe in toes]
    if ahead is None:
        ahead = unit((feet[0] - feet[1]) * (1, 1, 0))
    return placed(frame(x=ahead, z=UP), vec(center[0], center[1], sole - deck))


STANCES: dict[str, Callable[[Performer], None]] = {
    function.__name__: function for function in (stand, wide, lunge, ride, ski, kick, sit)
}
