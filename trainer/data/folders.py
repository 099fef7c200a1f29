"""Reads the folders of training data into samples; one reader per kind of folder, one sample per picture."""

import json
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer.data import held_out
from vmfm.trainer.data.interactions import Box, holder_in, points_of, points_of_render, xywh
from vmfm.trainer.data.samples import Grip, Sample
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.images import read, read_grey

UNKNOWN = 128  # in a teacher's label


def border(mask: np.ndarray, px: int) -> np.ndarray:
    """(H, W) 255 within `px` pixels of the mask's outline: where a drawn mask is not to be trusted."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    return cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, kernel, borderType=cv2.BORDER_REPLICATE)


def grey_if_there(folder: Path | None, name: str) -> np.ndarray | None:
    """FOLDER/NAME.png, uint8 (H, W), or None where there is no such folder or file."""
    path = folder / f"{name}.png" if folder else None
    return read_grey(path) if path and path.exists() else None


def _before_nothing(depth: np.ndarray, there: np.ndarray) -> np.ndarray:
    """A cut-out's depth (H, W) in 0..255 above a gap: what is behind it is far, and only that is 0."""
    return np.where(there, 96 + depth * (159 / 255), 0).astype(np.uint8)


def rendered(folder: Path, name: str, _: dict) -> Sample:
    """`NAME_fg.webp` (RGBA), `_person.png`, `_depth.png`, `.json`: our own renders, exact."""
    facts = json.loads((folder / f"{name}.json").read_text())
    rgba = read(folder / f"{name}_fg.webp", cv2.IMREAD_UNCHANGED)
    depth = read_grey(folder / f"{name}_depth.png").astype(np.float32)
    return Sample(
        name,
        rgb=np.ascontiguousarray(rgba[..., :3]),
        alpha=np.ascontiguousarray(rgba[..., 3]),
        person=read_grey(folder / f"{name}_person.png"),
        depth=_before_nothing(depth, depth > 0),
        points=points_of_render(facts),
        cutout=True,
    )


def cutouts(folder: Path, name: str, entry: dict) -> Sample:
    """`NAME.webp` (RGBA): people cut out of photos with a soft matte; labels, if any, as in the photo's own folder."""
    rgba = read(folder / f"{name}.webp", cv2.IMREAD_UNCHANGED)
    labels = entry["_labels"]
    alpha = np.ascontiguousarray(rgba[..., 3])
    person, both, depth = (grey_if_there(labels / kind, name) for kind in ("person", "person_object", "depth"))
    unknown = None
    if person is not None:
        unknown = border(person, 5)  # a soft outline is wider than a mask's
        if both is not None:
            unknown = np.maximum(unknown, _hats(entry, person, both))
    return Sample(
        name,
        rgb=np.ascontiguousarray(rgba[..., :3]),
        alpha=alpha,
        person=None if person is None else np.minimum(person, alpha),
        person_unknown=unknown,
        depth=None if depth is None else _before_nothing(cv2.resize(depth, alpha.shape[::-1]), alpha > 127),
        points=points_of(entry, weigh=both is None),
        sure_points=both is not None,
        cutout=True,
    )


def photos(folder: Path, name: str, entry: dict) -> Sample:
    """`images/`, `person/`, `person_object/`: photos whose mask holds the person and the things in use."""
    person, both = read_grey(folder / "person" / f"{name}.png"), read_grey(folder / "person_object" / f"{name}.png")
    px = 5 if name.startswith("coco") else 2
    return Sample(
        name,
        rgb=read(folder / "images" / f"{name}.jpg"),
        alpha=both,
        alpha_unknown=border(both, px),
        person=person,
        person_unknown=np.maximum(border(person, px), _hats(entry, person, both)),
        depth=grey_if_there(folder / "depth", name),
        points=points_of(entry, weigh=False),
    )


def people(folder: Path, name: str, entry: dict) -> Sample:
    """`images/`, `person/`: masks of the person alone. What surrounds the person may be held, so nothing near counts
    as background, nor any box in which a detector saw a thing or another person."""
    person = read_grey(folder / "person" / f"{name}.png")
    reach = 0.12 * cv2.boundingRect(person)[3] + 8
    sure = cv2.erode(person, np.ones((9, 9), np.uint8), borderValue=255) > 0
    unknown = np.where(cv2.distanceTransform(255 - person, cv2.DIST_L2, 3) < reach, 255, 0).astype(np.uint8)
    for thing in entry["objects"] + entry["persons"][1:]:
        x, y, w, h = thing["box"]
        x0, y0 = max(0, int(x - 0.1 * w)), max(0, int(y - 0.1 * h))
        unknown[y0 : int(y + 1.1 * h) + 1, x0 : int(x + 1.1 * w) + 1] = 255
    unknown[sure] = 0
    alpha, unknown = _hinted(person, unknown, name, entry, sure)
    return Sample(
        name,
        rgb=read(folder / "images" / f"{name}.jpg"),
        alpha=alpha,
        alpha_unknown=unknown,
        person=person,
        person_unknown=border(person, 5),
        depth=grey_if_there(folder / "depth", name),
        points=points_of(entry, weigh=True),
        sure_points=False,
    )


