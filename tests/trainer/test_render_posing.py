"""Kinematics, framing and movement, with a skeleton of sticks instead of a body."""

from dataclasses import replace
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vmfm.trainer.render.clips import motion_at
from vmfm.trainer.render.framing import Subject, place_camera, vertical_span
from vmfm.trainer.render.kinematics import (
    UP,
    frame,
    placed,
    reject,
    rotation,
    rotation_between,
    transform,
    two_bones,
    unit,
    vec,
)
from vmfm.trainer.render.performer import Motion, Performer, Unposable
from vmfm.trainer.render.scene import Shot
from vmfm.trainer.render.skeleton import FINGERS, SIDES, Posture, Skeleton
from vmfm.trainer.render.stage import Item, check_seats

coordinate = st.floats(-1, 1, allow_nan=False)
point = st.tuples(coordinate, coordinate, coordinate).map(np.array)


def arms() -> Skeleton:
    """Two arms with hands, hanging from a root; hands point down, palms face the body."""
    names, parents, heads, tails = ["root"], [-1], [vec(0, 0, 1.4)], [vec(0, 0, 1.5)]

    def bone(name: str, parent: str, head: np.ndarray, tail: np.ndarray) -> None:
        parents.append(names.index(parent))
        names.append(name)
        heads.append(head)
        tails.append(tail)

    for side in SIDES:
        s = 1 if side == "l" else -1
        shoulder = vec(s * 0.2, 0, 1.4)
        bone(f"upperarm_{side}", "root", shoulder, shoulder - 0.3 * UP)
        bone(f"lowerarm_{side}", f"upperarm_{side}", shoulder - 0.3 * UP, shoulder - 0.55 * UP)
        wrist = shoulder - 0.55 * UP
        bone(f"hand_{side}", f"lowerarm_{side}", wrist, wrist - 0.1 * UP)
        for number, finger in enumerate((*FINGERS, "thumb")):
            knuckle = wrist - 0.1 * UP + vec(0, -0.03 + 0.02 * number, 0)
            parent = f"hand_{side}"
            for joint in (1, 2, 3):
                name = f"{finger}_0{joint}_{side}"
                bone(name, parent, knuckle, knuckle - 0.03 * UP)
                knuckle, parent = knuckle - 0.03 * UP, name
    return Skeleton(tuple(names), tuple(parents), np.array(heads), np.array(tails))


@given(point, point)
def test_rotation_between_takes_one_direction_to_the_other(a, b):
    if min(np.linalg.norm(a), np.linalg.norm(b)) < 1e-3:
        return
    turn = rotation_between(a, b)
    np.testing.assert_allclose(turn @ unit(a), unit(b), atol=1e-6)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(turn) == pytest.approx(1)


@given(point, point, st.floats(0.1, 0.4), st.floats(0.1, 0.4))
def test_two_bones_keep_their_lengths_and_reach_what_is_in_reach(target, pole, upper, lower):
    root = vec(0.1, -0.2, 0.3)
    joint, end = two_bones(root, upper, lower, target, pole)
    assert np.linalg.norm(joint - root) == pytest.approx(upper, abs=1e-6)
    assert np.linalg.norm(end - joint) == pytest.approx(lower, abs=1e-6)
    distance = np.linalg.norm(target - root)
    if abs(upper - lower) * 1.01 + 1e-3 < distance < 0.98 * (upper + lower):
        np.testing.assert_allclose(end, target, atol=1e-6)
        bend = reject(pole, unit(target - root))
        if np.linalg.norm(bend) > 1e-3:
            assert reject(joint - root, unit(target - root)) @ bend >= -1e-9


def test_frames_are_right_handed_and_keep_the_first_axis():
    turn = frame(z=vec(0, 1, 1), x=vec(1, 1, 0))
    np.testing.assert_allclose(turn[:, 2], unit(vec(0, 1, 1)))
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(frame(y=-UP, x=vec(0, -1, 0))[:, 1], -UP)


def test_bones_move_what_hangs_on_them_and_nothing_else():
    posture = Posture(arms())
    before = posture.head("hand_r")
    posture.turn("upperarm_l", vec(1, 0, 0), -90)
    np.testing.assert_allclose(posture.head("hand_l"), vec(0.2, -0.55, 1.4), atol=1e-9)
    np.testing.assert_allclose(posture.head("hand_r"), before)


