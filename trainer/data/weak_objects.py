"""Pseudo-masks of held objects in photos that only have boxes: GrabCut from the box, kept where it is plausible.

A detector's box says where an object is, not which pixels. For boxes that pair with a person with high confidence, a
colour model of the box against its surroundings is fitted twice from different starts; what both agree on, fills a
plausible part of the box, reaches its sides and differs in colour from the background is taken for the object.
Precision over recall: a wrong pixel teaches the net to keep background, a missing one teaches nothing.

Reads DIR/images/NAME.jpg, DIR/interactions.json and, where there are such, DIR/person/NAME.png. Writes OUT/NAME.png,
(H, W) uint8: 0 unknown, 128 inside an accepted box but unsure, 255 confidently foreground; and OUT/index.json.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from vmfm.trainer.data.cutouts import WRITE_EVERY, read_json, write_json
from vmfm.trainer.data.interactions import FURNITURE
from vmfm.trainer.data.soften import SoftenError
from vmfm.trainer.files import write_whole
from vmfm.trainer.images import encode, read, read_mask

UNKNOWN, UNSURE, OBJECT = 0, 128, 255
# COCO's names of things that lie on tables near people as often as they are in use.
RESTING = (
    frozenset({"bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "chair", "laptop", "mouse", "keyboard"})
    | frozenset({"book", "vase", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza"})
    | frozenset({"donut", "cake"})
)
Box = tuple[int, int, int, int]  # x, y, w, h in pixels


@dataclass(frozen=True)
class WeakConfig:
    """When to believe GrabCut. Shares are of the box unless said otherwise."""

    min_confidence: float = 0.5  # of the best pair with this object
    min_confidence_resting: float = 0.65  # the same for the things below
    resting_classes: frozenset[str] = RESTING
    min_side_px: int = 14
    min_area: float = 0.0015  # of the photo: a smaller box has no inside once the outline is left out
    max_area: float = 0.4  # of the photo: a larger one leaves no background to learn from
    margin: float = 0.08  # the box is loose: background is certain only this far outside it
    surround: float = 0.4  # the background is learnt from a frame this wide round the box
    min_fill: float = 0.2
    max_fill: float = 0.9
    min_sides: int = 3  # of the box, touched by the object or by the person who covers it
    min_agreement: float = 0.8  # IoU of the two segmentations
    min_separation: float = 0.6  # Bhattacharyya distance of object's and background's colours, 0..1
    min_main_piece: float = 0.85  # of the segmentation's area in its largest piece
    max_gap_px: float = 6.0  # between the object and the person (or the person's box), in a photo of 512 px
    erode_px: int = 2
    skip_classes: tuple[str, ...] = FURNITURE
    iterations: int = 4


@dataclass(frozen=True)
class WeakObject:
    """region (H, W) bool: the object's pixels in the photo; why: None if accepted, else the first test it failed."""

    region: np.ndarray
    why: str | None
    fill: float = 0.0
    sides: int = 0
    agreement: float = 0.0
    separation: float = 0.0


