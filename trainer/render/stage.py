"""Puts a scene together as geometry: poses the people, hands them their things, finds the camera, checks the result."""

from dataclasses import dataclass, field
from itertools import combinations
from random import Random
from typing import Protocol

import numpy as np
from vmfm.trainer.render.assets import Assets
from vmfm.trainer.render.catalogue import Thing, by_name
from vmfm.trainer.render.framing import Camera, Subject, place_camera
from vmfm.trainer.render.gestures import gesture
from vmfm.trainer.render.hair import Strands
from vmfm.trainer.render.holds import AT_THE_HEAD, HOLDS, WORN
from vmfm.trainer.render.kinematics import UP, placed, rotation, transform, vec
from vmfm.trainer.render.library import make_prop
from vmfm.trainer.render.mesh import Mesh, surface_points
from vmfm.trainer.render.performer import STILL, Motion, Performer, Unposable
from vmfm.trainer.render.person import Person
from vmfm.trainer.render.scene import Figure, Light, Scene, Use
from vmfm.trainer.render.skeleton import SIDES
from vmfm.trainer.render.stances import STANCES, seat

LARGE = {"chair", "couch", "bench", "stool", "umbrella", "surfboard", "snowboard", "skis", "suitcase", "shovel", "broom",
         "ski_pole", "backpack"}  # fmt: skip
REACH_TO_THING = 0.06  # metres between hand and thing
SHARED_FLOOR = 0.15  # of the smaller of two seats, as boxes
IN_TORSO, IN_HEAD = 0.06, 0.02  # shares of a thing's surface that may be inside the body


@dataclass(frozen=True)
class Item:
    """One object of the render, in world axes."""

    name: str  # unique in the scene
    figure: int  # whose it is
    thing: Thing | None  # None for a part of the person
    mesh: Mesh | None  # None for strands
    vertices: np.ndarray | None  # (N, 3)
    strands: Strands | None = None
    matrix: np.ndarray | None = None  # (4, 4) of the strands

    def points(self, count: int = 1500) -> np.ndarray:
        if self.mesh is None or self.vertices is None:
            return transform(self.matrix, self.strands.points.reshape(-1, 3)[::11])  # type: ignore
        return surface_points(self.mesh, self.vertices, count)


class Drawn(Protocol):
    """What was drawn for a picture, as far as its light depends on it."""

    @property
    def split(self) -> str: ...
    @property
    def light(self) -> Light: ...


class Shown(Protocol):
    """What Blender must know of a scene, whether there are people in it or not."""

    @property
    def scene(self) -> Drawn: ...
    @property
    def items(self) -> tuple[Item, ...]: ...
    @property
    def camera(self) -> Camera: ...
    @property
    def eyes(self) -> np.ndarray: ...  # (3,) what lamps are aimed at


@dataclass(frozen=True)
class Staged:
    """A scene ready to be rendered."""

    scene: Scene
    items: tuple[Item, ...]
    camera: Camera
    contacts: np.ndarray  # (N, 3) where people and things touch
    eyes: np.ndarray  # (3,) of the first person
    people: tuple[Person, ...]
    seated: bool

    def objects(self) -> list[Item]:
        return [item for item in self.items if item.thing is not None]


@dataclass
class _Act:
    """One figure, performed."""

    performer: Performer
    things: list[Item] = field(default_factory=list)
    parts: list[Item] = field(default_factory=list)
    contacts: list[np.ndarray] = field(default_factory=list)


def stage(
    scene: Scene, people: tuple[Person, ...], assets: Assets, *, motion: Motion = STILL, camera: Camera | None = None
) -> Staged:
    """Geometry and camera of a scene.

    people: one per figure, as build_person gives them. motion: a moment of a clip. camera: keep this one, as clips do.
    Raises Unposable when a hand does not reach, a thing is inside the body or something is out of the picture.
    """
    acts = [
        _perform(scene, number, figure, person, assets, motion)
        for number, (figure, person) in enumerate(zip(scene.figures, people))
    ]
    check_seats([item for act in acts for item in act.things if item.thing and item.thing.grip == "seat"])
    first = acts[0]
    eyes = transform(_placement(scene.figures[0], first.performer, motion), _eyes(first.performer))
    items = tuple(item for act in acts for item in (*act.parts, *act.things))
    if camera is None:
        camera = place_camera(scene.shot, _subject(scene, first, motion))
        _check_picture(camera, eyes, first)
    return Staged(
        scene, items, camera, np.array([c for act in acts for c in act.contacts]).reshape(-1, 3), eyes, people,
        first.performer.seated,
    )  # fmt: skip


