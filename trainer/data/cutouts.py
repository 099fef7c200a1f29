"""Folders of photos with binary masks into folders of cut-outs: whole people with what they hold, and held objects alone.

Reads DIR/images/NAME.jpg with DIR/person_object/NAME.png and DIR/person/NAME.png (binary, same size), DIR/interactions.json
for the objects' classes and DIR/../splits.json for the split, where there are such files. Writes

    OUT/person_object/NAME.webp    RGBA in the photo's size, un-premultiplied clean colours, lossless alpha
    OUT/objects/NAME_K.webp        RGBA crop round one held object
    OUT/{person_object,objects}/index.json    what became of each photo, and where each object comes from

A run that was cut short goes on where it stopped: a photo that stands in the index is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from vmfm.trainer.data.soften import SoftenConfig, SoftenError, SoftMatte, mend_mask, soften
from vmfm.trainer.files import write_whole
from vmfm.trainer.images import read, read_mask

WRITE_EVERY = 10  # photos between two writes of the index


@dataclass(frozen=True)
class CutoutConfig:
    """Which photos and which objects are worth cutting out. Shares are of the photo."""

    matte: SoftenConfig = field(default_factory=SoftenConfig)
    max_border: float = 0.08  # people who are cut by more of the top, left and right edge look cut anywhere else
    min_object: float = 0.004  # of the photo's area
    min_solidity: float = 0.75  # area over area of the convex hull: less is a strap, or a bag with a bite out of it
    min_thickness_px: float = 5.0  # radius of the largest inscribed disc
    skip_classes: tuple[str, ...] = ("hat",)  # worn, and no longer whole without the head
    quality: int = 90


@dataclass(frozen=True)
class ObjectCutout:
    """rgba (h, w, 4) uint8 crop, un-premultiplied; box: x, y, w, h of the crop in the photo; cls: class name or None."""

    rgba: np.ndarray
    box: tuple[int, int, int, int]
    cls: str | None
    solidity: float


def border_share(mask: np.ndarray) -> float:
    """Share of the photo's top, left and right edge that the mask (H, W) bool touches. Feet may be cut, heads not."""
    edges = np.concatenate([mask[0], mask[:, 0], mask[:, -1]])
    return float(edges.mean())


def cut_objects(
    matte: SoftMatte,
    mask: np.ndarray,
    person: np.ndarray,
    objects: list[dict[str, Any]],
    config: CutoutConfig = CutoutConfig(),
) -> Iterator[ObjectCutout]:
    """The held objects of one photo: compact components of mask minus person, (H, W) bool each.

    objects: boxes of the photo as interactions.json gives them ({"cls", "box": [x, y, w, h]}), to name what was cut.
    """
    held = cv2.morphologyEx((mask & ~person).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(held, connectivity=8)
    for index in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[index])
        if area < config.min_object * mask.size:
            continue
        piece = (labels == index).astype(np.uint8)
        outline = np.concatenate(cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0])
        solidity = area / max(cv2.contourArea(cv2.convexHull(outline)), 1.0)
        thickness = cv2.distanceTransform(piece, cv2.DIST_L2, 5).max() * 512 / max(mask.shape)
        cls = _class_of((x, y, w, h), objects)
        if solidity < config.min_solidity or thickness < config.min_thickness_px or cls in config.skip_classes:
            continue
        # Towards the background the photo's own matte ends the object, so there the piece may grow past the outline;
        # towards the person it ends at the label, one pixel early, so that no skin comes along.
        grown = cv2.dilate(piece, np.ones((9, 9), np.uint8)) & ~cv2.dilate(
            person.astype(np.uint8), np.ones((3, 3), np.uint8)
        )
        alpha = matte.alpha * cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 0.7)
        margin = 6
        rows, columns = slice(max(y - margin, 0), y + h + margin), slice(max(x - margin, 0), x + w + margin)
        crop = to_rgba(matte.foreground[rows, columns], alpha[rows, columns])
        yield ObjectCutout(crop, (columns.start, rows.start, crop.shape[1], crop.shape[0]), cls, float(solidity))


def _class_of(box: tuple[int, int, int, int], objects: list[dict[str, Any]]) -> str | None:
    """Class of the listed object whose box overlaps `box` most, or None where the best overlap (IoU) is under 0.3."""

    def iou(other: list[float]) -> float:
        width = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
        height = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
        both = max(width, 0) * max(height, 0)
        return both / max(box[2] * box[3] + other[2] * other[3] - both, 1)

    best = max(objects, key=lambda o: iou(o["box"]), default=None)
    return str(best["cls"]) if best is not None and iou(best["box"]) >= 0.3 else None


