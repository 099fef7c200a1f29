"""Rotations and two-bone chains. Right-handed metres, z up; a person at rest looks along -y, its left is +x."""

import numpy as np

UP = np.array((0.0, 0.0, 1.0))
FRONT = np.array((0.0, -1.0, 0.0))


def vec(x: float, y: float, z: float) -> np.ndarray:
    return np.array((x, y, z), float)


def unit(v: np.ndarray) -> np.ndarray:
    """`v` at length one; a zero vector stays zero."""
    return v / max(float(np.linalg.norm(v)), 1e-9)


def reject(v: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """What of `v` is perpendicular to the unit vector `axis`."""
    return v - axis * (v @ axis)


def rotation(axis: np.ndarray, degrees: float) -> np.ndarray:
    """(3, 3) rotation about an axis by the right-hand rule."""
    x, y, z = unit(np.asarray(axis, float))
    angle = np.radians(degrees)
    cross = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0)))
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3) the smallest rotation that takes the direction `a` to the direction `b`."""
    a, b = unit(a), unit(b)
    axis = np.cross(a, b)
    sine, cosine = float(np.linalg.norm(axis)), float(a @ b)
    if sine < 1e-8:
        return np.eye(3) if cosine > 0 else rotation(np.cross(a, UP if abs(a[2]) < 0.9 else FRONT), 180)
    return rotation(axis, np.degrees(np.arctan2(sine, cosine)))


def frame(**axes: np.ndarray) -> np.ndarray:
    """(3, 3) whose columns are unit x, y, z. Two of them are given, first the one to keep as it is: frame(z=..., x=...)."""
    (first, a), (second, b) = axes.items()
    known = {first: unit(np.asarray(a, float))}
    known[second] = unit(reject(np.asarray(b, float), known[first]))
    third = ({"x", "y", "z"} - known.keys()).pop()
    after = {"x": ("y", "z"), "y": ("z", "x"), "z": ("x", "y")}[third]
    known[third] = np.cross(known[after[0]], known[after[1]])
    return np.stack([known["x"], known["y"], known["z"]], 1)


def placed(rotation3: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """(4, 4) from a rotation and where the origin goes."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation3, origin
    return matrix


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(..., 3) points under a (4, 4)."""
    return np.asarray(points) @ matrix[:3, :3].T + matrix[:3, 3]


def two_bones(
    root: np.ndarray, upper: float, lower: float, target: np.ndarray, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the middle joint and the end of a chain of two bones come to lie.

    root: where the chain is fixed. upper, lower: bone lengths in metres. target: where the end should be; one out of
    reach is approached as far as the chain goes, almost straight. pole: direction in which the middle joint bends.
    """
    way = target - root
    reach = float(np.clip(np.linalg.norm(way), abs(upper - lower) * 1.001 + 1e-6, (upper + lower) * 0.985))
    along = unit(way) if np.linalg.norm(way) > 1e-9 else -UP
    bend = reject(pole, along)
    if np.linalg.norm(bend) < 1e-6:  # the pole lies along the chain
        bend = reject(FRONT if abs(along[1]) < 0.9 else UP, along)
    bend = unit(bend)
    cosine = (upper**2 + reach**2 - lower**2) / (2 * upper * reach)
    sine = np.sqrt(max(0.0, 1 - cosine**2))
    return root + upper * (cosine * along + sine * bend), root + reach * along
