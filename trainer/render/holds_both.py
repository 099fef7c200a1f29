"""Things held in both hands, worn, or used with the feet. Every hold returns where the thing is, a (4, 4)."""

import numpy as np
from vmfm.trainer.render.holds_one import FINGER, Matrix, attach, elbow, fist
from vmfm.trainer.render.kinematics import UP, frame, placed, reject, rotation, unit, vec
from vmfm.trainer.render.mesh import Prop
from vmfm.trainer.render.performer import Performer, Unposable
from vmfm.trainer.render.scene import Use
from vmfm.trainer.render.skeleton import SIDES, other, sign
from vmfm.trainer.render.stances import under_feet

WIDEST = 0.36  # metres from the middle that hands hold a thing at its sides


def both_sides(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """Between the palms: carried before the belly, shown, or just caught."""
    u, chest = performer.rng.uniform, performer.chest()
    size = prop.mesh.size
    middle = (prop.mesh.vertices.min(0) + prop.mesh.vertices.max(0)) / 2
    if size[0] > 2 * WIDEST:
        raise Unposable(f"{use.thing} is {size[0]:.2f} m wide, too wide to hold at its sides")
    if use.zone == "carry":
        center = chest + vec(u(-0.04, 0.04), -(size[1] / 2 + u(0.17, 0.24)), -u(0.22, 0.36))
    elif use.zone == "high":
        center = chest + vec(u(-0.15, 0.15), -max(size[1] / 2 + 0.16, u(0.2, 0.38)), u(0.1, 0.42))
    else:
        center = chest + vec(u(-0.08, 0.08), -max(size[1] / 2 + 0.2, u(0.34, 0.44)), -u(0.02, 0.24))
    center[2] += max(0.0, size[2] - 0.4) * 0.3
    across = rotation(UP, u(-14, 14)) @ vec(1, 0, 0)
    low = u(0.05, 0.3) * size[2] if prop.radius < 0.09 or size[2] > 0.3 else u(-0.05, 0.15) * size[2]
    band = np.abs(prop.mesh.vertices[:, 2] - middle[2] + low) < max(0.04, 0.15 * size[2])
    half = np.abs(prop.mesh.vertices[band, 0] - middle[0]).max() if band.any() else size[0] / 2
    half = max(min(size[0] / 2, 0.04), float(half))
    grips = []
    for side in SIDES:
        point = center + across * half * sign(side) - UP * low
        grips.append(performer.bring(side, point, vec(-sign(side) * 0.1, -1, u(-0.1, 0.2)), vec(-sign(side), 0, 0.1),
                                     FINGER, vec(sign(side), 0.5, -0.7), 8 if half > 0.1 else 20, 6, 0.09))  # fmt: skip
    shift = (grips[0] + grips[1]) / 2 - (center - UP * low)
    return attach(frame(z=UP, x=across), middle, center + shift)


def sip_both(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A bowl at the lips, in both hands."""
    tilt = performer.rng.uniform(10, 42)
    turn = rotation(vec(1, 0, 0), -tilt)
    lips = performer.mark("mouth") + vec(0, -0.006, -0.004)
    matrix = attach(turn, prop.mouth if prop.mouth is not None else vec(0, 0, 0), lips)
    for side, local in zip(SIDES, prop.grips):
        point = matrix[:3, :3] @ local + matrix[:3, 3]
        performer.bring(side, point, vec(-sign(side) * 0.3, -0.5, 0.7), vec(-sign(side), 0.1, 0.3), FINGER,
                        vec(sign(side), 0.1, -0.9), 28, 20, 0.09, sways=False)  # fmt: skip
    performer.contacts.append(lips)
    return matrix


def wield_both(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A bat in two fists: over the shoulder, swung, or pointed forward."""
    side, s, u = use.side, sign(use.side), performer.rng.uniform
    chest = performer.chest()
    performer.posture.turn("spine_02", UP, -s * u(0, 14))
    if use.zone == "shoulder":
        point = chest + vec(s * u(0.06, 0.14), -u(0.17, 0.24), u(-0.1, 0.04))
        axis = unit(vec(s * u(0.15, 0.5), u(0.1, 0.6), 1))
    elif use.zone == "swing":
        point = chest + vec(-s * u(-0.05, 0.12), -u(0.28, 0.38), u(-0.25, -0.08))
        axis = unit(vec(-s * u(0.5, 1), -u(0.2, 0.8), u(-0.15, 0.4)))
    else:
        point = chest + vec(u(-0.06, 0.06), -u(0.28, 0.36), u(-0.32, -0.16))
        axis = unit(vec(u(-0.3, 0.3), -u(0.2, 0.8), u(0.5, 1)))
    lead, gap = other(side), prop.grips[1] - prop.grips[0]
    low = performer.bring(lead, point, _fist_way(axis, lead), _palm_way(axis, lead), prop.radius + FINGER, elbow(lead, 0.7),
                          fist(prop.radius), 35, 0.09)  # fmt: skip
    up = low + axis * float(np.linalg.norm(gap))  # where the stick is by now, however the first hand has moved
    performer.bring(side, up, _fist_way(axis, side), _palm_way(axis, side), prop.radius + FINGER, elbow(side, 0.7),
                    fist(prop.radius), 35, 0.1, sways=False)  # fmt: skip
    return attach(frame(z=axis, y=vec(0, -1, 0.01)), prop.grips[0], low)


def _fist_way(axis: np.ndarray, side: str) -> np.ndarray:
    """Fingers cross the stick, from the outside in."""
    return reject(vec(-sign(side) * 0.45, -1, 0.1), axis)


def _palm_way(axis: np.ndarray, side: str) -> np.ndarray:
    """Such that the index finger is on the upper side of the stick."""
    return np.cross(_fist_way(axis, side), axis) * sign(side)


def read(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A book or a sheet, read or shown; small ones in one hand."""
    u, chest, size = performer.rng.uniform, performer.chest(), prop.mesh.size
    if use.zone == "read":
        center = chest + vec(u(-0.04, 0.04), -u(0.28, 0.38), -u(0.12, 0.28))
        normal = unit(vec(0, 0.75, 0.65))
        performer.look_at = center
    else:
        center = chest + vec(u(-0.1, 0.1), -u(0.38, 0.46), u(-0.18, 0.05))
        normal = unit(vec(u(-0.1, 0.1), -1, 0.1))
    upright = unit(reject(UP, normal))
    turn = frame(y=-normal, z=upright)
    if size[0] < 0.16:
        side, s = use.side, sign(use.side)
        grip = performer.bring(
            side, center, vec(-s * 0.3, -0.3, 0.9), normal, prop.radius + 0.014, elbow(side, 0.6, 0.1), 22, 20
        )
        return placed(turn, grip + performer.posture.palm(side)[0] * 0.05)
    shift = []
    for side in SIDES:
        s = sign(side)
        edge = center + vec(s, 0, 0) * (size[0] / 2 + 0.004) - upright * size[2] * u(0, 0.2)
        facing = vec(-s * 0.85, 0.1, 0.3) if use.zone == "read" else vec(-s, 0, 0)
        grip = performer.bring(
            side, edge, vec(-s * 0.15, -0.75, 0.5), facing, 0.014, vec(s * 0.8, 0.3, -1), 30, 20, 0.08
        )
        shift.append(grip - edge)
    return placed(turn, center + (shift[0] + shift[1]) / 2)


def laptop(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A laptop before the belly, or on the lap of somebody who sits: typed on, or held by its sides."""
    rng, chest, posture = performer.rng, performer.chest(), performer.posture
    center = chest + vec(0, -rng.uniform(0.3, 0.36), -rng.uniform(0.34, 0.42))
    if performer.seated:
        knees = (
            posture.head("calf_l") + posture.head("calf_r") + posture.head("thigh_l") + posture.head("thigh_r")
        ) / 4
        center[2] = knees[2] + 0.095
        center[1] = min(center[1], knees[1] + 0.08)
    typing = performer.seated or rng.random() < 0.4
    heights = []
    for side in SIDES:
        s = sign(side)
        if typing:
            grip = performer.bring(side, center + vec(s * 0.09, 0.03, 0.025), vec(-s * 0.3, -1, -0.12), -UP, 0.03,
                                   vec(s, 0.5, -0.6), 26, 10, 0.12)  # fmt: skip
            heights.append(grip[2] - 0.03)
        else:
            grip = performer.bring(side, center + vec(s * prop.mesh.size[0] * 0.4, 0.02, -0.005), vec(-s * 0.25, -1, 0), UP,
                                   0.008, vec(s, 0.6, -0.7), 20, 10, 0.09)  # fmt: skip
            heights.append(grip[2] + 0.006)
    performer.look_at = center + vec(0, -0.08, 0.1)
    base = center[2] if performer.seated else sum(heights) / 2
    # the prop's screen faces -y: turned round, it faces the person
    return placed(rotation(UP, 180), vec(center[0], center[1] - 0.03, base))


def guitar(performer: Performer, prop: Prop, use: Use) -> Matrix:
    posture, rng = performer.posture, performer.rng
    axis = unit(vec(0.86, -0.12, rng.uniform(0.3, 0.5)))
    center = posture.head("spine_01") + vec(0.1, -0.2, 0.06)
    points, half = prop.mesh.vertices, prop.mesh.size[2] / 2
    neck_up = np.ptp(points[points[:, 2] > 0.5 * half, 0]) < np.ptp(points[points[:, 2] < -0.5 * half, 0])
    for side, wrist, bend, along, normal, curl in (
        ("l", center + axis * rng.uniform(0.38, 0.46) + vec(0, -0.02, -0.09), vec(1, 0.1, -1), vec(-0.3, -0.6, 0.7),
         vec(-0.2, 0.3, 1), 45),
        ("r", center - axis * 0.22 + vec(-0.08, -0.07, 0.1), vec(-1, 0.5, 0), vec(0.8, -0.1, -0.5), vec(0.1, 1, -0.1), 30),
    ):  # fmt: skip
        posture.reach(side, wrist + np.asarray(performer.motion.hand) * 0.2, bend)
        posture.orient(side, along, normal)
        posture.curl(side, curl, 20)
        performer.busy.add(side)
        performer.contacts.append(posture.grip(side, 0.02))
    return placed(frame(z=axis if neck_up else -axis, y=vec(0, 1, 0)), center)


def flute(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """Across, the mouthpiece at the lips."""
    s = sign(use.side)
    lips = performer.mark("mouth") + vec(0, -0.012, -0.008)
    axis = unit(vec(-s, 0.12, performer.rng.uniform(-0.05, 0.22)))  # from the far end to the mouthpiece
    turn = frame(z=axis, y=vec(0, 1, 0))
    matrix = attach(turn, prop.mouth if prop.mouth is not None else vec(0, 0, 0), lips)
    for side, local in ((use.side, prop.grips[0]), (other(use.side), prop.grips[1])):
        point = matrix[:3, :3] @ local + matrix[:3, 3]
        facing = vec(0, 0.9, 0.3) if side == use.side else vec(0, -0.8, 0.5)
        performer.bring(side, point - UP * 0.01, vec(-sign(side) * 0.3, -0.2, 1), facing, FINGER + prop.radius,
                        vec(sign(side) * 0.8, 0.2, -1), 48, 30, 0.14, sways=False)  # fmt: skip
    return matrix


def wear_back(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """On the back, hanging from the shoulders."""
    posture = performer.posture
    basis = posture.basis("spine_03")
    chest = performer.chest()
    back = basis @ vec(0, 1, 0)
    up = basis @ vec(0, 0, 1)
    at = chest + back * 0.115 + up * 0.01
    performer.contacts += [performer.shoulder(side) + up * 0.03 for side in SIDES]
    if performer.rng.random() < 0.5:  # thumbs under the straps
        for side in SIDES if performer.rng.random() < 0.4 else (use.side,):
            s = sign(side)
            point = performer.shoulder(side) + basis @ vec(-s * 0.05, -0.14, -0.06)
            try:
                performer.bring(
                    side, point, vec(-s * 0.5, 0.1, 0.8), vec(0, 0.9, 0.1), 0.015, vec(s, -0.1, -0.8), 66, 20, 0.14
                )
            except Unposable:
                continue
    return attach(frame(z=up, y=back), (prop.grips[1] + prop.grips[2]) / 2, at)


def ears(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """Headphones: widened to the head, over the ears."""
    marks, basis = performer.person.marks, performer.posture.basis("head")
    middle = (performer.ear("l") + performer.ear("r")) / 2
    performer.contacts += [performer.ear(side) for side in SIDES]
    rise = (marks.top[2] + 0.012 - marks.ear[2]) / 0.149
    stretch = np.diag(((marks.half_width + 0.006) / 0.075, 1.0, rise))
    return placed(basis @ stretch, middle + basis @ vec(0, 0.012, 0))


def ride(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """On a board, the arms out for balance."""
    for side in SIDES:
        s, u = sign(side), performer.rng.uniform
        point = performer.shoulder(side) + vec(s * u(0.25, 0.48), u(-0.25, 0.1), u(-0.3, 0.2))
        try:
            performer.bring(side, point, vec(s, -0.3, 0.1), vec(0, -0.2, -1), 0, vec(s * 0.3, 0.8, -0.6), u(5, 30), 8, 0.3,
                            holds=False)  # fmt: skip
        except Unposable:
            continue
    performer.busy |= set(SIDES)
    return under_feet(performer, prop)


def ski(performer: Performer, prop: Prop, use: Use) -> Matrix:
    return under_feet(performer, prop, ahead=vec(0, -1, 0))


def foot(performer: Performer, prop: Prop, use: Use) -> Matrix:
    """A ball at the foot that is further forward."""
    posture, rng = performer.posture, performer.rng
    side = min(SIDES, key=lambda which: posture.tail(f"ball_{which}")[1])
    toe, ankle = posture.tail(f"ball_{side}"), posture.head(f"foot_{side}")
    ahead = unit((toe - ankle) * (1, 1, 0.2))
    performer.contacts.append(toe)
    center = toe + ahead * (prop.radius + rng.uniform(0.0, 0.02))
    center[2] = max(center[2], prop.radius)
    return placed(rotation(vec(rng.random(), rng.random(), 1), rng.uniform(0, 360)), center)
