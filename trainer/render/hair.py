"""Strands of hair, grown on the scalp at rest: root by root, combed, bent by gravity, kept out of the head."""

from dataclasses import dataclass
from random import Random

import numpy as np
from vmfm.trainer.render.body import SKIN_VERTICES, BaseBody, Garment, metres
from vmfm.trainer.render.kinematics import unit
from vmfm.trainer.render.mesh import Material, Mesh


@dataclass(frozen=True)
class Style:
    count: int  # of strands
    shortest: float  # metres
    longest: float
    points: int  # per strand
    lift: float  # how far strands stand off the scalp
    gravity: float
    radius: float = 0.0003
    tangle: float = 0.15  # how much clumps differ
    comb: tuple[float, float, float] | None = None  # away from the parting, back, up
    wave: float = 0.0  # metres


STYLES = {
    "crop": Style(22000, 0.012, 0.028, 4, 0.55, 0.0),
    "side": Style(18000, 0.035, 0.075, 7, 0.16, 0.1, comb=(1, 0.35, -0.5)),
    "back": Style(18000, 0.04, 0.08, 7, 0.22, 0.06, comb=(0.15, 1, -0.25)),
    "long": Style(15000, 0.2, 0.42, 16, 0.12, 0.45, 0.00033, comb=(0.8, 0.55, -0.8), wave=0.003),
    "bob": Style(15000, 0.13, 0.2, 12, 0.14, 0.35, 0.00033, comb=(0.8, 0.4, -0.9), wave=0.001),
    "curly": Style(14000, 0.06, 0.13, 12, 0.45, 0.2, tangle=0.3, wave=0.012),
    "afro": Style(17000, 0.03, 0.075, 10, 1.0, 0.0, tangle=0.2, wave=0.008),
    "messy": Style(16000, 0.035, 0.07, 7, 0.22, 0.16, tangle=0.38, comb=(0.12, 0.45, -0.35), wave=0.003),
}


@dataclass(frozen=True)
class Strands:
    """Curves of equal numbers of points, at rest."""

    points: np.ndarray  # (S, P, 3) metres
    radii: np.ndarray  # (P,) metres, root to tip
    melanin: float
    redness: float
    roughness: float
    dye: tuple[float, float, float] | None


