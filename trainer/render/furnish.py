"""Puts a room together as geometry, and a camera before it."""

from dataclasses import dataclass, replace
from random import Random

import numpy as np
from vmfm.trainer.render import palette
from vmfm.trainer.render.assets import Assets
from vmfm.trainer.render.framing import Camera
from vmfm.trainer.render.furniture import SEATS, Piece, Room, View, thing_of
from vmfm.trainer.render.kinematics import UP, placed, rotation, unit, vec
from vmfm.trainer.render.library import make_prop
from vmfm.trainer.render.mesh import Mesh, Prop, surface_points
from vmfm.trainer.render.performer import Unposable
from vmfm.trainer.render.stage import Item

LEAST_SEEN = 0.2  # of the first piece's surface that is in the picture
FILLS = 0.6  # of the picture's side that the first piece would fill if it were seen from its largest side; at least
NEAREST = 0.3  # metres between the camera and anything
UNDER = 0.09  # metres around a thing's middle where what carries it is looked for
LEAN = 18  # degrees that a cushion leans back
# How often most of a piece is made of something else than its model is.
REMADE = {"sofa": 0.4, "armchair": 0.4, "curtain": 0.3, "bed": 0.3, "table": 0.25, "desk": 0.25, "cabinet": 0.25}


@dataclass(frozen=True)
class Furnished:
    """A room ready to be rendered."""

    scene: Room
    items: tuple[Item, ...]
    camera: Camera
    eyes: np.ndarray  # (3,) the middle of the first piece, which lamps are aimed at

    def objects(self) -> list[Item]:
        return list(self.items)


def furnish(room: Room, assets: Assets) -> Furnished:
    """Geometry and camera of a room. Raises Unposable when the first piece is hardly seen, or something too near."""
    first, *others = room.pieces
    prop = _prop(first, assets)
    mesh = _hung(prop.mesh, 0, first.z) if first.place == "wall" else _stood(prop.mesh)
    back = prop.grips[-1] + mesh.vertices[0] - prop.mesh.vertices[0]
    meshes = {first: mesh} | {piece: _placed(piece, _prop(piece, assets).mesh, mesh, back) for piece in others}
    items = tuple(
        Item(f"o{number}.{piece.thing}", 0, thing_of(piece), mesh, mesh.vertices)
        for number, (piece, mesh) in enumerate(meshes.items())
        if mesh is not None
    )
    camera = _camera(room.shot, mesh)
    _check(camera, items)
    return Furnished(room, items, camera, _middle(mesh))


def _prop(piece: Piece, assets: Assets) -> Prop:
    rng = Random(piece.seed)
    prop = make_prop(thing_of(piece), assets, rng)
    mesh = _remade(prop.mesh, piece.kind, rng) if rng.random() < REMADE.get(piece.kind, 0) else prop.mesh
    # Few rays would make a glass pane's alpha noise; what shows through it is not the furniture's anyway.
    return replace(prop, mesh=replace(mesh, materials=tuple(replace(m, alpha=1.0) for m in mesh.materials)))


def _remade(mesh: Mesh, kind: str, rng: Random) -> Mesh:
    """What most of it is made of becomes other cloth or leather, wood or paint."""
    corners = mesh.vertices[np.array([polygon[:3] for polygon in mesh.polygons()])]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    most = int(np.bincount(mesh.slots, areas).argmax())
    soft = kind in (*SEATS, "curtain", "bed")
    usual, other = (palette.cloth, palette.leather) if soft else (palette.wood, palette.paint)
    stuff = other(rng) if kind != "curtain" and rng.random() < 0.4 else usual(rng)
    return replace(mesh, materials=tuple(stuff if i == most else old for i, old in enumerate(mesh.materials)))


def _middle(mesh: Mesh) -> np.ndarray:
    return (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2


def _moved(mesh: Mesh, by: np.ndarray, turn_deg: float = 0.0) -> Mesh:
    """Turned about z, then moved."""
    return mesh.moved(placed(rotation(UP, turn_deg), by))


def _stood(mesh: Mesh) -> Mesh:
    """On the floor at the origin."""
    return _moved(mesh, UP * mesh.size[2] / 2 - _middle(mesh))


def _hung(mesh: Mesh, x: float, z: float) -> Mesh:
    return _moved(mesh, vec(x, 0, z) - _middle(mesh))


def _placed(piece: Piece, mesh: Mesh, first: Mesh, back: np.ndarray) -> Mesh | None:
    """Where a further piece is; None where the first has nothing to carry it. back: (3,) where a seat's back begins."""
    half = first.size / 2
    if piece.place == "wall":
        behind = half[1] if first.vertices[:, 2].min() < 0.01 else 0.0
        return _moved(_hung(mesh, piece.x, piece.z), vec(0, behind, 0))
    if piece.place == "aside":
        aside = np.sign(piece.x) * (half[0] + mesh.size[0] / 2) + piece.x
        return _moved(_stood(mesh), vec(aside, piece.y, 0))
    if piece.place == "side":
        towards = half[0] if round(piece.turn_deg / 90) % 2 else half[1]
        away = vec(0, towards + mesh.size[1] / 2 - piece.x, 0)
        return _moved(_stood(mesh), rotation(UP, piece.turn_deg) @ away, piece.turn_deg)
    x, y = piece.x * half[0], piece.y * half[1]
    if piece.place == "seat":
        leant = _moved(mesh.moved(placed(rotation(vec(1, 0, 0), -LEAN), vec(0, 0, 0))), vec(0, 0, 0), piece.turn_deg)
        return _moved(leant, vec(x, back[1] - 0.1, back[2] + leant.size[2] / 2 - 0.02))
    points = surface_points(first, first.vertices, 4000)
    under = points[np.linalg.norm(points[:, :2] - (x, y), axis=1) < UNDER]
    return _moved(_stood(mesh), vec(x, y, under[:, 2].max()), piece.turn_deg) if len(under) else None


def _camera(shot: View, mesh: Mesh) -> Camera:
    middle, low, high = _middle(mesh), mesh.vertices[:, 2].min(), mesh.vertices[:, 2].max()
    towards = rotation(UP, shot.yaw_deg) @ vec(0, -1, 0)
    away = float(((mesh.vertices - middle) @ towards).max()) + shot.distance
    position = vec(middle[0], middle[1], shot.height) + towards * away
    top, bottom = (np.degrees(np.arctan2(z - shot.height, away)) for z in (high, low))
    fov = min(shot.fov_deg, np.degrees(2 * np.arctan2(mesh.size.max() / 2, away)) / FILLS)
    half = fov / 2
    pitch = np.radians(min(max(shot.pitch_deg, top + 2 - half), top - shot.seen * (top - bottom) + half))
    ahead = rotation(UP, -shot.shift * fov) @ -towards * np.cos(pitch) + UP * np.sin(pitch)
    side = unit(np.cross(ahead, UP))
    roll = rotation(ahead, shot.roll_deg)
    return Camera(position, roll @ np.stack([side, np.cross(side, ahead), -ahead], 1), float(fov))


def _check(camera: Camera, items: tuple[Item, ...]) -> None:
    seen = float(camera.sees(items[0].points(600), 0.0).mean())
    if seen < LEAST_SEEN:
        raise Unposable(f"only {seen:.0%} of {items[0].name} is in the picture")
    for item in items:
        if np.linalg.norm(item.points(600) - camera.position, axis=1).min() < NEAREST:
            raise Unposable(f"{item.name} is too near the camera")
