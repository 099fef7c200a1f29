"""Props from models of the furniture library: scaled, recoloured, and searched for where a hand takes hold."""

import colorsys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
from vmfm.trainer.render.assets import Assets, Model
from vmfm.trainer.render.catalogue import Thing
from vmfm.trainer.render.mesh import Material, Mesh, Prop, centered
from vmfm.trainer.render.wavefront import mesh_from, read_obj


def load_model(model: Model) -> Mesh:
    """At the size that the library gives, its bounding box around the origin, z up."""
    return _load(str(model.path), tuple(model.size), None if model.rotation is None else tuple(model.rotation.ravel()))


@lru_cache(maxsize=24)
def _load(path: str, size: tuple, turn: tuple | None) -> Mesh:
    mesh = mesh_from(read_obj(Path(path)))
    if turn is not None:
        swap = np.array(((1, 0, 0), (0, 0, 1), (0, -1, 0)), float)  # z up to y up
        mesh = replace(mesh, vertices=mesh.vertices @ (swap.T @ np.reshape(turn, (3, 3)) @ swap).T)
    mesh = centered(mesh)
    return mesh.scaled(np.array(size) / np.maximum(mesh.size, 1e-6))


def make_prop(thing: Thing, assets: Assets, rng: Random) -> Prop:
    """A thing with its colours and sizes drawn."""
    if thing.build is not None:
        return thing.build(rng)
    mesh = load_model(assets.models[thing.name]).scaled(thing.scale * rng.uniform(0.92, 1.08))
    mesh = replace(mesh, materials=tuple(_recoloured(material, Random(rng.random())) for material in mesh.materials))
    find = {"stick": _stick, "upright": _upright, "bag": _bag, "seat": _seat, "lap": _lap, "phone": _slab, "flat": _slab,
            "umbrella": _umbrella, "ball": _ball}.get(thing.grip, _plain)  # fmt: skip
    return find(mesh)


def _recoloured(material: Material, rng: Random) -> Material:
    roll = rng.random()
    if roll >= 0.45:
        return material
    hue = rng.uniform(-0.5, 0.5) if roll < 0.3 else rng.uniform(-0.04, 0.04)
    saturation, value = rng.uniform(0.7, 1.3), rng.uniform(0.6, 1.4)
    if material.texture:
        return replace(material, hsv=(0.5 + hue, saturation, value))
    h, s, v = colorsys.rgb_to_hsv(*material.color)
    s = max(s, rng.uniform(0, 0.5)) if roll < 0.2 else s
    return replace(
        material, color=colorsys.hsv_to_rgb((h + hue) % 1, min(1, s * saturation), min(1, max(0.02, v) * value))
    )


def _axis(index: int, sign: int = 1) -> np.ndarray:
    direction = np.zeros(3)
    direction[index] = sign
    return direction


def _stick(mesh: Mesh) -> Prop:
    """Held near the narrow end of its longest side."""
    size, points = mesh.size, mesh.vertices
    k = int(size.argmax())
    half = size[k] / 2
    cross = [i for i in range(3) if i != k]

    def width(end: np.ndarray) -> float:
        return float(np.ptp(points[end][:, cross], axis=0).max()) if end.any() else 0.0

    sign = 1 if width(points[:, k] < -0.55 * half) < width(points[:, k] > 0.55 * half) else -1
    big = size[k] > 0.45
    in_hand = min(min(0.14, size[k] * 0.15) if big else 0.09, size[k] * 0.42)
    near = points[points[:, k] * sign < -half + 2 * in_hand]
    grip = near.mean(0) if len(near) else np.zeros(3)
    grip[k] = sign * (-half + in_hand)
    return Prop(mesh, (grip,), _axis(k, sign), _axis(int(size.argmin())), 0.017 if big else 0.012)


