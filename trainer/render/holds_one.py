"""Things held in one hand. Every hold poses the arm and returns where the thing is, a (4, 4) from its axes."""

import numpy as np
from vmfm.trainer.render.kinematics import UP, frame, placed, reject, rotation, unit, vec
from vmfm.trainer.render.mesh import Prop
from vmfm.trainer.render.performer import Performer
from vmfm.trainer.render.scene import Use
from vmfm.trainer.render.skeleton import sign

Matrix = np.ndarray
FINGER = 0.012  # metres from the bones of a hand to its skin


def elbow(side: str, x: float = 0.55, y: float = 0.25, z: float = -1.0) -> np.ndarray:
    return vec(sign(side) * x, y, z)


def fist(radius: float) -> float:
    """Degrees per joint that close a hand around a rod of a radius in metres."""
    return float(np.clip(78 - 900 * max(0.0, radius - 0.008), 12, 72))


def attach(turn: np.ndarray, local: np.ndarray, point: np.ndarray) -> Matrix:
    """The thing turned so, its `local` point at `point`."""
    return placed(turn, point - turn @ local)


def zone(performer: Performer, side: str, name: str) -> np.ndarray:
    """A place to hold things at."""
    u, s, shoulder = performer.rng.uniform, sign(side), performer.shoulder(side)
    offset = {
        "mid": lambda: vec(-s * u(-0.06, 0.16), -u(0.26, 0.42), u(-0.26, -0.02)),
        "low": lambda: vec(s * u(0.02, 0.16), -u(0.16, 0.3), u(-0.36, -0.22)),
        "show": lambda: vec(-s * u(-0.1, 0.14), -u(0.42, 0.54), u(-0.12, 0.14)),
        "high": lambda: vec(s * u(0.05, 0.22), -u(0.14, 0.34), u(0.02, 0.3)),
        "swing": lambda: vec(s * u(0.25, 0.42), -u(0.0, 0.3), u(-0.2, 0.1)),
        "read": lambda: vec(-s * u(0.03, 0.16), -u(0.25, 0.34), u(-0.24, -0.06)),
    }[name]
    return shoulder + offset()


def _along(performer: Performer, side: str, high: bool = False) -> np.ndarray:
    u, s = performer.rng.uniform, sign(side)
    return vec(-s * 0.2, -0.6, 0.8) if high else vec(-s * u(0.1, 0.5), -1, u(-0.05, 0.35))


