"""Primitives that procedural things are made of. Each gives a closed Mesh of one material, in metres."""

from collections.abc import Sequence

import numpy as np
from vmfm.trainer.render.kinematics import UP, reject, unit
from vmfm.trainer.render.mesh import Material, Mesh, mesh_of


def _rings(rings: np.ndarray, material: Material, *, closed: bool = False, smooth_degrees: float = 50.0) -> Mesh:
    """A skin over (R, S, 3) rings. Its two ends are capped unless it runs back into itself."""
    count, sides = rings.shape[:2]
    faces: list[list[int]] = []
    for i in range(count if closed else count - 1):
        a, b = i * sides, (i + 1) % count * sides
        faces += [[a + j, a + (j + 1) % sides, b + (j + 1) % sides, b + j] for j in range(sides)]
    if not closed:
        faces += [list(range(sides))[::-1], [(count - 1) * sides + j for j in range(sides)]]
    return mesh_of(rings.reshape(-1, 3), faces, material, smooth_degrees)


def lathe(profile: Sequence[tuple[float, float]], material: Material, sides: int = 32) -> Mesh:
    """Turned around z. profile: (radius, z) from bottom to top; it may run back down inside."""
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    rings = [[(max(r, 1e-4) * np.cos(a), max(r, 1e-4) * np.sin(a), z) for a in angles] for r, z in profile]
    return _rings(np.array(rings), material)


def box(size: Sequence[float], material: Material, center: Sequence[float] = (0, 0, 0), bevel: float = 0.0) -> Mesh:
    """A cuboid whose upright edges are cut by `bevel` metres."""
    x, y, z = np.asarray(size, float) / 2
    b = min(bevel, 0.45 * x, 0.45 * y)
    corners = [(-x, -y), (x, -y), (x, y), (-x, y)]
    if b > 0:
        steps = np.radians((0, 30, 60, 90))
        outline = []
        for (cx, cy), start in zip(corners, (180, 270, 0, 90)):
            inner = (cx - np.sign(cx) * b, cy - np.sign(cy) * b)
            outline += [(inner[0] + b * np.cos(t), inner[1] + b * np.sin(t)) for t in np.radians(start) + steps]
        corners = outline
    return prism(corners, 2 * z, material, center)


def prism(outline: Sequence[tuple[float, float]], height: float, material: Material, center=(0, 0, 0)) -> Mesh:
    """An outline in x and y, counter-clockwise, given a height along z."""
    flat = np.array(outline, float)
    rings = np.stack([np.column_stack([flat, np.full(len(flat), z)]) for z in (-height / 2, height / 2)])
    return _rings(rings + np.asarray(center, float), material)


def pillow(outline: Sequence[tuple[float, float]], height: float, material: Material, round_px: float = 0.3) -> Mesh:
    """Like `prism`, with soft rims: three more rings drawn in by `round_px` of the height."""
    flat = np.array(outline, float)
    center = flat.mean(0)
    inset = round_px * height
    rings = []
    for t in (-1, -0.75, -0.3, 0.3, 0.75, 1):
        pull = inset * (1 - np.sqrt(1 - min(1.0, abs(t)) ** 2 * 0.96))
        away = flat - center
        length = np.linalg.norm(away, axis=1, keepdims=True)
        ring = center + away * (1 - pull / np.maximum(length, 1e-6))
        rings.append(np.column_stack([ring, np.full(len(flat), t * height / 2)]))
    return _rings(np.array(rings), material, smooth_degrees=70)


def tube(
    path: Sequence | np.ndarray,
    radius: float | Sequence[float],
    material: Material,
    sides: int = 10,
    squash: float = 1.0,
    closed: bool = False,
) -> Mesh:
    """A rod along a path. radius: one, or one per point of the path. squash: its second axis over its first."""
    points = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radius, float), len(points))
    if closed:
        tangents = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    else:
        tangents = np.gradient(points, axis=0)
    side = unit(np.cross(tangents[0], UP if abs(unit(tangents[0])[2]) < 0.9 else np.array((1.0, 0, 0))))
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    rings = []
    for point, tangent, r in zip(points, tangents, radii):
        ahead = unit(tangent)
        side = unit(reject(side, ahead))
        third = np.cross(ahead, side)
        rings.append([point + r * (np.cos(a) * side + squash * np.sin(a) * third) for a in angles])
    return _rings(np.array(rings), material, closed=closed, smooth_degrees=60)


def ring(radius: Sequence[float], thickness: float, material: Material, points: int = 40) -> Mesh:
    """A closed rod along an ellipse in x and z."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    path = np.column_stack([radius[0] * np.cos(angles), np.zeros(points), radius[1] * np.sin(angles)])
    return tube(path, thickness, material, closed=True)


def ball(radius: Sequence[float] | float, material: Material, center=(0, 0, 0), sides: int = 28) -> Mesh:
    """An ellipsoid."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, sides // 2 + 1)
    mesh = lathe([(np.cos(a), np.sin(a)) for a in angles], material, sides)
    scaled = mesh.scaled(np.broadcast_to(np.asarray(radius, float), 3))
    moved = scaled.vertices + np.asarray(center, float)
    return Mesh(moved, mesh.corners, mesh.counts, mesh.slots, mesh.materials, smooth_degrees=180)


def board(length: float, width: float, thickness: float, material: Material, nose: float = 0.5, kick: float = 0.0,
          tail: float = 0.5, sections: int = 28) -> Mesh:  # fmt: skip
    """A plank along x that rounds off at both ends. nose, tail: how early each end narrows, 0 blunt to 1 pointed.
    kick: metres that the ends are bent up."""
    rings = []
    for t in np.linspace(-1, 1, sections):
        taper = nose if t > 0 else tail
        edge = 1 - 0.45 * taper
        narrow = 1.0 if abs(t) < edge else np.sqrt(max(0.0, 1 - ((abs(t) - edge) / (1 - edge)) ** 2))
        half = width / 2 * max(0.03, narrow) * (1 - 0.08 * t * t)
        rise = kick * max(0.0, abs(t) - 0.72) ** 2 / 0.28**2
        rings.append(
            [(t * length / 2, y * half, rise + z * thickness / 2) for y, z in
             ((-1, 0), (-0.85, -0.8), (0, -1), (0.85, -0.8), (1, 0), (0.85, 0.8), (0, 1), (-0.85, 0.8))]
        )  # fmt: skip
    return _rings(np.array(rings), material, smooth_degrees=60)
