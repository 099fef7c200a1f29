"""What lies in an output folder, and so what is left to render."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from vmfm.trainer.render.scene import sample_name

CLIP = "clip.json"
REJECTED = ".rejected"  # folder of notes on scenes that gave no usable picture, so that they are not tried again


def is_done(out: Path, name: str, *, clip: bool = False) -> bool:
    return (out / name / CLIP if clip else out / f"{name}.json").exists()


def is_rejected(out: Path, name: str) -> bool:
    return (out / REJECTED / name).exists()


def reject(out: Path, name: str, why: str) -> None:
    (out / REJECTED).mkdir(parents=True, exist_ok=True)
    (out / REJECTED / name).write_text(why + "\n", encoding="utf-8")


def write_image(path: Path, image: np.ndarray, options: Sequence[int]) -> None:
    """image: as OpenCV wants it. options: of the encoder that the path's ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    cv2.imwrite(str(temporary), image, options)
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
    os.replace(temporary, path)


def begin_clip(folder: Path, settings: dict[str, Any]) -> None:
    """Makes a clip's folder. Frames of a clip that was broken off are kept where it was to become the same."""
    noted = folder / ".settings.json"
    if folder.exists() and not (noted.exists() and json.loads(noted.read_text(encoding="utf-8")) == settings):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(noted, settings)


def left(out: Path, seed: int, views: int, *, clip: bool = False) -> tuple[int, list[int]]:
    """(how many views of a seed are done, which are still to be rendered)."""
    done, to_do = 0, []
    for view in range(views):
        name = sample_name(seed, view)
        if is_done(out, name, clip=clip):
            done += 1
        elif not is_rejected(out, name):
            to_do.append(view)
    return done, to_do


def seeds(first: int) -> Iterator[int]:
    """Seeds in order; five digits name them."""
    yield from range(first, 100_000)
