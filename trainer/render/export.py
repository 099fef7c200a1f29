"""Turns rendered passes into a sample's files.

NNNNNV_fg.webp     RGBA, colour not premultiplied, sRGB, bled a little outside the matte; alpha lossless
NNNNNV_person.png  uint8 coverage of the people, with clothes, hair and what they wear on it
NNNNNV_depth.png   uint8 at half size; 0 is background, 1..255 linear in inverse depth from z_far to z_near
NNNNNV.json        what the scene was, boxes, contacts and checks; written last: a sample is whole when it is there
"""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.render.passes import Passes
from vmfm.trainer.render.scene import Grade
from vmfm.trainer.render.stage import Staged

PERSON_AREA = (0.03, 0.85)  # of the picture
SMALLEST_OBJECT = 0.00017  # of the picture: 45 px at 512
WORST_SUM = 0.004  # mean |person + objects - alpha|
DARKEST = 0.06  # mean sRGB value of the foreground
NOTHING = 0.003  # alpha below this is background


class Rejected(TrainerError):
    """Rendered, but not fit to learn from."""


@dataclass(frozen=True)
class Layers:
    """The coverage of a picture by who and what is in it, all (H, W) float32 in [0, 1]."""

    people: tuple[np.ndarray, ...]
    objects: dict[str, np.ndarray]

    @property
    def person(self) -> np.ndarray:
        return np.sum(self.people, axis=0)

    @property
    def total(self) -> np.ndarray:
        return self.person + np.sum([*self.objects.values(), np.zeros_like(self.people[0])], axis=0)


def layers_of(passes: Passes, staged: Staged) -> Layers:
    """Sums coverage by person, and keeps it by thing."""
    people = [np.zeros_like(passes.alpha) for _ in staged.people]
    objects = {}
    for item in staged.items:
        if item.thing is None:
            people[item.figure] = people[item.figure] + passes.coverage[item.name]
        else:
            objects[item.name] = passes.coverage[item.name]
    return Layers(tuple(people), objects)


def check(passes: Passes, layers: Layers, optional: set[str]) -> dict[str, float]:
    """How well coverage and alpha agree. Raises Rejected. optional: objects that need not be seen."""
    for coverage in (layers.people[0], layers.person):
        area = float((coverage > 0.5).mean())
        if not PERSON_AREA[0] <= area <= PERSON_AREA[1]:
            raise Rejected(
                f"people fill {area:.1%} of the picture, wanted {PERSON_AREA[0]:.0%} to {PERSON_AREA[1]:.0%}"
            )
    off = np.abs(layers.total - passes.alpha)
    mean, share = float(off.mean()), float((off > 0.25).mean())
    if max(mean, share) > WORST_SUM:
        raise Rejected(f"person and objects miss alpha by {mean:.4f}, wanted at most {WORST_SUM}")
    for name, coverage in layers.objects.items():
        seen = float((coverage > 0.5).mean())
        if seen < SMALLEST_OBJECT and name not in optional:
            raise Rejected(f"{name} is hardly seen: {seen:.3%} of the picture")
    return {"mean_abs": round(mean, 6), "frac_gt_025": round(share, 6)}


def to_srgb(linear: np.ndarray) -> np.ndarray:
    low = np.clip(linear, 0, None)
    curve = np.where(low < 0.0031308, 12.92 * low, 1.055 * np.power(np.maximum(low, 1e-8), 1 / 2.4) - 0.055)
    return curve.clip(0, 1)


def graded(passes: Passes, grade: Grade, white: float | None = None) -> tuple[np.ndarray, float]:
    """(H, W, 3) sRGB in [0, 1], not premultiplied, and the scene-linear value that was taken for white.

    white: keep to this one, as the frames of a clip do.
    """
    alpha = passes.alpha[..., None]
    color = np.where(alpha > 1e-3, passes.color / np.maximum(alpha, 1e-3), 0)
    if white is None:
        solid = color[passes.alpha > 0.9] @ np.array((0.2126, 0.7152, 0.0722), np.float32)
        white = max(float(np.percentile(solid, grade.percentile)), 1e-4) if solid.size else 1.0
    color = color * np.array(grade.white_balance, np.float32) * (grade.exposure / white)
    shoulder = 0.7 + 0.3 * (1 - np.exp(-(np.maximum(color, 0.7) - 0.7) / 0.3))
    return to_srgb(np.where(color < 0.7, color, shoulder)), white


