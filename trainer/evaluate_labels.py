"""What a data folder knows of a picture beyond its matte: depth, interaction points, and who is in it.

rendered/train/NAME_depth.png and NAME.json                        exact
real/<set>/depth/NAME.png and real/<set>/interactions.json         pseudo-depth; boxes of people and things
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from vmfm.trainer.data.interactions import Point, points_of, points_of_render
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.evaluate_sets import RENDERS, Case
from vmfm.trainer.images import read_grey

# a pseudo-depth says what is nearer, not by how much: its farthest point is taken as this many times as far
FARTHEST = 10.0


def inverse_depth_of(case: Case) -> np.ndarray | None:
    """float32 (h, w), of any size: 1 / metres of a render, up to a factor of a photo; NaN where unknown. None if there is none."""
    if case.dataset in RENDERS:
        file, facts = case.folder / f"{case.name}_depth.png", facts_of(case)
        if not file.exists() or not facts:
            return None
        coded = read_grey(file).astype(np.float32)
        near, far = (1 / facts["depth"][key] for key in ("z_near", "z_far"))
        return np.where(coded > 0, far + (coded - 1) / 254 * (near - far), np.nan).astype(np.float32)
    file = case.folder / "depth" / f"{case.name}.png"
    if not file.exists():
        return None
    relative = read_grey(file).astype(np.float32) / 255
    return 1 / FARTHEST + (1 - 1 / FARTHEST) * relative


def points_in(case: Case) -> list[Point]:
    """Where people meet what they use, in pixels of the picture; none where nobody has said so."""
    if case.dataset in RENDERS:
        facts = facts_of(case)
        return points_of_render(facts) if facts else []
    entry = _interactions(case.folder / "interactions.json").get(case.name)
    return points_of(entry, weigh=False) if entry else []


def facts_of(case: Case) -> dict[str, Any]:
    """What a render's NAME.json says; empty where there is none."""
    file = case.folder / f"{case.name}.json"
    return _read_json(file) if case.dataset in RENDERS and file.exists() else {}


@lru_cache(maxsize=8)
def _interactions(file: Path) -> dict[str, Any]:
    return _read_json(file)["images"] if file.exists() else {}


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainerError(f"{file} is not JSON: {error}; run `vmfm data check` on its folder") from error