def unlabelled(folder: Path, name: str, entry: dict) -> Sample:
    """`images/` with pseudo-labels of depth and interaction, and what `hints` know of the matte."""
    rgb = read(folder / "images" / f"{name}.jpg")
    nothing = np.zeros(rgb.shape[:2], np.uint8)
    alpha, unknown = _hinted(nothing, nothing + 255, name, entry)
    return Sample(
        name,
        rgb=rgb,
        alpha=alpha,
        alpha_unknown=unknown,
        depth=grey_if_there(folder / "depth", name),
        points=points_of(entry, weigh=True),
        sure_points=False,
    )


def backgrounds(folder: Path, name: str, entry: dict) -> Sample:
    """Pictures without people: to composite over, and to learn that nobody is there."""
    image = read(entry["_file"])
    nothing = np.zeros(image.shape[:2], np.uint8)
    return Sample(name, rgb=image, alpha=nothing, person=nothing)


def things(folder: Path, name: str, entry: dict) -> Sample:
    """Things alone, to be pasted into composed pictures; they are no pictures of their own. From one of three folders:

    `NAME.webp` (RGBA) and `index.json`, as `vmfm data soften` cuts held things out of photos; `images/` and `alpha/`, of
    things that nobody holds; or `rendered` pictures, of which what the person holds is taken.
    """
    if (folder / "alpha").is_dir():
        rgb = read(folder / "images" / f"{name}.jpg")
        return Sample(name, rgb=rgb, alpha=read_grey(folder / "alpha" / f"{name}.png"), cutout=True)
    if (folder / f"{name}.webp").exists():
        rgba = read(folder / f"{name}.webp", cv2.IMREAD_UNCHANGED)
        return _thing(name, rgba, rgba[..., 3], entry.get("grip"))
    rgba = read(folder / f"{name}_fg.webp", cv2.IMREAD_UNCHANGED)
    coverage = cv2.subtract(rgba[..., 3], read_grey(folder / f"{name}_person.png"))
    x, y, w, h = entry["box"]
    window = slice(y, y + h), slice(x, x + w)
    return _thing(name, rgba[window], coverage[window], _grip(entry["holder"], entry["box"], rgba.shape[0]))


def _thing(name: str, rgba: np.ndarray, alpha: np.ndarray, grip: Grip | None) -> Sample:
    rgb, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(alpha)
    return Sample(name, rgb=rgb, alpha=alpha, cutout=True, grip=grip)


def _grip(holder: Box, box: Box, picture_height: float) -> Grip:
    (x, y, w, h), (tx, ty, tw, th) = holder, box
    return Grip((tx + tw / 2 - x) / w, (ty + th / 2 - y) / h, th / h, whole=y + h < 0.99 * picture_height)


Reader = Callable[[Path, str, dict], Sample]
READERS: dict[str, Reader] = {
    reader.__name__: reader for reader in (rendered, cutouts, photos, people, unlabelled, backgrounds, things)
}


def samples(
    kind: str,
    folder: Path,
    labels: Path | None = None,
    *,
    taught: Path | None = None,
    objects: Path | None = None,
    vouched: Path | None = None,
    exclude: Collection[str] = (),
    showing: Collection[str] = (),
    split: str = "train",
    workers: int = 8,
) -> list[Sample]:
    """All samples of one folder, in a fixed order.

    kind: a name in READERS. labels: where `cutouts` and `things` find what is known of the photos they were cut from.
    taught, objects, vouched: folders of hints for photos whose matte is not labelled, as `vmfm data teach`, `objects` and
    `vouch` write them.
    exclude: names to leave out. showing: only photos with one of these classes among their objects. split: "train" or "dev".
    Raises TrainerError on an unknown kind, a missing folder or an unreadable file.
    """
    if kind not in READERS:
        raise TrainerError(f"unknown kind of data {kind!r}; wanted one of {', '.join(READERS)}")
    if not folder.is_dir():
        raise TrainerError(f"there is no data folder {folder}; name the data with --data DIR")
    hints = {"_labels": labels or folder, "_taught": taught, "_objects": objects, "_vouched": vouched}
    entries = {
        name: entry | hints
        for name, entry in _entries(kind, folder, labels, split)
        if name not in exclude and (not showing or _shows(entry, showing))
    }
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(partial(_load, READERS[kind], folder), entries.keys(), entries.values()))