def bled(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) whose colour goes on into what is faint (taken from beside) and a few pixels beyond the matte, so
    that resizing draws in no black. rgb: float sRGB. alpha: float (H, W)."""
    picture = byte(rgb)
    faint = ((alpha > NOTHING) & (alpha < 0.25)).astype(np.uint8)
    picture = np.where((alpha > 0.25)[..., None], picture, cv2.inpaint(picture, faint, 3, cv2.INPAINT_TELEA))
    solid = (alpha > NOTHING).astype(np.float32)
    spread = cv2.blur(picture * solid[..., None], (7, 7)) / np.maximum(cv2.blur(solid, (7, 7)), 1e-4)[..., None]
    rim = (cv2.dilate(solid, np.ones((5, 5))) > 0) & (solid == 0)
    picture = np.where(rim[..., None], spread.clip(0, 255).astype(np.uint8), picture)
    picture[(solid == 0) & ~rim] = 0
    return picture


def inverse_depth(passes: Passes, alpha: np.ndarray) -> tuple[np.ndarray, float, float]:
    """uint8 (H/2, W/2) as described above, with z_near and z_far in metres. alpha: uint8."""
    known = (passes.alpha > 0.5) & (passes.depth < 60)
    depth = np.where(known, passes.depth, 0).astype(np.float32)
    for _ in range(3):  # faint pixels take the depth of what is beside them
        missing = (alpha > 0) & (depth == 0)
        weight = (depth > 0).astype(np.float32)
        near = cv2.blur(weight, (7, 7))
        depth = np.where(missing & (near > 0), cv2.blur(depth, (7, 7)) / np.maximum(near, 1e-6), depth)
    values = passes.depth[known]
    near_z, far_z = float(np.percentile(values, 0.05)), float(np.percentile(values, 99.9))
    far_z = max(far_z, near_z + 0.05)
    share = (1 / np.maximum(depth, 1e-3) - 1 / far_z) / (1 / near_z - 1 / far_z)
    coded = np.where(alpha > 0, np.where(depth > 0, 1 + 254 * share.clip(0, 1), 1), 0)
    height, width = coded.shape
    halves = (coded + 0.5).astype(np.uint8)[: height // 2 * 2, : width // 2 * 2]
    return halves.reshape(height // 2, 2, width // 2, 2).max((1, 3)), near_z, far_z


def byte(values: np.ndarray) -> np.ndarray:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def box_of(mask: np.ndarray) -> dict[str, Any]:
    """bbox [x0, y0, x1, y1], center [x, y] and area_px of where a coverage is above one half; None where nowhere."""
    y, x = np.nonzero(mask > 0.5)
    if not x.size:
        return {"bbox": None, "center": None, "area_px": 0}
    return {
        "bbox": [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1],
        "center": [round(float(x.mean()), 1), round(float(y.mean()), 1)],
        "area_px": int(x.size),
    }


def facts_of(staged: Staged, layers: Layers, alpha: np.ndarray, credits: Mapping[str, dict]) -> dict[str, Any]:
    """What a sample's .json says of the picture. alpha: uint8. credits: of each thing by name: file, creator, ..."""
    people = [box_of(coverage) for coverage in layers.people]
    objects = []
    for item in staged.objects():
        assert item.thing is not None
        box = box_of(layers.objects[item.name])
        if box["bbox"] is None:
            continue
        own = people[item.figure] if people[item.figure]["bbox"] else people[0]
        middle = [round((a + b) / 2, 1) for a, b in zip(box["center"], own["center"])]
        objects.append({
            "name": item.name, "cls": item.thing.cls, **credits[item.thing.name], **box,
            "person": item.figure, "person_bbox": own["bbox"], "interaction_center": middle,
        })  # fmt: skip
    size = alpha.shape[0]
    seen = staged.camera.project(staged.contacts) if len(staged.contacts) else np.zeros((0, 3))
    scene = staged.scene
    return {
        "seed": scene.seed,
        "view": scene.view,
        "split": scene.split,
        "action": scene.figures[0].action,
        "seated": staged.seated,
        "person": staged.people[0].facts,
        "company": [person.facts for person in staged.people[1:]],
        "camera": {
            "fov_deg": round(staged.camera.fov_deg, 2),
            "location": [round(float(x), 4) for x in staged.camera.position],
            "yaw_deg": round(scene.shot.yaw_deg, 1),
            "framing": scene.shot.framing,
        },
        "objects": objects,
        "credits": list(credits.values()),
        "contacts": [
            [round(float(x) * size, 1), round(float(y) * size, 1), bool(0 <= x < 1 and 0 <= y < 1 and z > 0)]
            for x, y, z in seen
        ],
        "person_mask": people[0],
        "persons": people,
        "alpha_area_px": int((alpha > 127).sum()),
        "soft_fraction": round(float(((alpha > 5) & (alpha < 250)).sum() / max(1, (alpha > 5).sum())), 4),
        "scene": scene.as_dict(),
    }


@dataclass(frozen=True)
class Sample:
    """A sample's pictures, ready to be written."""

    rgba: np.ndarray  # uint8 (H, W, 4)
    person: np.ndarray  # uint8 (H, W)
    depth: np.ndarray  # uint8 (H/2, W/2)
    facts: dict[str, Any]
    white: float


def make_sample(
    passes: Passes, staged: Staged, credits: Mapping[str, dict], light: dict, *, white: float | None = None,
    strict: bool = True,
) -> Sample:  # fmt: skip
    """Raises Rejected where the picture is not fit to learn from. strict: every thing in use has to be seen."""
    layers = layers_of(passes, staged)
    optional = {
        item.name
        for item in staged.objects()
        if not strict or item.figure > 0 or (item.thing and item.thing.grip == "seat")
    }
    checks = check(passes, layers, optional)
    rgb, white = graded(passes, staged.scene.grade, white)
    if float(rgb[passes.alpha > 0.9].mean()) < DARKEST:
        raise Rejected("the picture is too dark")
    alpha = byte(passes.alpha)
    depth, near, far = inverse_depth(passes, alpha)
    facts = facts_of(staged, layers, alpha, credits)
    facts |= {"light": light, "depth": {"z_near": round(near, 4), "z_far": round(far, 4)}, "check": checks}
    person = byte(np.minimum(layers.person, passes.alpha))
    return Sample(np.dstack([bled(rgb, passes.alpha), alpha]), person, depth, facts, white)


def write_sample(sample: Sample, stem: Path) -> None:
    """Writes `stem`_fg.webp, _person.png, _depth.png and .json; each is whole or absent."""
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(sample.rgba).save(encoded, "WEBP", quality=92, alpha_quality=100, method=4, exact=True)
    _write(stem.with_name(stem.name + "_fg.webp"), encoded.getvalue())
    for ending, picture in (("_person.png", sample.person), ("_depth.png", sample.depth)):
        _, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        _write(stem.with_name(stem.name + ending), data.tobytes())
    _write(stem.with_name(stem.name + ".json"), json.dumps(sample.facts, separators=(",", ":")).encode())


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    os.replace(temporary, path)
