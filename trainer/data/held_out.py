"""What is kept from training, to score on: the same for the same name on every machine."""

import hashlib
from pathlib import Path

from vmfm.trainer.render.scene import split_of

PHOTOS, BACKGROUNDS = 20, 8  # of so many, one
_SUFFIXES = {".jpg", ".png"}


def is_held_out(name: str, one_in: int = PHOTOS) -> bool:
    """name: of a picture, without suffix."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % one_in == 0


def is_scene_of(split: str, name: str) -> bool:
    """Whether a render is in "dev" or "train". name: NNNNNV, the scene's seed and a digit for the view; others are in none."""
    return name.isdigit() and split_of(int(name) // 10) == split


def backgrounds(folder: Path, split: str) -> list[Path]:
    """The photos of "dev" or "train", in `folder` or its images/, sorted; all of them where there are too few to share."""
    home = folder / "images" if (folder / "images").is_dir() else folder
    found = sorted(path for path in home.iterdir() if path.suffix.lower() in _SUFFIXES and path.name[0] != ".")
    return [path for path in found if is_held_out(path.stem, BACKGROUNDS) == (split == "dev")] or found
