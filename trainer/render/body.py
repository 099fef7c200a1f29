"""MakeHuman's body as arrays: shape by morph targets, garments fitted to it, and skinning by a posture."""

import gzip
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from vmfm.trainer.render.scene import Look
from vmfm.trainer.render.skeleton import Posture, Skeleton
from vmfm.trainer.render.wavefront import Obj, read_obj, z_up

FACE_TARGETS = ("nose", "mouth", "chin", "cheek", "forehead", "head", "eyes", "ears")
SKIN_VERTICES = 13380  # of the base mesh; what comes after are helpers that garments hang on


def metres(vertices: np.ndarray) -> np.ndarray:
    """From the base mesh's decimetres, y up, to metres, z up."""
    return z_up(np.asarray(vertices)) * 0.1


@dataclass(frozen=True)
class BaseBody:
    """The base mesh, its rig and what can be morphed, read once."""

    folder: Path
    obj: Obj
    groups: dict[str, np.ndarray]  # vertex numbers
    rig: dict[str, dict]
    weights: np.ndarray  # (N, J)

    @property
    def bones(self) -> tuple[str, ...]:
        return tuple(self.rig)

    def target(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Vertex numbers and their offsets (K, 3) in decimetres; None if there is no such target."""
        return _target(self.folder / "targets" / f"{name}.target.gz")

    def skeleton(self, vertices: np.ndarray) -> Skeleton:
        """Joints of a body, from its vertices in metres."""

        def place(end: dict) -> np.ndarray:
            if end["strategy"] == "CUBE":
                return vertices[self.groups[end["cube_name"]]].mean(0)
            if end["strategy"] == "VERTEX":
                return vertices[end["vertex_index"]]
            if end["strategy"] == "MEAN":
                return vertices[end["vertex_indices"]].mean(0)
            return np.array(end["default_position"], float)

        parents = tuple(self.bones.index(bone["parent"]) if bone["parent"] else -1 for bone in self.rig.values())
        heads = np.array([place(bone["head"]) for bone in self.rig.values()])
        tails = np.array([place(bone["tail"]) for bone in self.rig.values()])
        return Skeleton(self.bones, parents, heads, tails)


@lru_cache(maxsize=1)
def load_body(folder: Path) -> BaseBody:
    obj = read_obj(folder / "3dobjs" / "base.obj")
    ranges = json.loads((folder / "mesh_metadata" / "basemesh_vertex_groups.json").read_text())
    groups = {name: np.concatenate([np.arange(a, b + 1) for a, b in spans]) for name, spans in ranges.items() if spans}
    rig = json.loads((folder / "rigs" / "standard" / "rig.game_engine.json").read_text())
    rig = _parents_first(rig.get("bones", rig))
    listed = json.loads((folder / "rigs" / "standard" / "weights.game_engine.json").read_text())["weights"]
    weights = np.zeros((len(obj.vertices), len(rig)))
    for j, bone in enumerate(rig):
        for vertex, weight in listed.get(bone, ()):
            weights[vertex, j] = weight
    return BaseBody(folder, obj, groups, rig, weights)


def _parents_first(rig: dict[str, dict]) -> dict[str, dict]:
    ordered: dict[str, dict] = {}

    def add(name: str) -> None:
        if name not in ordered:
            if rig[name]["parent"]:
                add(rig[name]["parent"])
            ordered[name] = rig[name]

    for name in rig:
        add(name)
    return ordered


@lru_cache(maxsize=512)
def _target(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    if not path.exists():
        return None
    with gzip.open(path, "rt") as file:
        rows = "".join(line for line in file if not line.startswith("#"))
    table = np.array(rows.split(), float).reshape(-1, 4)
    return table[:, 0].astype(int), table[:, 1:]


def shape(body: BaseBody, look: Look, rng) -> np.ndarray:
    """(N, 3) decimetres, y up, feet on y = 0: the base mesh as this person."""
    vertices = body.obj.vertices.copy()

    def add(name: str, weight: float) -> None:
        found = body.target(name) if weight else None
        if found is not None:
            vertices[found[0]] += weight * found[1]

    gender = look.gender
    tall, height = ("maxheight", look.height * 2 - 1) if look.height > 0.5 else ("minheight", 1 - look.height * 2)
    for age, of_age in (("young", 1 - look.age), ("old", look.age)):
        add(f"macrodetails/{look.race}-{gender}-{age}", of_age)
        for muscle, of_muscle in _three(look.muscle, "muscle").items():
            for fat, of_weight in _three(look.weight, "weight").items():
                share = of_age * of_muscle * of_weight
                kind = f"{gender}-{age}-{muscle}-{fat}"
                add(f"macrodetails/universal-{kind}", share)
                add(f"macrodetails/height/{kind}-{tall}", share * height)
                add(f"macrodetails/proportions/{kind}-idealproportions", share * 0.6)
    for part in FACE_TARGETS:
        files = sorted((body.folder / "targets" / part).glob("*.target.gz"))
        for file in rng.sample(files, min(4, len(files))):
            add(f"{part}/{file.name.removesuffix('.target.gz')}", rng.uniform(0, 0.35))
    for name, weight in _expression(body, look, rng):
        add(name, weight)
    vertices[:, 1] -= vertices[body.groups["body"]][:, 1].min()
    return vertices


def _three(value: float, what: str) -> dict[str, float]:
    """How much a value in [0, 1] is of the lowest, the middle and the highest target."""
    return {
        f"min{what}": max(0.0, 1 - 2 * value),
        f"average{what}": 1 - abs(2 * value - 1),
        f"max{what}": max(0.0, 2 * value - 1),
    }


def _expression(body: BaseBody, look: Look, rng) -> list[tuple[str, float]]:
    """Up to three units of a face's expression; one that lies on a single side gets its twin."""
    folder = f"expression/units/{look.race}"
    names = sorted(file.name.removesuffix(".target.gz") for file in (body.folder / "targets" / folder).glob("*.gz"))
    chosen = []
    for _ in range(rng.choice((0, 1, 2, 3)) if names else 0):
        name, weight = rng.choice(names), rng.uniform(0.2, 0.8)
        if "clos" in name or "right" in name:
            pair = ["mouth-corner-puller", "mouth-elevation"]
        elif "left" in name:
            pair = [name, name.replace("left", "right")]
        else:
            pair = [name]
        if "open" in name:  # there are no teeth behind those lips
            weight *= 0.4
        chosen += [(f"{folder}/{unit}", weight) for unit in pair]
    return chosen


@dataclass(frozen=True)
class Garment:
    """A mesh that follows the body: every vertex hangs on three of the body's."""

    obj: Obj
    anchors: np.ndarray  # (N, 3) vertex numbers of the body
    shares: np.ndarray  # (N, 3)
    offsets: np.ndarray  # (N, 3) decimetres before scaling
    scales: dict[int, tuple[int, int, float]]  # axis: two vertices and their distance on the base mesh
    hidden: frozenset[int]  # vertices of the body that it covers

    def fitted(self, vertices: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Its vertices (N, 3) on a body's vertices, and its bone weights (N, J)."""
        scale = np.ones(3)
        for axis, (a, b, distance) in self.scales.items():
            scale[axis] = abs(vertices[a, axis] - vertices[b, axis]) / distance
        own = (vertices[self.anchors] * self.shares[..., None]).sum(1) + self.offsets * scale
        hung = (np.clip(weights[self.anchors], 0, None) * np.clip(self.shares, 0, None)[..., None]).sum(1)
        count = len(self.obj.vertices)
        return own[:count], (hung / np.maximum(hung.sum(1, keepdims=True), 1e-6))[:count]


@lru_cache(maxsize=64)
def load_garment(path: Path) -> Garment:
    """Reads a .mhclo file and the mesh that it names."""
    rows: list[list[float]] = []
    scales: dict[int, tuple[int, int, float]] = {}
    hidden: set[int] = set()
    obj_file, mode = "", ""
    for line in path.read_text(encoding="utf-8", errors="ignore").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        key = words[0]
        if key == "obj_file":
            obj_file = words[1]
        elif key in ("x_scale", "y_scale", "z_scale"):
            scales["xyz".index(key[0])] = (int(words[1]), int(words[2]), float(words[3]))
        elif key in ("verts", "delete_verts"):
            mode = key
        elif mode == "verts" and re.match(r"-?\d", key):
            rows.append(_anchor_row(words))
        elif mode == "delete_verts":
            hidden |= _vertex_numbers(words)
        elif mode != "verts":
            mode = ""
    table = np.array(rows)
    return Garment(
        read_obj(path.parent / obj_file),
        table[:, :3].astype(int),
        table[:, 3:6],
        table[:, 6:],
        scales,
        frozenset(hidden),
    )


def _anchor_row(words: list[str]) -> list[float]:
    values = [float(word) for word in words]
    if len(values) == 1:
        return [values[0]] * 3 + [1, 0, 0, 0, 0, 0]
    return values[:6] + (values[6:9] if len(values) >= 9 else [0, 0, 0])


def _vertex_numbers(words: list[str]) -> set[int]:
    """Of "3 7 - 9": 3, 7, 8, 9."""
    numbers: set[int] = set()
    i = 0
    while i < len(words):
        last = int(words[i + 2]) if i + 2 < len(words) and words[i + 1] == "-" else int(words[i])
        numbers |= set(range(int(words[i]), last + 1))
        i += 3 if last != int(words[i]) or (i + 1 < len(words) and words[i + 1] == "-") else 1
    return numbers


def skinned(vertices: np.ndarray, weights: np.ndarray, posture: Posture) -> np.ndarray:
    """(N, 3) rest vertices in metres, blended linearly by (N, J) weights into the posture."""
    total = weights.sum(1, keepdims=True)
    weights = np.where(total > 1e-6, weights / np.maximum(total, 1e-6), 0)
    stays = (total[:, 0] <= 1e-6)[:, None]
    matrices = np.tensordot(weights, posture.matrices[:, :3], 1)  # (N, 3, 4)
    moved = np.einsum("nij,nj->ni", matrices[:, :, :3], vertices) + matrices[:, :, 3]
    return np.where(stays, vertices, moved)
