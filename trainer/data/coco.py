"""Photos with COCO's annotations into the folders that the trainer reads (see README.md beside).

Every photo goes where its annotations suffice for:

    OUT/person_object_labelled/   people and all that they touch have masks: images/, person/, person_object/
    OUT/person_labelled/          people have masks; of something near them only the box is known: images/, person/
    OUT/unlabelled/               people have boxes only: images/
    OUT/backgrounds/              nobody is there

with interactions.json beside images/, and OUT/splits.json, which holds out every twentieth photo. What OUT holds already
from elsewhere stays.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from vmfm.trainer.data.coco_masks import decode
from vmfm.trainer.data.cutouts import read_json, write_json
from vmfm.trainer.data.held_out import is_held_out
from vmfm.trainer.data.interactions import FURNITURE, Box
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.files import write_whole
from vmfm.trainer.images import encode

PREFIX = "coco_"  # of names: of these photos a wider border is distrusted, since drawn polygons are coarse
PERSON = "person"
SMALLEST = 0.02  # of the photo: a box that the largest person must fill, else nobody in particular is shown
TOUCH = 0.02  # of the person's height: a thing whose mask is nearer than this is in use
NEAR = 0.1  # of the person's height: the same of boxes, which say less
WHOLE, PEOPLE, BOXES, EMPTY = "person_object_labelled", "person_labelled", "unlabelled", "backgrounds"
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Item:
    """A person or a thing in a photo: its category, box, and mask (H, W) bool where that is known."""

    category: str
    box: Box
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Pair:
    """A person and a thing, as indices; how far apart, in heights of the person; and how sure, 0 to 1, it is in use."""

    person: int
    thing: int
    gap: float
    confidence: float


@dataclass(frozen=True)
class Scene:
    """What is in one photo. The things are those that some pair names, and those near nobody."""

    people: list[Item]
    things: list[Item]
    pairs: list[Pair]

    def kind(self) -> str:
        """The folder that the photo belongs to."""
        if not self.people:
            return EMPTY
        if any(person.mask is None for person in self.people):
            return BOXES
        return WHOLE if all(self.things[pair.thing].mask is not None for pair in self.pairs) else PEOPLE

    def masks(self) -> dict[str, np.ndarray]:
        """Label (H, W) uint8 of 0 and 255 by the name of its folder."""
        kind = self.kind()
        if kind not in (WHOLE, PEOPLE):
            return {}
        used = [self.things[t] for t in sorted({pair.thing for pair in self.pairs})]
        whole = {"person_object": _union(self.people + used)} if kind == WHOLE else {}
        return {"person": _union(self.people)} | whole

    def entry(self, height: int, width: int) -> dict[str, Any]:
        """As interactions.json has it. The nearest person of each thing has rank 0."""
        ranked: dict[int, list[Pair]] = defaultdict(list)
        for pair in sorted(self.pairs, key=lambda pair: (pair.gap, -pair.confidence)):
            ranked[pair.thing].append(pair)
        return {
            "wh": [width, height],
            "persons": [{"box": list(person.box)} for person in self.people],
            "objects": [{"cls": thing.category, "box": list(thing.box)} for thing in self.things],
            "pairs": [
                {"person": pair.person, "object": thing, "rank": rank, "confidence": round(pair.confidence, 3)}
                for thing, pairs in sorted(ranked.items())
                for rank, pair in enumerate(pairs)
            ],
        }


def import_coco(
    annotations: Path,
    images: Path,
    out: Path,
    things: Collection[str] = (),
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> dict[str, int]:
    """Imports every image of the file `annotations` from the folder `images`; counts of where they went.

    things: categories that people use; none means all but furniture. Left out are photos whose image is missing, broken
    or of another size than the file says, those with a crowd marked as one, and those where all people are tiny.
    Raises TrainerError where the file is not COCO's.
    """
    photos = _read(annotations, things)
    counts = dict.fromkeys((WHOLE, PEOPLE, BOXES, EMPTY, LEFT_OUT), 0)
    entries: dict[str, dict[str, Any]] = defaultdict(dict)
    for done, (image, marks) in enumerate(photos, 1):
        height, width = int(image["height"]), int(image["width"])
        name = PREFIX + "_".join(Path(image["file_name"]).with_suffix("").parts).removeprefix(PREFIX)
        scene = _scene(marks, height, width)
        jpeg = _jpeg(images / image["file_name"], height, width) if scene else None
        kind = scene.kind() if scene and jpeg else LEFT_OUT
        if scene and jpeg:
            write_whole(out / kind / ("" if kind == EMPTY else "images") / f"{name}.jpg", jpeg)
            for label, mask in scene.masks().items():
                write_whole(out / kind / label / f"{name}.png", encode(mask, ".png"))
            if kind != EMPTY:
                entries[kind][name] = scene.entry(height, width)
        counts[kind] += 1
        progress(done, len(photos), name)
    _record(out, entries)
    return counts


def pairs_of(people: list[Item], things: list[Item]) -> list[Pair]:
    """Who uses what: of masks those that touch, of boxes those that overlap or are near."""
    found = []
    for p, person in enumerate(people):
        away = None if person.mask is None else cv2.distanceTransform((~person.mask).astype(np.uint8), cv2.DIST_L2, 5)
        for t, thing in enumerate(things):
            gap, overlap = _between(person.box, thing.box)
            if gap > NEAR * person.box[3]:
                continue
            if away is not None and thing.mask is not None:
                gap = float(away[thing.mask].min()) / person.box[3]
                if gap <= TOUCH:
                    found.append(Pair(p, t, gap, 1.0))
            else:
                gap /= person.box[3]
                found.append(Pair(p, t, gap, 0.5 + 0.5 * overlap if overlap > 0 else 0.5 * (1 - gap / NEAR)))
    return found


def _between(person: Box, thing: Box) -> tuple[float, float]:
    """The gap between two boxes in pixels, 0 where they meet; and the share of the thing's that lies in the person's."""
    apart = [max(person[i], thing[i]) - min(person[i] + person[i + 2], thing[i] + thing[i + 2]) for i in (0, 1)]
    overlap = max(-apart[0], 0) * max(-apart[1], 0) / max(thing[2] * thing[3], 1e-6)
    return float(np.hypot(max(apart[0], 0), max(apart[1], 0))), min(overlap, 1.0)


def _union(items: list[Item]) -> np.ndarray:
    """(H, W) uint8, 255 where the mask of any is; at least one has a mask."""
    return np.logical_or.reduce([item.mask for item in items if item.mask is not None]).astype(np.uint8) * 255


def _scene(marks: list[dict], height: int, width: int) -> Scene | None:
    """None for a photo that is to be left out: of a crowd, or of people far away."""
    if any(mark.get("iscrowd") and mark["category"] == PERSON for mark in marks):
        return None
    items = [item for mark in marks if not mark.get("iscrowd") and (item := _item(mark, height, width))]
    people = sorted((i for i in items if i.category == PERSON), key=lambda i: -i.box[2] * i.box[3])  # largest first
    if people and people[0].box[2] * people[0].box[3] < SMALLEST * height * width:
        return None
    things = [item for item in items if item.category != PERSON]
    return Scene(people, things, pairs_of(people, things))


def _item(mark: dict, height: int, width: int) -> Item | None:
    """None where neither box nor mask holds a pixel."""
    mask = decode(mark.get("segmentation"), height, width)
    mask = mask if mask is not None and mask.any() else None
    x, y, w, h = mark.get("bbox") or (cv2.boundingRect(mask.astype(np.uint8)) if mask is not None else (0, 0, 0, 0))
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + w), min(height, y + h)
    return Item(mark["category"], (x0, y0, x1 - x0, y1 - y0), mask) if x1 > x0 and y1 > y0 else None


def _jpeg(path: Path, height: int, width: int) -> bytes | None:
    """The photo as a JPEG file of that size; None where there is none. Annotations may ignore how a camera was held."""
    data = path.read_bytes() if path.is_file() else b""
    for flags in (cv2.IMREAD_COLOR, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        if picture is not None and picture.shape[:2] == (height, width):
            as_it_is = flags == cv2.IMREAD_COLOR and data[:2] == b"\xff\xd8"
            return data if as_it_is else encode(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), ".jpg", quality=95)
    return None


def _read(path: Path, things: Collection[str]) -> list[tuple[dict, list[dict]]]:
    """Every image with its annotations of people and `things`, each with its category's name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        images: dict[Any, tuple[dict, list[dict]]] = {image["id"]: (image, []) for image in content["images"]}
        for image, _ in images.values():
            _ = Path(image["file_name"]), int(image["height"]), int(image["width"])
        if unknown := sorted(set(things) - set(names.values())):
            raise TrainerError(f"{path} has no category {unknown[0]!r}; it has {', '.join(sorted(names.values()))}")
        if PERSON not in names.values():
            raise TrainerError(f"{path} has no category {PERSON!r}; it has {', '.join(sorted(names.values()))}")
        wanted = {PERSON, *(things or set(names.values()) - set(FURNITURE))}
        for mark in content["annotations"]:
            if names[mark["category_id"]] in wanted:
                images[mark["image_id"]][1].append(mark | {"category": names[mark["category_id"]]})
    except OSError as error:
        raise TrainerError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise TrainerError(
            f"{path} is not as COCO has it ({type(error).__name__}: {error}); wanted images, annotations and categories"
        ) from error
    return list(images.values())


def _record(out: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Writes what is known of the photos into interactions.json and splits.json, beside what stands there."""
    splits = read_json(out / "splits.json")
    for kind, photos in entries.items():
        file = out / kind / "interactions.json"
        write_json(file, {"images": read_json(file).get("images", {}) | photos})
        parts = splits.setdefault(kind, {})
        for part in ("dev", "train"):
            new = {name for name in photos if is_held_out(name) == (part == "dev")}
            parts[part] = sorted(new.union(parts.get(part, ())))
    write_json(out / "splits.json", splits)
