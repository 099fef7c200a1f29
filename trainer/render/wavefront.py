"""Reads Wavefront .obj files and their materials."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from vmfm.trainer.render.mesh import Material, Mesh


@dataclass(frozen=True)
class Obj:
    """As in the file: y up, every polygon with the group and the material it is under."""

    vertices: np.ndarray  # (N, 3)
    uvs: np.ndarray  # (M, 2), one per corner
    corners: np.ndarray  # (M,)
    counts: np.ndarray  # (F,)
    groups: tuple[str, ...]  # (F,)
    materials: tuple[str, ...]  # (F,)
    library: Path | None

    @property
    def starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.counts)[:-1]])


def read_obj(path: Path) -> Obj:
    vertices: list[list[float]] = []
    uvs = [[0.0, 0.0]]
    corners, corner_uvs, counts, groups, materials = [], [], [], [], []
    group = material = ""
    library = None
    for line in path.read_text(encoding="utf-8", errors="ignore").splitlines():
        key, _, rest = line.strip().partition(" ")
        if key == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif key == "vt":
            uvs.append([float(x) for x in rest.split()[:2]])
        elif key == "f":
            ends = [corner.split("/") for corner in rest.split()]
            if len(ends) < 3:
                continue
            for end in ends:
                number = int(end[0])
                corners.append(number - 1 if number > 0 else len(vertices) + number)
                number = int(end[1]) if len(end) > 1 and end[1] else 0
                corner_uvs.append(number if number >= 0 else len(uvs) + number)
            counts.append(len(ends))
            groups.append(group)
            materials.append(material)
        elif key == "g":
            group = rest.split()[0] if rest.split() else ""
        elif key == "usemtl":
            material = rest.strip()
        elif key == "mtllib":
            library = path.parent / rest.strip()
    return Obj(np.array(vertices, float), np.array(uvs)[corner_uvs], np.array(corners), np.array(counts),
               tuple(groups), tuple(materials), library)  # fmt: skip


def z_up(vertices: np.ndarray) -> np.ndarray:
    """From y up to z up: what looked along +z looks along -y."""
    return np.stack([vertices[..., 0], -vertices[..., 2], vertices[..., 1]], -1)


def mesh_from(obj: Obj) -> Mesh:
    """The whole file as one mesh, z up, with its materials."""
    known = read_materials(obj.library) if obj.library else {}
    names = sorted(set(obj.materials))
    slot = {name: i for i, name in enumerate(names)}
    return Mesh(
        vertices=z_up(obj.vertices),
        corners=obj.corners,
        counts=obj.counts,
        slots=np.array([slot[name] for name in obj.materials]),
        materials=tuple(known.get(name, Material((0.6, 0.6, 0.6))) for name in names),
        uvs=obj.uvs,
    )


def read_materials(path: Path) -> dict[str, Material]:
    """The materials of an .mtl file; an absent file holds none."""
    found: dict[str, dict] = {}
    current: dict = {}
    lines = path.read_text(encoding="utf-8", errors="ignore").splitlines() if path.is_file() else []
    for line in lines:
        key, _, rest = line.strip().partition(" ")
        try:
            if key == "newmtl":
                current = found.setdefault(rest.strip(), {})
            elif key == "Kd":
                current["color"] = tuple(min(1.0, float(x)) for x in rest.split()[:3])
            elif key == "d":
                current["alpha"] = max(0.35, float(rest.split()[-1]))
            elif key == "Ns":
                current["roughness"] = float(np.clip(1 - np.sqrt(max(0.0, float(rest)) / 1000), 0.1, 0.95))
            elif key == "map_Kd":
                texture = path.parent / rest.split()[-1].replace("\\", "/")
                if texture.is_file():
                    current["texture"] = texture
        except ValueError:
            continue  # a malformed line of somebody's exporter; the rest of the material still holds
    return {name: Material(**values) for name, values in found.items()}