def _eyes(performer: Performer) -> np.ndarray:
    return (performer.mark("left_eye") + performer.mark("right_eye")) / 2


def _placement(figure: Figure, performer: Performer, motion: Motion) -> np.ndarray:
    """(4, 4) from the person's own axes to the world's: tilted, turned, put in place."""
    at = vec(figure.x, figure.y, 0) + np.asarray(motion.step)
    return placed(rotation(UP, figure.turn_deg), at) @ performer.tilt


def _perform(scene: Scene, number: int, figure: Figure, person: Person, assets: Assets, motion: Motion) -> _Act:
    performer = Performer(person, Random(figure.seed), motion)
    act = _Act(performer)
    made = [(use, make_prop(by_name()[use.thing], assets, Random(use.seed))) for use in figure.uses]
    where: list[tuple[Use, Mesh, np.ndarray]] = []
    STANCES[figure.stance](performer)
    for use, prop in made:
        if use.hold == "seat":
            where.append((use, prop.mesh, seat(performer, prop)))
    performer.turn_spine()
    for side in SIDES:
        performer.relax(side)
    to_camera = rotation(UP, scene.shot.yaw_deg - figure.turn_deg) @ vec(0, -1, 0)
    holds = [(use, prop) for use, prop in made if use.hold != "seat"]
    head_first = any(use.hold in AT_THE_HEAD for use, _ in holds)
    if head_first and figure.gaze == "camera":
        performer.face(performer.mark("mouth") + 2 * to_camera, performer.rng.uniform(0.2, 0.7))
    if head_first:
        performer.sway_head()
    for use, prop in holds:
        where.append((use, prop.mesh, HOLDS[use.hold](performer, prop, use)))
    for side, kind in figure.gestures:
        if side in performer.free_sides():
            gesture(performer, side, kind)
    if not head_first:
        _gaze(performer, figure, to_camera)
        performer.sway_head()
    placement = _placement(figure, performer, motion)
    for use, mesh, matrix in where:
        _check_thing(performer, use, mesh, matrix)
        name = f"o{number}.{len(act.things)}.{use.thing}"
        world = transform(placement @ matrix, mesh.vertices)
        act.things.append(Item(name, number, by_name()[use.thing], mesh, world))
    for part in person.parts:
        name = f"p{number}.{part.name}"
        if part.strands is not None:
            bone = performer.posture.matrices[person.skeleton.index[part.bone or "head"]]
            act.parts.append(Item(name, number, None, None, None, part.strands, placement @ bone))
        else:
            world = transform(placement, part.posed(performer.posture))
            act.parts.append(Item(name, number, None, part.mesh, world))
    act.contacts = [transform(placement, contact) for contact in performer.contacts]
    return act


def _gaze(performer: Performer, figure: Figure, to_camera: np.ndarray) -> None:
    rng = performer.rng
    if figure.gaze == "thing" and performer.look_at is not None:
        performer.face(performer.look_at, rng.uniform(0.4, 0.9))
    elif figure.gaze == "camera":
        performer.face(performer.mark("mouth") + 2 * to_camera, rng.uniform(0.4, 1))
    else:
        performer.posture.turn("neck_01", UP, rng.uniform(-22, 22))
        performer.posture.turn("head", vec(1, 0, 0), rng.uniform(-6, 14))


