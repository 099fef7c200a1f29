"""Geometry and surfaces as plain arrays: what the renderer is fed with, whoever made it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from vmfm.trainer.render.kinematics import transform

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Pattern:
    """A second colour over the first, in object space."""

    kind: str  # stripes, checks, dots, noise or lines
    color: Color
    scale: float  # repeats over the object


@dataclass(frozen=True)
class Material:
    """One surface. Colours are linear RGB in [0, 1]; a texture replaces the colour."""

    color: Color = (0.8, 0.8, 0.8)
    roughness: float = 0.5
    metallic: float = 0.0
    specular: float = 0.3
    alpha: float = 1.0
    transmission: float = 0.0
    emission: float = 0.0
    texture: Path | None = None
    texture_alpha: bool = False  # the texture's alpha cuts the surface out
    hsv: Color | None = None  # hue shift (0.5 is none), saturation and value factors on the texture
    tint: bool = False  # the texture lends its light and dark, `color` the hue
    occlusion: Path | None = None
    normals: Path | None = None
    pattern: Pattern | None = None
    sheen: float = 0.0
    weave: float = 0.0  # scale of a fine noise, as cloth has; 0 is none


@dataclass(frozen=True)
class Mesh:
    """Polygons of any number of corners."""

    vertices: np.ndarray  # (N, 3) metres
    corners: np.ndarray  # (M,) vertex of each corner, polygon after polygon
    counts: np.ndarray  # (F,) corners of each polygon
    slots: np.ndarray  # (F,) which material
    materials: tuple[Material, ...]
    uvs: np.ndarray | None = None  # (M, 2)
    smooth_degrees: float = 40.0  # edges sharper than this stay sharp; 180 smooths all
    subdivide: int = 0

    @property
    def size(self) -> np.ndarray:
        """(3,) extent of the bounding box."""
        return np.ptp(self.vertices, axis=0)

    def moved(self, matrix: np.ndarray) -> "Mesh":
        """Under a (4, 4)."""
        return replace(self, vertices=transform(matrix, self.vertices))

    def scaled(self, factors: np.ndarray | float) -> "Mesh":
        return replace(self, vertices=self.vertices * factors)

    def polygons(self) -> list[np.ndarray]:
        return np.split(self.corners, np.cumsum(self.counts)[:-1])


def mesh_of(
    vertices: Iterable, faces: Sequence[Sequence[int]], material: Material, smooth_degrees: float = 40.0
) -> Mesh:
    """A mesh of one material from polygons given as lists of vertex numbers."""
    return Mesh(
        vertices=np.asarray(list(vertices), float).reshape(-1, 3),
        corners=np.concatenate([np.asarray(face, int) for face in faces]),
        counts=np.array([len(face) for face in faces]),
        slots=np.zeros(len(faces), int),
        materials=(material,),
        smooth_degrees=smooth_degrees,
    )


def join(*parts: Mesh) -> Mesh:
    """One mesh of many. Texture coordinates survive where every part has them."""
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts])
    slots = np.cumsum([0] + [len(part.materials) for part in parts])
    uvs = [part.uvs for part in parts]
    return Mesh(
        vertices=np.concatenate([part.vertices for part in parts]),
        corners=np.concatenate([part.corners + offset for part, offset in zip(parts, offsets)]),
        counts=np.concatenate([part.counts for part in parts]),
        slots=np.concatenate([part.slots + slot for part, slot in zip(parts, slots)]),
        materials=tuple(material for part in parts for material in part.materials),
        uvs=np.concatenate(uvs) if all(uv is not None for uv in uvs) else None,  # type: ignore[arg-type]
        smooth_degrees=max(part.smooth_degrees for part in parts),
    )


@dataclass(frozen=True)
class Prop:
    """A thing with where to take hold of it. Everything is in the thing's own axes, z up as it stands."""

    mesh: Mesh
    grips: tuple[np.ndarray, ...] = (np.zeros(3),)  # (3,) each; the first is the main one
    long: np.ndarray = field(default_factory=lambda: np.array((0.0, 0.0, 1.0)))  # from the grip to the far end
    flat: np.ndarray = field(default_factory=lambda: np.array((0.0, -1.0, 0.0)))  # normal of its face
    radius: float = 0.02  # of what the hand closes around
    mouth: np.ndarray | None = None  # where one drinks or bites


def centered(mesh: Mesh) -> Mesh:
    """Its bounding box around the origin."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    return replace(mesh, vertices=mesh.vertices - (low + high) / 2)


def surface_points(mesh: Mesh, vertices: np.ndarray, count: int = 1500) -> np.ndarray:
    """(count, 3) points spread evenly over a mesh whose vertices lie at `vertices`; always the same ones."""
    starts = np.concatenate([[0], np.cumsum(mesh.counts)[:-1]])
    fans = [
        np.stack([mesh.corners[starts[big]], mesh.corners[starts[big] + k], mesh.corners[starts[big] + k + 1]], 1)
        for k in range(1, int(mesh.counts.max()) - 1)
        if (big := mesh.counts > k + 1).any()
    ]
    triangles = vertices[np.concatenate(fans)]
    areas = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    random = np.random.default_rng(0)
    chosen = triangles[random.choice(len(triangles), count, p=areas / areas.sum())]
    blend = random.dirichlet((1, 1, 1), count)
    return np.einsum("nk,nki->ni", blend, chosen)