def segment_box(
    image: np.ndarray, box: Box, person: np.ndarray | None, person_boxes: list[Box], config: WeakConfig = WeakConfig()
) -> WeakObject:
    """Segments the object in `box` of `image` (H, W, 3) uint8 RGB.

    person: (H, W) bool where known: the object is what remains of the box. Without it the boxes of the people keep them
    out of the background's colours, and hands within the box count as foreground, which they are.
    """
    height, width = image.shape[:2]
    nothing = np.zeros((height, width), bool)
    x, y, w, h = box
    if min(w, h) < config.min_side_px or not config.min_area <= w * h / (width * height) <= config.max_area:
        return WeakObject(nothing, "size")
    reach = int(config.surround * max(w, h)) + 8
    window = slice(max(y - reach, 0), min(y + h + reach, height)), slice(max(x - reach, 0), min(x + w + reach, width))
    crop = image[window].copy()
    inside = _box_mask((height, width), box)[window]
    loose = _box_mask((height, width), _grow(box, config.margin))[window]
    people = nothing.copy() if person is None else person.copy()
    if person is None:
        for other in person_boxes:
            people |= _box_mask((height, width), other)
    people = people[window]
    touchable = people.copy()
    covered = people & inside if person is not None else np.zeros_like(inside)
    if (inside & ~covered).sum() < 0.25 * w * h:
        return WeakObject(nothing, "covered by the person")
    background = ~loose & ~people
    if background.sum() < 0.3 * w * h:  # held in front of the body: the body is its background
        if person is not None:
            return WeakObject(nothing, "no background in sight")
        background, people = ~loose, np.zeros_like(people)
    # People are neither object nor background: paint them over with the background next to them.
    hidden = (people & ~inside) | covered
    crop[hidden] = _nearest(crop, background)[hidden]

    first = _grabcut(crop, inside, ~loose | covered, 0.0, config.iterations)
    second = _grabcut(crop, inside, ~inside | covered, 0.12, config.iterations)
    region = first & second & inside
    agreement = float(region.sum() / max(((first | second) & inside).sum(), 1))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    if count == 1:
        return WeakObject(nothing, "nothing found")
    main = int(stats[1:, cv2.CC_STAT_AREA].argmax()) + 1
    main_share = stats[main, cv2.CC_STAT_AREA] / region.sum()
    region = labels == main
    fill = float(region.sum() / (inside & ~covered).sum())
    sides = _sides_touched(region | covered, inside)
    separation = _separation(cv2.cvtColor(crop, cv2.COLOR_RGB2LAB), region, background)
    away = cv2.distanceTransform((~touchable).astype(np.uint8), cv2.DIST_L2, 5)
    gap = float(away[region].min()) * 512 / max(height, width) if touchable.any() else np.inf
    tests = {
        "apart from the person": gap <= config.max_gap_px,
        "fill": config.min_fill <= fill <= config.max_fill,
        "sides": sides >= config.min_sides,
        "agreement": agreement >= config.min_agreement,
        "pieces": main_share >= config.min_main_piece,
        "separation": separation >= config.min_separation,
    }
    why = next((name for name, passed in tests.items() if not passed), None)
    whole = nothing
    whole[window] = region
    return WeakObject(whole, why, round(fill, 3), sides, round(agreement, 3), round(separation, 3))


