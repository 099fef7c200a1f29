"""What is kept from training, to score on: the same for the same name on every machine."""

import hashlib
from pathlib import Path

PHOTOS, BACKGROUNDS = 20, 8  # of so many, one
_SUFFIXES = {".jpg", ".png"}


def is_held_out(name: str, one_in: int = PHOTOS) -> bool:
    """name: of a picture, without suffix."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % one_in == 0


def backgrounds(folder: Path, split: str) -> list[Path]:
    """The photos of "dev" or "train", in `folder` or its images/, sorted; all of them where there are too few to share."""
    home = folder / "images" if (folder / "images").is_dir() else folder
    found = sorted(path for path in home.iterdir() if path.suffix.lower() in _SUFFIXES and path.name[0] != ".")
    return [path for path in found if is_held_out(path.stem, BACKGROUNDS) == (split == "dev")] or found
