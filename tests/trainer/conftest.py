"""A small data folder: eight of our own renders (tests/data), and pictures made of them and of gradients."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

RENDERED = Path(__file__).parent.parent / "data" / "rendered" / "train"


def backdrop(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    """uint8 (H, W, 3): a slope of light with some boxes and grain."""
    rng = np.random.default_rng(seed)
    low, high = rng.uniform(0, 255, (2, 3))
    picture = low + (high - low) * np.linspace(0, 1, height)[:, None, None] + np.zeros((1, width, 1))
    for _ in range(12):
        x, y, w, h = rng.integers((0, 0, 8, 8), (width, height, width // 2, height // 2))
        picture[y : y + h, x : x + w] = rng.uniform(0, 255, 3)
    return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Laid out as the recipes want it; nothing in a test may write to it."""
    home = tmp_path_factory.mktemp("data")
    shutil.copytree(RENDERED, home / "rendered" / "train")
    (home / "real" / "backgrounds").mkdir(parents=True)
    for seed in range(3):
        cv2.imwrite(str(home / "real" / "backgrounds" / f"{seed}.png"), backdrop(seed))
    photos = home / "real" / "unlabelled" / "images"
    photos.mkdir(parents=True)
    entries = {}
    for seed, path in enumerate(sorted(RENDERED.glob("*_fg.webp"))[:4]):
        rgba = cv2.resize(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), (160, 160), interpolation=cv2.INTER_AREA)
        alpha = rgba[..., 3:] / 255
        mixed = rgba[..., :3] * alpha + backdrop(10 + seed, 160, 160) * (1 - alpha)
        cv2.imwrite(str(photos / f"{seed}.jpg"), mixed.astype(np.uint8))
        box = cv2.boundingRect(rgba[..., 3])
        entries[str(seed)] = {"persons": [{"box": box}], "objects": [], "pairs": []}
    (photos.parent / "interactions.json").write_text(json.dumps({"images": entries}))
    return home
