"""Looks a data folder over before it is trained on, and tells everything that is wrong with it.

Every folder below the one given is taken for what it holds; README.md beside says what that may be.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer.errors import TrainerError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
MASKS = ("person", "person_object", "alpha")  # labels that must match their picture pixel by pixel, and show something
PERSON_OUTSIDE_SHARE = 0.01  # of the person that may stick out of person_object


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and with which file."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@dataclass(frozen=True)
class Checked:
    """What was looked at: how many images were opened, and what is wrong, in the order of the paths."""

    images: int
    findings: tuple[Finding, ...]


class _Unreadable(Exception):
    """An image that cannot be used; the message says why."""


def check(folder: Path, progress: Callable[[int], None] = lambda images: None) -> Checked:
    """Look over everything below ``folder``; ``progress`` is told how many images were opened so far.

    Raises TrainerError if the folder is missing or has no image in it.
    """
    if not folder.is_dir():
        raise TrainerError(f"there is no folder {folder}")
    findings: list[Finding] = []
    opened = 0

    def load(path: Path) -> np.ndarray:
        nonlocal opened
        opened += 1
        progress(opened)
        return _load(path)

    for home in sorted([folder, *(path for path in folder.rglob("*") if path.is_dir())]):
        if (home / "images").is_dir():
            findings += _labelled(home, load)
        elif any(home.glob("*_fg.webp")):
            findings += _rendered(home, load)
        elif not (home.parent / "images").is_dir():  # labels are looked at with their pictures
            findings += _plain(home, load)
        if (home / "splits.json").exists():
            findings += _splits(home)
    if not opened:
        raise TrainerError(f"{folder} holds no image; wanted images/NAME.jpg with labels beside, or NAME_fg.webp")
    return Checked(opened, tuple(sorted(findings, key=lambda finding: (str(finding.path), finding.problem))))


Load = Callable[[Path], np.ndarray]


def _labelled(home: Path, load: Load) -> Iterator[Finding]:
    pictures, twice = _by_stem(home / "images")
    yield from twice
    labels: dict[str, dict[str, Path]] = {}
    for folder in sorted(path for path in home.iterdir() if path.is_dir() and path.name != "images"):
        files, twice = _by_stem(folder)
        if not files:
            continue
        labels[folder.name] = files
        yield from twice
        for stem in sorted(files.keys() - pictures.keys()):
            yield Finding(files[stem], f"has no picture images/{stem}.*")
        for stem in sorted(pictures.keys() - files.keys()):
            yield Finding(pictures[stem], f"has no {folder.name}/{stem}.*")
    sizes: dict[str, tuple[int, int]] = {}
    for stem, path in pictures.items():
        try:
            sizes[stem] = load(path).shape[:2]
        except _Unreadable as error:
            yield Finding(path, str(error))
        if path.suffix != ".jpg":
            yield Finding(path, "is not read: pictures beside labels are NAME.jpg")
        present = {kind: files[stem] for kind, files in labels.items() if stem in files}
        yield from _labels_of(sizes.get(stem), present, load)
    if (home / "interactions.json").exists():
        yield from _interactions(home / "interactions.json", pictures, sizes)
    elif "person" in labels:
        yield Finding(home, "has no interactions.json, so nothing in it is trained on")


def _labels_of(size: tuple[int, int] | None, files: dict[str, Path], load: Load) -> Iterator[Finding]:
    """The labels of one picture, by kind; ``size`` is None where the picture itself cannot be read."""
    masks: dict[str, np.ndarray] = {}
    for kind, path in files.items():
        try:
            label = load(path)
        except _Unreadable as error:
            yield Finding(path, str(error))
            continue
        if label.ndim != 2 and not (label[..., :1] == label[..., :3]).all():
            yield Finding(path, f"is a colour image; a {kind} label is grey")
            continue
        label = label if label.ndim == 2 else label[..., 0]
        if size is not None and not _size_fits(kind, label.shape, size):
            yield Finding(path, f"is {_size(label.shape)}, its picture {_size(size)}")
        elif kind in MASKS and not label.any():
            yield Finding(path, "is empty: nothing is marked")
        elif kind in MASKS:
            masks[kind] = label >= 128
    if {"person", "person_object"} <= masks.keys() and masks["person"].shape == masks["person_object"].shape:
        outside = np.count_nonzero(masks["person"] & ~masks["person_object"])
        if outside > PERSON_OUTSIDE_SHARE * np.count_nonzero(masks["person"]):
            yield Finding(files["person"], f"has {outside} pixels of person that are not in person_object")


def _size_fits(kind: str, label: tuple[int, ...], picture: tuple[int, int]) -> bool:
    if kind in MASKS:
        return label == picture
    # depth and the like may be stored smaller, in the same shape up to a rounded pixel
    longer = 0 if picture[0] > picture[1] else 1
    factor = label[longer] / picture[longer]
    return all(abs(ours - theirs * factor) <= 1 for ours, theirs in zip(label, picture, strict=True))


def _interactions(path: Path, pictures: dict[str, Path], sizes: dict[str, tuple[int, int]]) -> Iterator[Finding]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["images"]
        for stem in sorted(pictures.keys() - entries.keys()):
            yield Finding(path, f"has no entry for {stem}")
        for stem, entry in entries.items():
            if stem not in pictures:
                yield Finding(path, f"names {stem}, which is not among the pictures")
            elif stem in sizes:
                yield from (Finding(path, f"{stem}: {problem}") for problem in _entry_problems(entry, sizes[stem]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield Finding(path, f"is not as documented ({type(error).__name__}: {error})")


def _entry_problems(entry: dict, size: tuple[int, int]) -> Iterator[str]:
    height, width = size
    if tuple(entry["wh"]) != (width, height):
        yield f"wh is {entry['wh']}, the picture {width}x{height}"
    for box in (thing["box"] for thing in entry["persons"] + entry["objects"]):
        x, y, w, h = box
        if w <= 0 or h <= 0 or x < -1 or y < -1 or x + w > width + 1 or y + h > height + 1:
            yield f"box {box} is empty or leaves the picture of {width}x{height}"
    for pair in entry["pairs"]:
        if not (0 <= pair["person"] < len(entry["persons"]) and 0 <= pair["object"] < len(entry["objects"])):
            yield f"a pair joins person {pair['person']} and object {pair['object']}, which are not both there"


def _splits(home: Path) -> Iterator[Finding]:
    path = home / "splits.json"
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
        for folder, parts in splits.items():
            if both := set(parts.get("dev", ())) & set(parts.get("train", ())):
                yield Finding(path, f"{folder}: {min(both)} is in dev and in train ({len(both)} such)")
            images = home / folder / "images"
            if images.is_dir():
                there, _ = _by_stem(images)
                for stem in sorted({stem for part in parts.values() for stem in part} - there.keys()):
                    yield Finding(path, f"{folder}: there is no picture {stem}")
    except (ValueError, TypeError, AttributeError) as error:
        yield Finding(path, f"is not as documented ({type(error).__name__}: {error})")


def _rendered(home: Path, load: Load) -> Iterator[Finding]:
    names = sorted(path.name.removesuffix("_fg.webp") for path in home.glob("*_fg.webp"))
    for suffix in ("_person.png", "_depth.png", ".json"):
        for path in sorted(home.glob(f"*{suffix}")):
            if path.name.removesuffix(suffix) not in names:
                yield Finding(path, f"has no {path.name.removesuffix(suffix)}_fg.webp")
    for name in names:
        yield from _rendered_sample(home, name, load)
    if (home / "index.csv").exists():
        with (home / "index.csv").open(newline="", encoding="utf-8") as file:
            listed = {value for row in csv.reader(file) for value in row[:1]}
        if missing := [name for name in names if name not in listed]:
            yield Finding(home / "index.csv", f"does not list {missing[0]} ({len(missing)} such)")


def _rendered_sample(home: Path, name: str, load: Load) -> Iterator[Finding]:
    foreground = home / f"{name}_fg.webp"
    size: tuple[int, int] | None = None
    try:
        rgba = load(foreground)
        size = rgba.shape[:2]
        if rgba.ndim != 3 or rgba.shape[2] != 4:
            yield Finding(foreground, "has no alpha channel")
        elif not rgba[..., 3].any():
            yield Finding(foreground, "is empty: its alpha is 0 everywhere")
    except _Unreadable as error:
        yield Finding(foreground, str(error))
    labels = {kind: home / f"{name}_{kind}.png" for kind in ("person", "depth")}
    for path in [*labels.values(), home / f"{name}.json"]:
        if not path.exists():
            yield Finding(foreground, f"has no {path.name}")
    yield from _labels_of(size, {kind: path for kind, path in labels.items() if path.exists()}, load)
    facts = home / f"{name}.json"
    if facts.exists():
        try:
            json.loads(facts.read_text(encoding="utf-8"))
        except ValueError as error:
            yield Finding(facts, f"is not JSON ({error})")


def _plain(home: Path, load: Load) -> Iterator[Finding]:
    for path in sorted(home.iterdir()):
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
            try:
                load(path)
            except _Unreadable as error:
                yield Finding(path, str(error))


def _by_stem(folder: Path) -> tuple[dict[str, Path], list[Finding]]:
    """The images of a folder by stem, and a finding for each that shares its stem with another."""
    files: dict[str, Path] = {}
    twice = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
            if path.stem in files:
                twice.append(Finding(path, f"has the same name as {files[path.stem].name}"))
            else:
                files[path.stem] = path
    return files, twice


def _load(path: Path) -> np.ndarray:
    data = path.read_bytes()
    if not data:
        raise _Unreadable("is an empty file")
    # decoders fill what is missing of a cut-off file with grey, and say nothing
    if not _is_whole(data):
        raise _Unreadable(f"is cut off or no image ({len(data)} bytes)")
    # a JPEG upright, as it is trained on; of others every channel counts
    upright = cv2.IMREAD_ANYCOLOR if data[:2] == b"\xff\xd8" else cv2.IMREAD_UNCHANGED
    image = cv2.imdecode(np.frombuffer(data, np.uint8), upright)
    if image is None:
        raise _Unreadable("is not a readable image")
    return image


def _is_whole(data: bytes) -> bool:
    """Whether a JPEG, PNG or WebP file has its end."""
    if data[:2] == b"\xff\xd8":
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")  # an end after the last start of a scan
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND\xaeB\x60\x82" in data
    if data[:4] == b"RIFF":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return False


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
