"""Rooms with nobody in them, drawn from seeds: which furniture, where it stands, from where it is seen, in what light."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from vmfm.trainer.render import props_carry, props_room
from vmfm.trainer.render.catalogue import Thing, by_name, things_for
from vmfm.trainer.render.draw import draw_grade, draw_light
from vmfm.trainer.render.scene import Grade, Light

SHAPES = {
    "shape:couch": props_carry.couch,
    "shape:bench": props_carry.bench,
    "shape:stool": props_carry.stool,
    "shape:picture": props_room.picture,
    "shape:curtain": props_room.curtain,
    "shape:book_shelf": props_room.book_shelf,
    "shape:floor_lamp": props_room.floor_lamp,
}
SEATS = ("sofa", "armchair", "chair")
HUNG = {"wall": (1.1, 1.8), "curtain": (1.1, 1.4), "opening": (1.0, 1.1), "ceiling": (1.7, 2.2)}  # metres, the middle
CUSHIONS = {"sofa": 3, "armchair": 1}  # at most
ON_TOP = {"laptop", "mug", "book", "bottle", "glass", "vase", "flowers", "plant", "lamp", "bowl", "cup", "speaker",
          "picture_frame", "box", "teapot", "radio", "clock", "tablet", "food"}  # fmt: skip
NEIGHBOURS = {"sofa": ("lamp", "plant", "table", "wall"), "armchair": ("lamp", "plant"), "bed": ("lamp", "wall"),
              "cabinet": ("plant", "lamp", "wall")}  # fmt: skip
LARGE = ("bed", "cabinet", "curtain", "opening")  # seen from further away
TURNED = ("chair", "armchair", "table", "plant")  # these may show any side

Choices = Mapping[str, tuple[Thing, ...]]  # by kind


@dataclass(frozen=True)
class Piece:
    """One thing of a room, by where it is.

    floor: alone in the middle. wall: z is the height of its middle, x metres aside. seat, top: on the first piece, x and y
    in shares of half its width and depth. side: a chair drawn x metres under the side that turn_deg names. aside: x metres
    beyond the first piece's side, y further back.
    """

    thing: str
    kind: str  # of furniture.toml, or "" for one that people hold too
    seed: int
    place: str = "floor"
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    turn_deg: float = 0.0


@dataclass(frozen=True)
class View:
    """What a webcam or somebody with a camera sees of it."""

    fov_deg: float
    distance: float  # metres to the front of the first piece
    height: float  # metres over the floor
    yaw_deg: float  # 0 sees the front
    shift: float  # of the first piece from the middle, share of the picture
    pitch_deg: float  # up; turned further where less than `seen` would be in the picture
    seen: float  # share of the first piece's height
    roll_deg: float


@dataclass(frozen=True)
class Room:
    seed: int
    view: int
    pieces: tuple[Piece, ...]  # the first is what the picture is of
    shot: View
    light: Light
    grade: Grade
    split: str = "train"  # no room is held out, since nothing is scored on them

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@cache
def _kinds() -> dict[str, tuple[float, tuple[Thing, ...]]]:
    """(how often a picture is of it, its things) by kind."""
    table = tomllib.loads((Path(__file__).parent / "furniture.toml").read_text(encoding="utf-8"))
    return {kind: (row["weight"], tuple(_thing(name, kind) for name in row["names"])) for kind, row in table.items()}


def _thing(name: str, kind: str) -> Thing:
    return Thing(name, kind, "seat" if kind in SEATS else "", build=SHAPES.get(name))


def furniture() -> tuple[Thing, ...]:
    """Everything that rooms are furnished with."""
    return tuple(thing for _, things in _kinds().values() for thing in things)


def thing_of(piece: Piece) -> Thing:
    if not piece.kind:
        return by_name()[piece.thing]
    return next(thing for thing in _kinds()[piece.kind][1] if thing.name == piece.thing)


def draw_room(seed: int, view: int = 0, attempt: int = 0, available: Collection[str] | None = None) -> Room:
    """The room of a seed. view, attempt: other draws. available: models that the assets hold; None for all."""
    rng = Random(f"room {seed} {view} {attempt}")
    choices = {kind: there for kind, (_, things) in _kinds().items() if (there := _there(things, available))}
    kind = rng.choices(list(choices), [_kinds()[kind][0] for kind in choices])[0]
    first = _piece(rng, choices, kind, **_height(rng, kind))
    pieces = [first, *_belonging(rng, kind, choices, available), *_neighbour(rng, kind, choices)]
    shot, light, grade = _shot(rng, kind), draw_light(rng), draw_grade(rng)
    grade = replace(grade, exposure=grade.exposure * rng.uniform(0.4, 1.1))  # black leather stays black
    return Room(seed, view, tuple(pieces), shot, light, grade)


def _there(things: tuple[Thing, ...], available: Collection[str] | None) -> tuple[Thing, ...]:
    return tuple(thing for thing in things if thing.build or available is None or thing.name in available)


def _piece(rng: Random, choices: Choices, kind: str, **where) -> Piece:
    return Piece(rng.choice(choices[kind]).name, kind, rng.getrandbits(32), **where)


def _height(rng: Random, kind: str) -> dict[str, Any]:
    return {"place": "wall", "z": rng.uniform(*HUNG[kind])} if kind in HUNG else {}


def _belonging(rng: Random, kind: str, choices: Choices, available: Collection[str] | None) -> list[Piece]:
    """Cushions on a seat, things on a table and chairs around it, more pictures on a wall."""
    found: list[Piece] = []
    for _ in range(rng.randint(0, CUSHIONS.get(kind, 0))):
        aside = rng.uniform(-0.8, 0.8) if kind == "sofa" else 0.0
        found.append(Piece("shape:cushion", "", rng.getrandbits(32), "seat", x=aside, turn_deg=rng.gauss(0, 12)))
    if kind in ("table", "desk", "cabinet") and rng.random() < 0.6:
        things = [thing for thing in things_for("train", available) if thing.cls in ON_TOP]
        for _ in range(rng.randint(1, 4)):
            where = {"x": rng.uniform(-0.8, 0.8), "y": rng.uniform(-0.6, 0.6), "turn_deg": rng.uniform(-60, 60)}
            found.append(Piece(rng.choice(things).name, "", rng.getrandbits(32), "top", **where))
    if kind in ("table", "desk") and rng.random() < 0.6:
        for side in rng.sample((0, 90, 180, 270), rng.randint(1, 3) if kind == "table" else 1):
            under, turn = rng.uniform(0, 0.35), side + rng.gauss(0, 12)
            found.append(_piece(rng, choices, "chair", place="side", x=under, turn_deg=turn))
    if kind == "wall":
        for _ in range(rng.choice((0, 0, 1, 2))):
            aside = rng.choice((-1, 1)) * rng.uniform(0.7, 1.5)
            found.append(_piece(rng, choices, kind, x=aside, **_height(rng, kind)))
    return found


def _neighbour(rng: Random, kind: str, choices: Choices) -> list[Piece]:
    """At times something of another kind beside or above."""
    possible = [kind for kind in NEIGHBOURS.get(kind, ()) if kind in choices]
    if not possible or rng.random() > 0.35:
        return []
    other = rng.choice(possible)
    where = _height(rng, other) or {"place": "aside", "y": rng.uniform(-0.2, 0.3)}
    return [_piece(rng, choices, other, x=rng.choice((-1, 1)) * rng.uniform(0.05, 0.5), **where)]


def _shot(rng: Random, kind: str) -> View:
    near, far = (1.3, 4.0) if kind in LARGE else (0.7, 3.2)
    return View(
        fov_deg=rng.uniform(42, 72),
        distance=near * (far / near) ** rng.random(),
        height=rng.uniform(1.0, 1.6),
        yaw_deg=rng.uniform(-180, 180) if kind in TURNED and rng.random() < 0.4 else rng.gauss(0, 25),
        shift=rng.uniform(-0.25, 0.25),
        pitch_deg=rng.gauss(-5, 5),
        seen=rng.uniform(0.45, 1.1),
        roll_deg=rng.gauss(0, 1),
    )