def _shows(entry: dict, classes: Collection[str]) -> bool:
    return any(thing["cls"] in classes for thing in entry.get("objects", ()))


def _load(reader: Reader, folder: Path, name: str, entry: dict) -> Sample:
    return reader(folder, name, entry)


def _entries(kind: str, folder: Path, labels: Path | None, split: str) -> Iterator[tuple[str, dict]]:
    """(name, entry of interactions.json) of every sample in this split."""
    if kind == "rendered":
        yield from ((name, {}) for name in _scenes(folder, split))
        return
    if kind == "things":
        yield from _things(folder, labels, split)
        return
    if kind == "backgrounds":
        yield from ((path.stem, {"_file": path}) for path in held_out.backgrounds(folder, split))
        return
    home = labels or folder
    known = _photos(home)
    split_file = home.parent / "splits.json"
    dev = {
        name
        for group in (json.loads(split_file.read_text()).values() if split_file.exists() else ())
        for name in group.get("dev", ())
    }
    suffix, where = ("webp", folder) if kind == "cutouts" else ("jpg", folder / "images")
    for path in sorted(where.glob(f"*.{suffix}")):
        if (path.stem in dev) == (split == "dev") and path.stem in known:
            yield path.stem, known[path.stem]


def _photos(folder: Path) -> dict[str, dict]:
    """Every photo's entry of interactions.json."""
    path = folder / "interactions.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))["images"]
    except (OSError, ValueError, KeyError) as error:
        raise TrainerError(f"{path} is missing or not as documented; run `vmfm data check {folder}`") from error


def _scenes(folder: Path, split: str) -> Iterator[str]:
    for path in sorted(folder.glob("*.json")):
        if held_out.is_scene_of(split, path.stem):
            yield path.stem


def _things(folder: Path, labels: Path | None, split: str) -> Iterator[tuple[str, dict]]:
    """(name, {"grip"} or {"holder", "box"}) of every thing in this split, as far as the folder tells."""
    if (folder / "alpha").is_dir():
        if split == "train":
            yield from ((path.stem, {}) for path in sorted((folder / "alpha").glob("[!.]*.png")))
    elif (folder / "index.json").exists():
        photos = _photos(labels) if labels else {}
        for name, piece in sorted(json.loads((folder / "index.json").read_text())["objects"].items()):
            if piece["split"] == split:
                photo = photos.get(piece["photo"])
                grip = _grip(photo["persons"][0]["box"], piece["box"], photo["wh"][1]) if photo else None
                yield name, {"grip": grip}
    else:
        for name in _scenes(folder, split):
            facts = json.loads((folder / f"{name}.json").read_text())
            if len(facts["objects"]) == 1 and not facts["seated"]:  # a seat lies behind the person, not before
                thing = facts["objects"][0]
                yield name, {"holder": xywh(holder_in(facts, thing)), "box": xywh(thing["bbox"])}


def _hinted(
    alpha: np.ndarray, unknown: np.ndarray, name: str, entry: dict, sure: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """alpha and alpha_unknown with what hints say of a matte that is not labelled.

    A label that is vouched for stands instead of what was assumed, but for what is `sure` (bool); where there is none a
    teacher's fills what is unknown. Then the objects.
    """
    alpha, unknown = alpha.copy(), unknown.copy()
    if (label := grey_if_there(entry["_vouched"], name)) is not None:
        free = np.ones(alpha.shape, bool) if sure is None else ~sure
        # what nobody vouches for is nobody's place to look at
        alpha[free] = np.where(label == UNKNOWN, 0, label)[free]
        unknown[free] = np.where(label == UNKNOWN, 255, 0)[free]
    elif (label := grey_if_there(entry["_taught"], name)) is not None:
        learned = (unknown > 0) & (label != UNKNOWN)
        alpha[learned], unknown[learned] = label[learned], 0
    if (label := grey_if_there(entry["_objects"], name)) is not None:
        unknown[(label == 128) & (alpha < 128)] = 255  # inside an accepted box, but unsure
        alpha[label == 255], unknown[label == 255] = 255, 0
    return alpha, unknown


def _hats(entry: dict, person: np.ndarray, both: np.ndarray) -> np.ndarray:
    """255 where a hat is: one source calls it object, the other person; so nobody learns from it."""
    unknown = np.zeros_like(person)
    for thing in entry["objects"]:
        if thing["cls"] == "hat":
            x, y, w, h = (int(v) for v in thing["box"])
            unknown[max(0, y - 1) : y + h + 2, max(0, x - 1) : x + w + 2] = 255
    return np.where((both > 0) & (person == 0), unknown, 0).astype(np.uint8)
