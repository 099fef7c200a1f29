"""The pictures and clips that mattes are scored on, read from a data folder.

A data folder holds any of these; what is missing is left out:

    real/splits.json                                    {"<set>": {"dev": [names], "train": [names]}}
    real/person_object_labelled/images/NAME.jpg         with person/NAME.png and person_object/NAME.png, binary
    real/person_labelled/images/NAME.jpg                with person/NAME.png, binary: what is held is not in it
    vouched/<folder of real>/labels/NAME.png            another program's mattes of those photos, where they can be trusted
    rendered/train/NNNNNV_fg.webp and _person.png       exact RGBA and person coverage; NNNNN is the scene's seed
    real/backgrounds/*.jpg                              what the rendered people are laid over: those that are held out

Renders are scored twice: before a photo as it is kept, which enlarges most, and before the same made small, as sharp as a camera's
picture is at the nets' size ("sharp"). What takes sharpness for foreground leaks there.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer.data import held_out
from vmfm.trainer.data.folders import UNKNOWN
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.images import read, read_grey, read_mask

SPLITS = ("dev", "train")
RENDERS = ("rendered", "sharp")
SHARP_SCALE = 0.5  # of a background photo, before it counts as sharp: JPEG artefacts and soft lenses are gone by then
VIDEO_SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi"}


@dataclass(frozen=True)
class Picture:
    """A frame and what is known of its matte, all (H, W)."""

    frame: np.ndarray  # (H, W, 3) uint8 RGB
    alpha: np.ndarray | None = None  # uint8, the exact soft alpha of person and objects
    person_object: np.ndarray | None = None  # bool, the person and what he or she interacts with
    person: np.ndarray | None = None  # bool, the person alone
    known: np.ndarray | None = None  # bool, where this may be trusted; None is everywhere

    @property
    def truth(self) -> np.ndarray:
        """The best that is known of the matte, uint8 (H, W)."""
        if self.alpha is not None:
            return self.alpha
        mask = self.person_object if self.person_object is not None else self.person
        assert mask is not None
        return mask.astype(np.uint8) * 255


@dataclass(frozen=True)
class Case:
    """One picture to score. Loading is put off until `load` is called."""

    dataset: str  # "person_object/coco", "person_object/ccp", "person", "vouched/coco", "vouched/ccp" or one of RENDERS
    name: str
    folder: Path  # of the set, where more is said of the picture
    load: Callable[[], Picture]


@dataclass(frozen=True)
class Clip:
    """A video and a second one whose grey value is its true alpha."""

    name: str
    video: Path
    alpha: Path

    def frames(self) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 RGB."""
        return (cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in _video_frames(self.video))

    def truths(self) -> Iterator[np.ndarray]:
        """True alphas (H, W) uint8, one per frame."""
        return (frame[..., 1] for frame in _video_frames(self.alpha))


def list_cases(data: Path, split: str = "dev") -> list[Case]:
    """Every labelled picture of one split under ``data``, in a fixed order. Raises TrainerError if there is none."""
    if split not in SPLITS:
        raise TrainerError(f"no split is called {split!r}; there are {' and '.join(SPLITS)}")
    splits = _splits(data / "real")
    cases = [
        *_real_cases(data / "real", splits, split),
        *_vouched_cases(data, splits, split),
        *_rendered_cases(data, split),
    ]
    if not cases:
        raise TrainerError(
            f"{data} holds no labelled picture of the {split} split; wanted real/splits.json beside "
            "real/person_object_labelled or real/person_labelled, or rendered/train"
        )
    return cases


def list_clips(folder: Path) -> list[Clip]:
    """Every ``NAME.mp4`` (or other video) in a folder that has its true alpha beside it as ``NAME_alpha.mkv``."""
    if not folder.is_dir():
        raise TrainerError(f"{folder} is no folder; give one that holds NAME.mp4 and NAME_alpha.mkv")
    videos = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in VIDEO_SUFFIXES}
    clips = [Clip(stem, path, videos[f"{stem}_alpha"]) for stem, path in videos.items() if f"{stem}_alpha" in videos]
    if not clips:
        raise TrainerError(f"{folder} holds no video NAME.mp4 with its true alpha NAME_alpha.mkv beside it")
    return clips


def _splits(real: Path) -> dict[str, dict[str, list[str]]]:
    file = real / "splits.json"
    try:
        return json.loads(file.read_text()) if file.exists() else {}
    except json.JSONDecodeError as error:
        raise TrainerError(f"{file} is not JSON: {error}") from error