def _check_thing(performer: Performer, use: Use, mesh: Mesh, matrix: np.ndarray) -> None:
    points = surface_points(mesh, transform(matrix, mesh.vertices))
    if use.hold not in WORN and performer.contacts:
        gap = min(float(np.linalg.norm(points - contact, axis=1).min()) for contact in performer.contacts)
        if gap > (0.16 if use.hold in ("guitar", "laptop") else REACH_TO_THING):
            raise Unposable(f"{use.thing} is {gap:.2f} m from the hand")
    if use.hold == "seat" or use.hold in WORN:
        return
    torso, head = inside_body(performer, points)
    if (torso > IN_TORSO and use.hold != "guitar") or head > (0.1 if use.hold in AT_THE_HEAD else IN_HEAD):
        raise Unposable(f"{use.thing} is inside the body ({torso:.2f} of it in the torso, {head:.2f} in the head)")


def check_seats(seats: list[Item]) -> None:
    """Two who sit have a seat each, and these may touch, but not stand in each other."""
    corners = [
        (seat.vertices[:, :2].min(0), seat.vertices[:, :2].max(0)) for seat in seats if seat.vertices is not None
    ]
    for (low, high), (other_low, other_high) in combinations(corners, 2):
        shared = np.clip(np.minimum(high, other_high) - np.maximum(low, other_low), 0, None).prod()
        if shared > SHARED_FLOOR * min((high - low).prod(), (other_high - other_low).prod()):
            raise Unposable("one seat stands in the other")


def inside_body(performer: Performer, points: np.ndarray) -> tuple[float, float]:
    """Shares of the points that are inside the torso (a flattened capsule) and the head (an ellipsoid)."""
    posture = performer.posture
    low, high = posture.head("pelvis"), posture.head("neck_01")
    along = np.clip((points - low) @ (high - low) / ((high - low) @ (high - low)), 0, 1)
    away = points - (low + along[:, None] * (high - low))
    torso = ((away[:, 0] / 0.14) ** 2 + (away[:, 1] / 0.085) ** 2 < 1) & (along > 0.02) & (along < 0.93)
    center = posture.head("head") + vec(0, -0.01, 0.1)
    head = (((points - center) / (0.07, 0.085, 0.105)) ** 2).sum(1) < 1
    return float(torso.mean()), float(head.mean())


def _subject(scene: Scene, act: _Act, motion: Motion) -> Subject:
    performer, person = act.performer, act.performer.person
    placement = _placement(scene.figures[0], performer, motion)
    posture = performer.posture
    joints = [posture.head(f"{bone}_{side}") for bone in ("foot", "hand", "calf") for side in SIDES]
    top = transform(placement, performer.mark("top") + UP * person.tall_hair)
    cloud = np.concatenate([transform(placement, np.array(joints)), [top], *(item.points(300) for item in act.things)])
    in_use = [
        item for item in act.things if item.thing is not None and item.thing.grip not in ("seat", "backpack", "board")
    ]
    sole = min(posture.head(f"foot_{side}")[2] for side in SIDES) - performer.ankle_height
    return Subject(
        top=top,
        eyes=transform(placement, _eyes(performer)),
        knees=float(transform(placement, posture.head("calf_l"))[2]),
        floor=float(sole),
        seated=performer.seated,
        low=cloud.min(0) - (0, 0, 0.08),
        high=cloud.max(0),
        things=in_use[0].points(300) if in_use else None,
        hands=transform(placement, np.array([posture.tail(f"middle_03_{side}") for side in SIDES])),
    )


def _check_picture(camera: Camera, eyes: np.ndarray, act: _Act) -> None:
    x, y, _ = camera.project(eyes)[0]
    if not (0.04 < x < 0.96 and 0.015 < y < 0.78):
        raise Unposable(f"the face is at ({x:.2f}, {y:.2f}) of the picture")
    for item in act.things:
        assert item.thing is not None
        if item.thing.grip == "seat":  # on a webcam it mostly is not seen
            continue
        seen = float(camera.sees(item.points(400)).mean())
        if seen < (0.12 if item.thing.cls in LARGE else 0.45):
            raise Unposable(f"only {seen:.0%} of {item.thing.name} is in the picture")