def _box_mask(shape: tuple[int, int], box: Box) -> np.ndarray:
    mask = np.zeros(shape, bool)
    x, y, w, h = box
    mask[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = True
    return mask


def _grow(box: Box, share: float) -> Box:
    x, y, w, h = box
    dx, dy = max(round(share * w), 2), max(round(share * h), 2)
    return x - dx, y - dy, w + 2 * dx, h + 2 * dy


def _nearest(image: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Each pixel's colour from the nearest pixel of `source` (H, W) bool."""
    _, labels = cv2.distanceTransformWithLabels(
        (~source).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((labels.max() + 1, 3), image.dtype)
    colours[labels[source]] = image[source]
    return colours[labels]


def _grabcut(image: np.ndarray, inside: np.ndarray, surely_not: np.ndarray, shy: float, iterations: int) -> np.ndarray:
    """GrabCut from the box; `shy` is the share of the box at its corners that starts as probable background."""
    labels = np.full(inside.shape, cv2.GC_PR_BGD, np.uint8)
    labels[inside] = cv2.GC_PR_FGD
    if shy > 0:
        rows, columns = np.nonzero(inside)
        across = (columns - columns.mean()) / (np.ptp(columns) / 2 + 1)
        down = (rows - rows.mean()) / (np.ptp(rows) / 2 + 1)
        outer = np.maximum(abs(across), abs(down)) > 1 - shy
        labels[rows[outer], columns[outer]] = cv2.GC_PR_BGD
    labels[surely_not] = cv2.GC_BGD
    if not (labels == cv2.GC_PR_FGD).any() or not (labels == cv2.GC_BGD).any():
        return np.zeros(inside.shape, bool)
    cv2.setRNGSeed(0)  # the colour models start from k-means: the same photo must give the same mask
    cv2.grabCut(image, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), iterations, cv2.GC_INIT_WITH_MASK)
    return labels == cv2.GC_PR_FGD


def _sides_touched(region: np.ndarray, inside: np.ndarray) -> int:
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    found_rows, found_columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    slack_y, slack_x = max(0.08 * len(rows), 2), max(0.08 * len(columns), 2)
    gaps_y = found_rows[0] - rows[0], rows[-1] - found_rows[-1]
    gaps_x = found_columns[0] - columns[0], columns[-1] - found_columns[-1]
    return sum(int(gap <= slack_y) for gap in gaps_y) + sum(int(gap <= slack_x) for gap in gaps_x)


def _separation(lab: np.ndarray, region: np.ndarray, background: np.ndarray) -> float:
    """Bhattacharyya distance of two regions' colour histograms, 0 alike to 1 apart."""
    histograms = []
    for part in (region, background):
        histogram = cv2.calcHist([lab], [0, 1, 2], part.astype(np.uint8), [8, 12, 12], [0, 256, 64, 192, 64, 192])
        histograms.append(cv2.GaussianBlur(histogram.reshape(8, 144), (3, 1), 0))
    return float(cv2.compareHist(histograms[0], histograms[1], cv2.HISTCMP_BHATTACHARYYA))


def weak_folder(
    folder: Path,
    out: Path,
    config: WeakConfig = WeakConfig(),
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> dict[str, int]:
    """Pseudo-masks of every photo of `folder` with a confident pair; counts of objects "accepted" and of each refusal.

    Resumable: photos that stand in OUT/index.json are done. Raises TrainerError where the folder is not what we read.
    """
    photos = read_json(folder / "interactions.json").get("images", {})
    if not photos:
        raise SoftenError(
            f"{folder} has no interactions.json with images: wanted boxes and pairs of people and objects"
        )
    out.mkdir(parents=True, exist_ok=True)
    done = read_json(out / "index.json").get("photos", {})
    names = sorted(photos)
    for number, name in enumerate(names, 1):
        if name not in done:
            done[name] = _weak_photo(folder, name, photos[name], out, config)
        if number % WRITE_EVERY == 0 or number == len(names):
            write_json(out / "index.json", {"config": _settings(config), "photos": done})
        progress(number, len(names), name)
    fates = [entry["why"] or "accepted" for entries in done.values() for entry in entries]
    return {fate: fates.count(fate) for fate in sorted(set(fates))}


def _settings(config: WeakConfig) -> dict[str, Any]:
    return asdict(config) | {"resting_classes": sorted(config.resting_classes)}


def _weak_photo(folder: Path, name: str, facts: dict[str, Any], out: Path, config: WeakConfig) -> list[dict[str, Any]]:
    """Writes one photo's pseudo-mask if any of its objects is accepted; the record of each object tried."""
    (out / f"{name}.png").unlink(missing_ok=True)  # of an earlier try
    confidence: dict[int, float] = {}
    for pair in facts["pairs"]:
        confidence[pair["object"]] = max(confidence.get(pair["object"], 0.0), pair["confidence"])
    wanted = [i for i, value in sorted(confidence.items()) if _believed(facts["objects"][i]["cls"], value, config)]
    if not wanted:
        return []
    image = read(folder / "images" / f"{name}.jpg")
    person_file = folder / "person" / f"{name}.png"
    person = read_mask(person_file) if person_file.exists() else None
    person_boxes = [_whole(entry["box"]) for entry in facts["persons"]]
    shape = (image.shape[0], image.shape[1])
    label, sure = np.zeros(shape, np.uint8), np.zeros(shape, bool)
    records = []
    for index in wanted:
        entry = facts["objects"][index]
        box = _whole(entry["box"])
        found = segment_box(image, box, person, person_boxes, config)
        if found.why is None:
            label[_box_mask(shape, _grow(box, config.margin))] = UNSURE
            kernel = np.ones((2 * config.erode_px + 1,) * 2, np.uint8)
            sure |= cv2.erode(found.region.astype(np.uint8), kernel, borderValue=1) > 0
        records.append(
            {"cls": entry["cls"], "box": box, "confidence": confidence[index], "why": found.why, "fill": found.fill}
            | {"sides": found.sides, "agreement": found.agreement, "separation": found.separation}
        )
    label[sure] = OBJECT
    if label.any():
        write_whole(out / f"{name}.png", encode(label, ".png"))
    return records


def _believed(cls: str, confidence: float, config: WeakConfig) -> bool:
    """Whether a pair of this confidence is taken for somebody using the object."""
    if cls in config.skip_classes:
        return False
    return confidence >= (config.min_confidence_resting if cls in config.resting_classes else config.min_confidence)


def _whole(box: list[float]) -> Box:
    x, y, w, h = (round(value) for value in box)
    return x, y, w, h