def _real_cases(real: Path, splits: dict[str, dict[str, list[str]]], split: str) -> Iterator[Case]:
    for kind, masks in (("person_object", ("person_object", "person")), ("person", ("person",))):
        folder = real / f"{kind}_labelled"
        if not folder.is_dir():
            continue
        for name in splits.get(folder.name, {}).get(split, ()):
            dataset = f"{kind}/{_origin(name)}" if kind == "person_object" else kind
            yield Case(dataset, name, folder, partial(_load_real, folder, name, masks))


def _load_real(folder: Path, name: str, masks: tuple[str, ...]) -> Picture:
    frame = read(folder / "images" / f"{name}.jpg")
    truths = {mask: read_mask(folder / mask / f"{name}.png") for mask in masks}
    for mask, truth in truths.items():
        if truth.shape != frame.shape[:2]:
            raise TrainerError(
                f"{folder}: the {mask} mask of {name} is {truth.shape}, its image {frame.shape[:2]}; they must match"
            )
    return Picture(frame, **truths)


def _origin(name: str) -> str:
    """coco_000000018193, ccp_0058: pictures and labels of different make."""
    return name.partition("_")[0]


def _vouched_cases(data: Path, splits: dict[str, dict[str, list[str]]], split: str) -> Iterator[Case]:
    names = {name for folder in splits.values() for name in folder.get(split, ())}
    for label in sorted(data.glob("vouched/*/labels/*.png")):
        folder = data / "real" / label.parents[1].name
        if label.stem in names:
            yield Case(f"vouched/{_origin(label.stem)}", label.stem, folder, partial(_load_vouched, folder, label))


def _load_vouched(folder: Path, label: Path) -> Picture:
    values = read_grey(label)
    frame = read(folder / "images" / f"{label.stem}.jpg")
    return Picture(frame, person_object=values > UNKNOWN, known=values != UNKNOWN)


def _rendered_cases(data: Path, split: str) -> Iterator[Case]:
    files = sorted((data / "rendered" / "train").glob("*_fg.webp"))
    folder = data / "real" / "backgrounds"
    backgrounds = held_out.backgrounds(folder, split) if folder.is_dir() else []
    if files and not backgrounds:
        raise TrainerError(f"{data}/rendered needs photos in {folder} to lay its people over")
    scenes = {file.name.removesuffix("_fg.webp"): file for file in files}
    for dataset in RENDERS:
        for name, file in scenes.items():
            if held_out.is_scene_of(split, name):
                load = partial(_load_rendered, file, _pick(name, backgrounds), dataset == "sharp")
                yield Case(dataset, name, file.parent, load)


def _pick(name: str, backgrounds: list[Path]) -> Path:
    """The same background for the same name on every machine."""
    return backgrounds[int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % len(backgrounds)]


def _load_rendered(file: Path, background: Path, sharp: bool) -> Picture:
    rgba = read(file, cv2.IMREAD_UNCHANGED)
    if rgba.ndim != 3 or rgba.shape[2] != 4:
        raise TrainerError(f"{file} has no alpha channel; a rendered foreground is RGBA")
    foreground, alpha = rgba[..., :3], rgba[..., 3]
    coverage = read_grey(file.with_name(file.name.replace("_fg.webp", "_person.png")))
    opacity = alpha[..., None].astype(np.float32) / 255
    height, width = alpha.shape
    behind = (made_small if sharp else cover)(read(background), height, width)
    frame = foreground * opacity + behind * (1 - opacity)
    return Picture(np.round(frame).astype(np.uint8), alpha, alpha >= 128, coverage >= 128)


def cover(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of ``image``, scaled so that it just covers (height, width)."""
    scale = max(height / image.shape[0], width / image.shape[1])
    scaled_width, scaled_height = max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(image, (scaled_width, scaled_height), interpolation=interpolation)
    top, left = (scaled_height - height) // 2, (scaled_width - width) // 2
    return scaled[top : top + height, left : left + width]


def made_small(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of ``image`` at SHARP_SCALE, going on as its mirror images where it is smaller than (height, width)."""
    small = cv2.resize(image, None, fx=SHARP_SCALE, fy=SHARP_SCALE, interpolation=cv2.INTER_AREA)
    missing = [max(0, want - got) for want, got in zip((height, width), small.shape[:2], strict=True)]
    padded = np.pad(small, [(some // 2, some - some // 2) for some in missing] + [(0, 0)], mode="symmetric")
    top, left = (padded.shape[0] - height) // 2, (padded.shape[1] - width) // 2
    return padded[top : top + height, left : left + width]


def _video_frames(path: Path) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8 BGR. OpenCV decodes FFV1 grey exactly, and needs no further library."""
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise TrainerError(f"cannot read {path}: it is no video")
        while True:
            more, frame = capture.read()
            if not more:
                return
            yield frame
    finally:
        capture.release()