def grow(
    body: BaseBody, vertices: np.ndarray, cap: Garment, look_hair: str, old: bool, rng: Random
) -> tuple[Strands, Mesh]:
    """The strands of a style and the dark cap of scalp that is seen between them.

    vertices: (N, 3) of the shaped body, decimetres. cap: a close-fitting hair mesh, which tells where hair grows.
    """
    from scipy.spatial import cKDTree

    style = STYLES[look_hair]
    random = np.random.default_rng(rng.getrandbits(32))
    skin = metres(vertices)[:SKIN_VERTICES]
    faces = [
        polygon
        for polygon, group in zip(np.split(body.obj.corners, np.cumsum(body.obj.counts)[:-1]), body.obj.groups)
        if group == "body"
    ]
    normals = _normals(skin, faces)
    hairy = _scalp(skin, metres(cap.fitted(vertices, body.weights)[0]))
    scalp = [face for face in faces if hairy[face].all()]
    triangles = np.array([t for f in scalp for t in ((f[0], f[1], f[2]), (f[0], f[2], f[-1]))])
    edges = skin[triangles[:, 1:]] - skin[triangles[:, :1]]
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)

    count, points = style.count, style.points
    chosen = triangles[random.choice(len(triangles), count, p=areas / areas.sum())]
    blend = random.dirichlet((1, 1, 1), count)[..., None]
    root = (skin[chosen] * blend).sum(1)
    outward = _unit((normals[chosen] * blend).sum(1))

    # Strands of one clump go the same way.
    clumps = max(120, count // 40)
    clump = cKDTree(root[random.choice(count, clumps, replace=False)]).query(root)[1]
    phase = random.random(clumps)[clump] * 2 * np.pi
    parting = rng.choice((-0.03, -0.02, 0.0, 0.02, 0.03))
    away = np.where(root[:, 0] >= parting, 1.0, -1.0)
    flying = random.random(count) < 0.035

    direction = outward * style.lift + (random.normal(size=(clumps, 3)) * style.tangle)[clump]
    direction += random.normal(size=(count, 3)) * (0.06 + 0.5 * flying[:, None])
    if style.comb:
        comb = np.stack([style.comb[0] * away, np.full(count, style.comb[1]), np.full(count, style.comb[2])], 1)
        direction += _unit(comb - outward * (comb * outward).sum(1, keepdims=True))
    direction = _unit(direction)
    length = rng.uniform(style.shortest, style.longest) * random.uniform(0.75, 1.25, count) * (1 - 0.35 * flying)
    if look_hair == "crop":  # faded at the sides
        length *= np.where(root[:, 2] < skin[:, 2].max() - 0.09, 0.5, 1.0)

    step = (length / (points - 1))[:, None]
    upper = skin[:, 2] > skin[:, 2].max() - 0.55
    body_points, body_normals = skin[upper], normals[upper]
    tree = cKDTree(body_points)
    wave = style.wave * rng.uniform(0.3, 1.3)
    frequency = rng.uniform(14, 30) * (3 if look_hair in ("afro", "curly") else 1)
    tip, path = root.copy(), [root - outward * 0.001]
    for k in range(1, points):
        ramp = min(1.0, k / 4)
        pull = style.gravity * (0.25 + 0.75 * ramp)
        direction = direction * (1 - pull) + np.array((0, 0, -pull)) + random.normal(size=(count, 3)) * 0.03
        direction = _unit(direction)
        tip = tip + direction * step
        distance, nearest = tree.query(tip)
        normal = body_normals[nearest]
        height = ((tip - body_points[nearest]) * normal).sum(1)
        wanted = 0.003 + 0.006 * ramp * random.random(count)
        push = (np.clip(wanted - height, 0, 0.05) * (distance < 0.06))[:, None]
        tip = tip + normal * push
        inward = np.minimum((direction * normal).sum(1, keepdims=True), 0)
        direction = _unit(np.where(push > 0, direction - 0.9 * normal * inward, direction))
        angle = phase + frequency * k * step[:, 0] * 3 + random.random(count) * 0.3
        curl = np.stack([np.cos(angle), np.sin(angle), 0.6 * np.sin(1.3 * angle)], 1)
        path.append(tip + curl * wave * min(1.0, k / 3))
    radii = style.radius * (1 - 0.75 * np.linspace(0, 1, points) ** 2)
    return _coloured(np.stack(path, 1), radii, old, rng), _cap(skin, normals, faces, scalp, hairy)


def _coloured(points: np.ndarray, radii: np.ndarray, old: bool, rng: Random) -> Strands:
    grey = old and rng.random() < 0.6
    melanin = rng.uniform(0.05, 0.3) if grey else rng.choice((0.3, 0.45, 0.6, 0.75, 0.85, 0.95, 1.0))
    redness = rng.uniform(0, 0.25) if old else rng.uniform(0.1, 0.85)
    dye = None
    if rng.random() < 0.06:
        dye = tuple(unit(np.array([rng.uniform(0.05, 1) for _ in "rgb"])) * 0.5)
    return Strands(points, radii, melanin, redness, rng.uniform(0.2, 0.4), dye)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _normals(vertices: np.ndarray, faces: list[np.ndarray]) -> np.ndarray:
    normals = np.zeros_like(vertices)
    for face in faces:
        a, b, c = vertices[face[0]], vertices[face[1]], vertices[face[-1]]
        normals[face] += np.cross(b - a, c - a)
    return _unit(normals)


def _scalp(skin: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """(N,) bool: near the cap, above a hairline that falls towards the nape."""
    from scipy.spatial import cKDTree

    distance = cKDTree(cap).query(skin)[0]
    top = skin[:, 2].max()
    crown = skin[skin[:, 2] > top - 0.12, 1]
    back = (skin[:, 1] - crown.min()) / np.ptp(crown)
    hairline = top - 0.048 - 0.16 * np.maximum(0, back - 0.12)
    close = distance < np.where(skin[:, 2] > top - 0.065, 0.035, 0.014)
    return (skin[:, 2] > top - 0.2) & close & (skin[:, 2] > hairline)


def _cap(
    skin: np.ndarray, normals: np.ndarray, faces: list[np.ndarray], scalp: list[np.ndarray], hairy: np.ndarray
) -> Mesh:
    """The inner part of the scalp, dark, a millimetre over the skin, so that none of it shines through."""
    rim = np.zeros(len(skin), bool)
    for face in faces:
        if not hairy[face].all():
            rim[face] = True
    inner = [face for face in scalp if not rim[face].any()]
    used, corners = np.unique(np.concatenate(inner), return_inverse=True)
    return Mesh(
        vertices=skin[used] + normals[used] * 0.0012,
        corners=corners,
        counts=np.array([len(face) for face in inner]),
        slots=np.zeros(len(inner), int),
        materials=(Material((0.03, 0.022, 0.018), 0.9),),
        smooth_degrees=180,
    )