def _upright(mesh: Mesh) -> Prop:
    size = mesh.size
    return Prop(mesh, (np.zeros(3),), radius=min(size[0], size[1]) / 2, mouth=np.array((0, 0, size[2] / 2)))


def _bag(mesh: Mesh) -> Prop:
    """Hung by its top. What is flat and wide, as a board is, hangs by a long edge."""
    top = mesh.size[2] / 2 - 0.015
    return Prop(mesh, (np.array((0, 0, top)),), long=_axis(2, -1), radius=0.012)


def _slab(mesh: Mesh) -> Prop:
    """Stood up with its face to the front, as procedural slabs are."""
    order = np.argsort(mesh.size)  # thin, middle, long
    turn = np.zeros((3, 3))
    turn[1, order[0]], turn[0, order[1]], turn[2, order[2]] = -1, 1, 1
    if np.linalg.det(turn) < 0:
        turn[0] *= -1
    mesh = replace(mesh, vertices=mesh.vertices @ turn.T)
    return Prop(mesh, radius=mesh.size[1] / 2)


def _lap(mesh: Mesh) -> Prop:
    w, _, h = mesh.size
    moved = replace(mesh, vertices=mesh.vertices + (0, 0, h / 2))
    back = moved.vertices[moved.vertices[:, 2] > 0.6 * h]
    if len(back) and back[:, 1].mean() < 0:  # the lid belongs to the back
        moved = replace(moved, vertices=moved.vertices * (-1, -1, 1))
    grips = [np.array(grip) for grip in ((w * 0.24, 0, 0.02), (-w * 0.24, 0, 0.02), (w * 0.4, 0, 0), (-w * 0.4, 0, 0))]
    return Prop(moved, tuple(grips))


def _ball(mesh: Mesh) -> Prop:
    return Prop(mesh, radius=float(mesh.size.max()) / 2)


def _umbrella(mesh: Mesh) -> Prop:
    """Open; held below the cloth."""
    low = mesh.vertices[:, 2].min()
    return Prop(mesh, (np.array((0, 0, low + 0.26 * mesh.size[2])),), radius=0.013)


def _seat(mesh: Mesh) -> Prop:
    """Turned so that its back is at +y, and stood on z = 0. Grips: front half of the seat, and its back."""
    points = mesh.vertices - (0, 0, mesh.vertices[:, 2].min())
    height = np.ptp(points[:, 2])
    tall = points[points[:, 2] > 0.75 * height]
    if len(tall) and tall[:, 1].mean() < -0.02:
        points = points * (-1, -1, 1)
    mesh = replace(mesh, vertices=points)
    level = _seat_level(mesh)
    back = points[(points[:, 2] > level + 0.12) & (points[:, 2] < level + 0.4) & (np.abs(points[:, 0]) < 0.2)]
    depth = max(float(back[:, 1].min()), 0.05) if len(back) else 0.2
    return Prop(mesh, (np.array((0, depth - 0.2, level)), np.array((0, depth, level))))


def _seat_level(mesh: Mesh) -> float:
    """Height of the largest level surface between 0.28 and 0.62 m near the middle."""
    polygons = mesh.polygons()
    corners = np.array([mesh.vertices[p[[0, 1, -1]]] for p in polygons])
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    centers = np.array([mesh.vertices[p].mean(0) for p in polygons])
    level = np.abs(normals[:, 2]) > 0.8 * np.maximum(areas, 1e-12)
    level &= (np.abs(centers[:, 0]) < 0.18) & (np.abs(centers[:, 1]) < 0.2)
    level &= (centers[:, 2] > 0.28) & (centers[:, 2] < 0.62)
    if not level.any():
        return 0.45
    repeats = np.maximum(1, (areas[level] * 2000).astype(int))
    return float(np.quantile(np.repeat(centers[level, 2], repeats), 0.8))


def _plain(mesh: Mesh) -> Prop:
    return Prop(mesh, radius=float(min(mesh.size[0], mesh.size[1])) / 2)