def grasp(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A bottle or a cup, upright in the fist."""
    side, s, rng = use.side, sign(use.side), performer.rng
    radius = min(prop.radius, 0.055)
    normal = vec(-s, -rng.uniform(0, 0.5), 0)
    grip = performer.bring(side, zone(performer, side, use.zone), _along(performer, side, use.zone == "high"), normal,
                           radius + FINGER, elbow(side), fist(radius), 35)  # fmt: skip
    along, _, across = performer.posture.palm(side)
    upright = unit(UP * 0.8 - across) if rng.random() < 0.7 else -across
    return attach(frame(z=upright, x=along * rng.choice((1, -1))), prop.grips[0], grip)


def sip(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """At the mouth, tilted."""
    side, s, rng = use.side, sign(use.side), performer.rng
    radius = min(prop.radius, 0.055)
    axis = unit(UP + vec(s * 0.15, rng.uniform(0.15, 0.9), 0))
    rim = prop.mouth if prop.mouth is not None else prop.grips[0] + vec(0, 0, prop.mesh.size[2] / 2)
    half_rim = min(prop.mesh.size[0], prop.mesh.size[1]) * 0.4
    turn = frame(z=axis, y=vec(0, -1, 0))
    lips = performer.mark("mouth") + vec(0, -0.004, 0)
    # the near edge of the rim is at the lips
    matrix = attach(turn, rim + vec(0, -half_rim if turn[1, 1] < 0 else half_rim, 0) * (radius > 0.012), lips)
    point = matrix[:3, :3] @ prop.grips[0] + matrix[:3, 3]
    along = reject(vec(-s * 0.3, -0.8, 0.35), axis)
    normal = np.cross(axis, along)
    normal = normal if normal[0] * -s > 0 else -normal
    grip = performer.bring(
        side, point, along, normal, radius + FINGER, elbow(side, 0.9, 0.1, -0.6), fist(radius), 35, 0.09
    )
    performer.contacts.append(lips)
    return attach(turn, prop.grips[0], grip)


def bite(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """Food at the mouth, in the fingers."""
    side, s, rng = use.side, sign(use.side), performer.rng
    mouth = prop.mouth if prop.mouth is not None else vec(0, 0, prop.mesh.size[2] * 0.45)
    lips = performer.mark("mouth") + vec(0, -rng.uniform(0.0, 0.07), -rng.uniform(0.0, 0.03))
    towards = unit(vec(-s * rng.uniform(0.1, 0.6), rng.uniform(0.5, 1), rng.uniform(0.2, 0.7)))
    away = mouth - prop.grips[0]
    axis = unit(away) if np.linalg.norm(away) > 0.01 else vec(0, 0, 1)
    turn = _turned(axis, towards, rng.uniform(-30, 30))
    matrix = attach(turn, mouth, lips)
    point = matrix[:3, :3] @ prop.grips[0] + matrix[:3, 3]
    normal = vec(-s * 0.8, 0.4, rng.uniform(-0.3, 0.4))
    grip = performer.bring(side, point, vec(-s * 0.35, -0.1, 0.95), normal, min(prop.radius, 0.04) + FINGER,
                           elbow(side, 0.7, -0.1, -1), fist(min(prop.radius, 0.05)), 35, 0.09)  # fmt: skip
    performer.contacts.append(performer.mark("mouth"))
    return attach(turn, prop.grips[0], grip)


def _turned(axis: np.ndarray, to: np.ndarray, spin_deg: float) -> np.ndarray:
    """(3, 3) that brings a thing's own `axis` to `to`, its front kept forward as far as it goes."""
    front = vec(0, -1, 0) if abs(axis[1]) < 0.9 else vec(0, 0, 1)
    own = frame(z=axis, y=-front)
    world = frame(z=to, y=-vec(0, -1, 0.01))
    return rotation(to, spin_deg) @ world @ own.T


def present(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """Something small, taken from the side or lying on the palm."""
    side, s, rng = use.side, sign(use.side), performer.rng
    size, point = prop.mesh.size, zone(performer, side, "mid" if use.zone == "low" else use.zone)
    middle = (prop.mesh.vertices.min(0) + prop.mesh.vertices.max(0)) / 2
    if size[2] > 1.2 * max(size[0], size[1]) or rng.random() < 0.5:
        radius = min(min(size[0], size[1]) / 2, 0.06)
        along = vec(-s * rng.uniform(0.1, 0.5), -1, rng.uniform(0, 0.35))
        grip = performer.bring(side, point, along, vec(-s, -0.3, 0), radius + FINGER, elbow(side), fist(radius), 35)
        upright = unit(UP - performer.posture.palm(side)[2])
        local = prop.grips[0] if prop.mouth is not None else middle - vec(0, 0, size[2] * rng.uniform(0, 0.25))
        return attach(frame(z=upright, y=vec(s * rng.uniform(-0.5, 0.3), 1, 0)), local, grip)
    along = vec(-s * rng.uniform(0.2, 0.6), -1, rng.uniform(0, 0.2))
    grip = performer.bring(side, point, along, UP, 0.016, elbow(side, 0.5, 0.3), rng.uniform(14, 30), 15)
    turn = frame(z=UP, y=vec(rng.uniform(-0.6, 0.6), 1, 0))
    bottom = middle - vec(0, 0, size[2] / 2 - 0.002)
    return attach(turn, bottom, grip + performer.posture.palm(side)[0] * 0.03)


def palm_ball(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A ball on the hand, against the hip, or lifted."""
    side, s, rng = use.side, sign(use.side), performer.rng
    radius = prop.radius
    if use.zone in ("low", "mid") and rng.random() < 0.5 and radius > 0.08:
        center = performer.shoulder(side) + vec(s * (0.13 + radius * 0.6), -0.08, -0.4)
        grip = performer.bring(side, center + vec(s * radius * 0.75, -0.02, -radius * 0.55), vec(-s * 0.1, -1, -0.2),
                               vec(-s * 0.8, 0, 0.6), FINGER, elbow(side, 0.9, 0.5, -0.3), 14, 10, 0.1)  # fmt: skip
        return placed(rotation(UP, rng.uniform(0, 360)), grip - vec(s * radius * 0.75, -0.02, -radius * 0.55))
    point = zone(performer, side, use.zone)
    grip = performer.bring(side, point, vec(-s * 0.3, -1, 0.25), UP, FINGER, elbow(side), rng.uniform(10, 22), 10, 0.09)
    normal = performer.posture.palm(side)[1]
    turn = rotation(vec(rng.random(), rng.random(), 1), rng.uniform(0, 360))
    return placed(turn, grip + normal * (radius - 0.006) + performer.posture.palm(side)[0] * 0.03)


def push(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """About to throw: the hand back over the shoulder or out to the side, the thing in or on it."""
    side, s, rng = use.side, sign(use.side), performer.rng
    if use.zone == "high":
        point = performer.shoulder(side) + vec(
            s * rng.uniform(0.15, 0.3), rng.uniform(-0.2, 0.1), rng.uniform(0.2, 0.38)
        )
        along, normal = vec(s * 0.1, 0.2, 1), vec(-s * 0.3, -1, 0.2)
    else:
        point = zone(performer, side, "swing")
        along, normal = vec(s * 0.6, -0.7, 0), vec(-s * 0.4, -0.3, 0.9)
    if len(prop.grips) > 1:  # a disc, taken by its rim
        grip = performer.bring(side, point, along, normal, 0.014, elbow(side, 0.9, 0.3, -0.4), 52, 20, 0.12)
        along, normal, _ = performer.posture.palm(side)
        return attach(frame(z=along, y=-normal), prop.grips[0], grip + along * 0.05)
    grip = performer.bring(
        side, point, along, normal, FINGER, elbow(side, 0.9, 0.3, -0.4), rng.uniform(12, 24), 10, 0.12
    )
    return placed(rotation(UP, rng.uniform(0, 360)), grip + performer.posture.palm(side)[1] * (prop.radius - 0.004))


def wield(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A tool or a racket, in the fist, its far end up and a little forward."""
    side, s, rng = use.side, sign(use.side), performer.rng
    along = vec(-s * rng.uniform(0.1, 0.5), -1, rng.uniform(0, 0.3))
    if use.zone == "swing":
        along = vec(s * 0.8, -0.8, 0.1)
    grip = performer.bring(side, zone(performer, side, use.zone), along, vec(-s, -0.2, 0), prop.radius + 0.01, elbow(side),
                           fist(prop.radius), 35, 0.09)  # fmt: skip
    along, normal, across = performer.posture.palm(side)
    axis = unit(-across + vec(-s * rng.uniform(-0.5, 0.5), -rng.uniform(-0.2, 0.6), 0))
    own = frame(z=prop.long, y=prop.flat)
    world = frame(z=axis, y=normal + along * rng.uniform(-0.6, 0.6))
    return attach(world @ own.T, prop.grips[0], grip)


def umbrella(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """Open, over the head."""
    side, s, rng = use.side, sign(use.side), performer.rng
    point = performer.shoulder(side) + vec(-s * rng.uniform(0, 0.08), -rng.uniform(0.2, 0.28), -rng.uniform(0.1, 0.22))
    grip = performer.bring(side, point, vec(-s * 0.3, -1, 0.1), vec(-s, -0.2, 0), 0.02, elbow(side), 72, 35)
    axis = unit(UP + vec(s * rng.uniform(-0.15, 0.1), rng.uniform(0.0, 0.35), 0))
    return attach(frame(z=axis, x=performer.posture.palm(side)[0]), prop.grips[0], grip)


def hang(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A bag from the hand, by the side or held forward."""
    side, s, rng = use.side, sign(use.side), performer.rng
    lifted = rng.random() < 0.3 and prop.mesh.size[2] < 0.4
    if lifted:
        point, along, normal = performer.shoulder(side) + vec(s * 0.02, -0.38, -0.08), vec(-s * 0.4, -1, 0.05), UP
    else:
        point = performer.shoulder(side) + vec(
            s * rng.uniform(0.12, 0.2), rng.uniform(-0.12, 0), -rng.uniform(0.5, 0.54)
        )
        along, normal = vec(s * 0.05, -0.05, -1), vec(-s, 0, 0)
    grip = performer.bring(
        side, point, along, normal, 0.018, elbow(side) if lifted else vec(s * 0.3, 1, 0), 66, 20, 0.1
    )
    turn = frame(z=UP, x=vec(1, rng.uniform(-0.3, 0.3), 0) if lifted else vec(rng.uniform(-0.2, 0.2), 1, 0))
    return attach(turn, prop.grips[0], grip + performer.posture.palm(side)[0] * (0 if lifted else 0.02))


def trolley(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A suitcase on its wheels, drawn by the handle; it leans as far as the hand is away."""
    side, s, rng = use.side, sign(use.side), performer.rng
    point = performer.shoulder(side) + vec(s * rng.uniform(0.14, 0.24), rng.uniform(-0.05, 0.16), 0)
    point[2] = min(prop.grips[0][2], performer.shoulder(side)[2] - 0.35) + performer.floor
    grip = performer.bring(side, point, vec(0, -0.3, -1), vec(-s * 0.7, 0.7, 0), 0.02, vec(s * 0.3, 1, 0), 66, 30, 0.12)
    lean = np.degrees(np.arccos(np.clip((grip[2] - performer.floor) / prop.grips[0][2], 0.5, 1)))
    turn = rotation(UP, s * rng.uniform(60, 120)) @ rotation(vec(1, 0, 0), -lean)
    return attach(turn, prop.grips[0], grip)


def phone_ear(performer: Performer, prop: Prop, use: Use) -> Matrix:
    side, s = use.side, sign(use.side)
    ear, mouth = performer.ear(side), performer.mark("mouth")
    outward = performer.posture.basis("head") @ vec(s, 0, 0)
    axis = unit(ear - mouth)
    axis = unit(axis - outward * (axis @ outward) * 0.75)
    length, half = prop.mesh.size[2], prop.radius
    center = ear + outward * (half + 0.014) - axis * length * 0.22
    along = reject(axis * 0.75 + vec(0, 0.25, 0.3), outward)
    performer.bring(side, center + outward * half - axis * 0.02, along, -outward, 0.02,
                    elbow(side, 0.9, -0.25), 34, 28, 0.08, sways=False)  # fmt: skip
    performer.contacts.append(ear)
    return placed(frame(z=axis, y=outward), center)


def _phone(performer: Performer, prop: Prop, side: str, point, normal, along, pole, curl: float) -> Matrix:
    grip = performer.bring(side, point, along, normal, prop.radius + 0.014, pole, curl, 30)
    along, normal, _ = performer.posture.palm(side)
    return placed(frame(z=along, y=-normal), grip + along * 0.03)


def phone_text(performer: Performer, prop: Prop, use: Use) -> Matrix:
    side, s = use.side, sign(use.side)
    point = zone(performer, side, "read")
    performer.look_at = point
    return _phone(
        performer, prop, side, point, vec(-s * 0.1, 0.8, 0.6), vec(-s * 0.45, -0.45, 0.8), elbow(side, 0.5, 0.2), 36
    )


def phone_show(performer: Performer, prop: Prop, use: Use) -> Matrix:
    side, s = use.side, sign(use.side)
    point = zone(performer, side, "show")
    return _phone(performer, prop, side, point, vec(0, -1, 0.05), vec(-s * 0.25, -0.2, 1), elbow(side, 0.6, 0.1), 24)


def phone_selfie(performer: Performer, prop: Prop, use: Use) -> Matrix:
    side, s, rng = use.side, sign(use.side), performer.rng
    point = performer.shoulder(side) + vec(-s * 0.05, -rng.uniform(0.46, 0.56), rng.uniform(0.05, 0.25))
    performer.look_at = point
    return _phone(
        performer, prop, side, point, vec(-s * 0.2, 0.9, 0.2), vec(-s * 0.3, -0.2, 1), elbow(side, 0.7, 0.0), 30
    )


def under_arm(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A board along the body, its lower edge in the hand."""
    side, s, rng = use.side, sign(use.side), performer.rng
    point = performer.shoulder(side) + vec(s * 0.17, -0.04, -rng.uniform(0.48, 0.53))
    grip = performer.bring(side, point, vec(-s * 0.05, -0.1, -1), vec(-s, 0, 0), 0.03, vec(s * 0.6, 1, 0), 30, 20, 0.1)
    ahead = vec(s * 0.06, -1, rng.uniform(-0.15, 0.25))
    return attach(frame(y=-UP, x=ahead), prop.grips[1], grip + vec(-s * 0.015, 0, 0))


def beside(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A board on end at one's side, steadied by a hand."""
    side, s, rng = use.side, sign(use.side), performer.rng
    size = prop.mesh.size
    point = performer.shoulder(side) + vec(
        s * rng.uniform(0.16, 0.24), -rng.uniform(0.05, 0.22), rng.uniform(-0.35, -0.1)
    )
    point[2] = min(point[2], performer.floor + size[0] * 0.85)
    grip = performer.bring(side, point, vec(s * 0.2, -1, 0.2), vec(s, 0, 0), 0.02, elbow(side, 0.6, 0.5), 26, 20, 0.1)
    turn = frame(
        x=unit(UP + vec(s * rng.uniform(-0.05, 0.12), rng.uniform(-0.05, 0.1), 0)), y=vec(s, rng.uniform(-0.4, 0.4), 0)
    )
    local = prop.grips[1] * vec(0, -1, 0)  # the near edge
    matrix = attach(turn, local, grip + vec(s * 0.01, 0, 0))
    low = (prop.mesh.vertices @ turn.T)[:, 2].min() + matrix[2, 3]
    matrix[2, 3] += performer.floor - low
    return matrix


def pole(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A ski pole, its tip behind."""
    side, s, rng = use.side, sign(use.side), performer.rng
    point = performer.shoulder(side) + vec(s * rng.uniform(0.1, 0.24), -rng.uniform(0.22, 0.4), -rng.uniform(0.2, 0.36))
    grip = performer.bring(
        side, point, vec(-s * 0.1, -1, 0.25), vec(-s, 0, 0), 0.02, elbow(side, 0.9, 0.4), 68, 35, 0.1
    )
    back = unit(vec(s * rng.uniform(-0.05, 0.25), rng.uniform(0.25, 1.1), -1))
    return attach(frame(z=-back, y=vec(0, -1, 0)), prop.grips[0], grip)