def to_rgba(foreground: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 and (H, W) float in [0, 1] as one (H, W, 4) uint8."""
    return np.dstack([foreground, np.rint(alpha * 255).astype(np.uint8)])


def soften_folder(
    folder: Path,
    out: Path,
    config: CutoutConfig = CutoutConfig(),
    pattern: str = "*",
    skip: Collection[str] = (),
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> dict[str, int]:
    """Cuts out every photo of `folder` whose name fits `pattern`; counts of what happened.

    skip: names of photos whose masks are known to be bad; their files go if an earlier run wrote them.
    Counts: "soft", "feathered" (matte disagreed with the mask), "dropped" (see the index for why), "objects".
    `progress(done, total, name)` is called after each photo. Raises TrainerError where the folder is not what we read.
    """
    names = sorted(path.stem for path in (folder / "images").glob("*.jpg") if fnmatch(path.stem, pattern))
    if not names:
        raise SoftenError(
            f"{folder} has no images/{pattern}.jpg: wanted a folder with images/, person_object/ and person/"
        )
    boxes = read_json(folder / "interactions.json").get("images", {})
    dev = set(read_json(folder.parent / "splits.json").get(folder.name, {}).get("dev", ()))
    for kind in ("person_object", "objects"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    whole = read_json(out / "person_object" / "index.json").get("photos", {})
    pieces = read_json(out / "objects" / "index.json").get("objects", {})
    for done, name in enumerate(names, 1):
        split = "dev" if name in dev else "train"
        if name in skip:
            for path in (*(out / "objects").glob(f"{name}_*.webp"), out / "person_object" / f"{name}.webp"):
                path.unlink(missing_ok=True)
            pieces = {key: piece for key, piece in pieces.items() if piece["photo"] != name}
            whole[name] = {"split": split, "state": "dropped", "why": "on the list of photos to skip"}
        elif name not in whole:
            record, found = _cut_photo(folder, name, out, boxes.get(name, {}).get("objects", []), config)
            pieces |= {key: {"photo": name, "split": split, **value} for key, value in found.items()}
            whole[name] = {"split": split, **record}
        if done % WRITE_EVERY == 0 or done == len(names):
            # The photos' index last: only what stands there counts as done.
            write_json(out / "objects" / "index.json", {"objects": pieces})
            write_json(out / "person_object" / "index.json", {"config": asdict(config), "photos": whole})
        progress(done, len(names), name)
    states = [record["state"] for record in whole.values()]
    return {state: states.count(state) for state in ("soft", "feathered", "dropped")} | {"objects": len(pieces)}


def _cut_photo(
    folder: Path, name: str, out: Path, objects: list[dict[str, Any]], config: CutoutConfig
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Writes one photo's files; its index record and those of its objects, by file name without suffix."""
    image = read(folder / "images" / f"{name}.jpg")
    mask, person = (read_mask(folder / kind / f"{name}.png") for kind in ("person_object", "person"))
    border = border_share(mask)
    if border > config.max_border:
        return {"state": "dropped", "why": "cut by the border", "border": round(border, 3)}, {}
    matte = soften(image, mask, person, config.matte)
    record = {
        "state": "feathered" if matte.feathered else "soft",
        "iou": round(matte.iou, 4),
        "band_change": round(matte.band_change, 4),
        "border": round(border, 3),
    }
    found = {}
    for index, piece in enumerate(cut_objects(matte, mend_mask(mask, config.matte), person, objects, config)):
        write_webp(out / "objects" / f"{name}_{index}.webp", piece.rgba, config.quality)
        found[f"{name}_{index}"] = {"cls": piece.cls, "box": piece.box, "solidity": round(piece.solidity, 3)}
    write_webp(out / "person_object" / f"{name}.webp", to_rgba(matte.foreground, matte.alpha), config.quality)
    return record, found


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=1).encode())


def write_webp(path: Path, rgba: np.ndarray, quality: int) -> None:
    from PIL import Image  # keeps the colours under alpha 0 ("exact"), which OpenCV's writer throws away

    encoded = BytesIO()
    Image.fromarray(rgba).save(encoded, "WEBP", quality=quality, exact=True, method=4)
    write_whole(path, encoded.getvalue())