@pytest.mark.parametrize("side", SIDES)
def test_a_hand_comes_to_a_point_and_faces_as_told(side):
    posture = Posture(arms())
    s = 1 if side == "l" else -1
    wrist = vec(s * 0.15, -0.3, 1.25)
    posture.reach(side, wrist, vec(s * 0.5, 0.2, -1))
    np.testing.assert_allclose(posture.head(f"hand_{side}"), wrist, atol=1e-6)
    posture.orient(side, vec(0, -1, 0), vec(-s, 0, 0))
    along, normal, _ = posture.palm(side)
    np.testing.assert_allclose(along, vec(0, -1, 0), atol=1e-6)
    assert normal @ vec(-s, 0, 0) > 0.999
    tips = {finger: posture.tail(f"{finger}_03_{side}") for finger in FINGERS}
    posture.curl(side, 50)
    for finger, tip in tips.items():
        assert (posture.tail(f"{finger}_03_{side}") - tip) @ normal > 0.01, f"{finger} bends away from the palm"


@pytest.mark.parametrize("sways", [True, False])
def test_in_clips_a_hand_moves_but_not_from_what_stays_where_it_is(sways):
    performer = Performer(SimpleNamespace(skeleton=arms()), Random(0), Motion(hand=(0.03, 0.0, -0.04)))
    target = vec(0.2, -0.25, 1.2)
    grip = performer.bring("l", target, vec(0, -1, 0), vec(-1, 0, 0), 0.02, vec(0.5, 0.2, -1), 20, sways=sways)
    np.testing.assert_allclose(grip - target, np.array((0.03, 0, -0.04)) * sways, atol=0.03)


def test_seats_may_touch_but_not_stand_in_each_other():
    square = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)])
    seats = {x: Item(f"seat at {x}", 0, None, None, square + vec(x, 0, 0)) for x in (0, 0.6, 0.9, 2)}
    for x in (0.9, 2):
        check_seats([seats[0], seats[x]])
    with pytest.raises(Unposable, match="seat"):
        check_seats([seats[2], seats[0], seats[0.6]])


BODY = Subject(top=vec(0, 0, 1.75), eyes=vec(0, -0.1, 1.63), knees=0.48, floor=0.0, seated=False,
               low=vec(-0.4, -0.3, 0), high=vec(0.4, 0.3, 1.75))  # fmt: skip
SHOT = Shot(framing="webcam", fov_deg=50, yaw_deg=20, extent=1, headroom=0.1, shift=0, rise=0, roll_deg=0)


@pytest.mark.parametrize("framing", ["webcam", "three_quarter", "full"])
@pytest.mark.parametrize("yaw", [-60.0, 0.0, 180.0])
def test_the_head_is_in_every_picture_and_the_feet_in_full_ones(framing, yaw):
    camera = place_camera(replace(SHOT, framing=framing, yaw_deg=yaw, extent=1.1), BODY)
    assert camera.sees(np.array([[0, -0.1, 1.63], [0, 0, 1.74]])).all()
    assert camera.sees(np.array([[0.1, 0, 0.02]])).all() == (framing == "full")
    np.testing.assert_allclose(camera.axes.T @ camera.axes, np.eye(3), atol=1e-9)


def test_wider_lenses_come_closer_and_see_as_much():
    near, far = (place_camera(replace(SHOT, framing="webcam", fov_deg=fov, yaw_deg=0), BODY) for fov in (75.0, 40.0))
    assert -near.position[1] < -far.position[1]
    low, high = vertical_span(SHOT, BODY)
    for camera in (near, far):
        top, bottom = camera.project(np.array([[0, -0.06, high], [0, -0.06, low]]))[:, 1]
        assert bottom - top == pytest.approx(1, abs=0.12)


def test_a_low_thing_pulls_the_picture_down():
    thing = np.random.default_rng(0).uniform(-0.1, 0.1, (50, 3)) + vec(0.2, -0.3, 0.7)
    without = place_camera(SHOT, BODY)
    assert without.sees(thing).mean() < 0.5
    assert place_camera(SHOT, replace(BODY, things=thing)).sees(thing).mean() > 0.7


def test_a_raised_camera_looks_down():
    camera = place_camera(replace(SHOT, framing="webcam", rise=0.2), BODY)
    assert camera.position[2] == pytest.approx(1.83)
    assert camera.axes[2, 2] > 0


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0, 8))
def test_movement_is_smooth_and_its_seed_decides(seed, seconds):
    now, soon = motion_at(seconds, seed), motion_at(seconds + 0.02, seed)
    assert now == motion_at(seconds, seed)
    assert np.abs(np.subtract(soon.hand, now.hand)).max() < 0.02
    assert np.abs(np.subtract(soon.head_deg, now.head_deg)).max() < 2.5
    assert np.abs(now.hand).max() < 0.4


def test_transforms_compose():
    matrix = placed(rotation(UP, 90), vec(1, 0, 0))
    np.testing.assert_allclose(transform(matrix, vec(1, 0, 0)), vec(1, 1, 0), atol=1e-12)
