"""Turns rendered passes of a room into the files that the trainer reads as kind `things`.

images/NAME.jpg  RGB, colour not premultiplied: behind soft edges and beyond them it is that of the nearest solid pixel
alpha/NAME.png   uint8, as large
NAME.json        what is in it, with the credit of each model; written last: a sample is whole when it is there
Both are cut to the furniture and a margin; without one on a side where the picture cuts the furniture off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from vmfm.trainer.render import files
from vmfm.trainer.render.export import DARKEST, NOTHING, Rejected, byte, graded
from vmfm.trainer.render.furnish import Furnished
from vmfm.trainer.render.passes import Passes

AREA = (0.01, 0.9)  # of the picture
MARGIN = 8  # px
SOLID = 0.5  # alpha from which on a pixel's colour is trusted
SMALLEST = 0.0005  # of the picture: what is less of a thing than this is not told of


@dataclass(frozen=True)
class Cutout:
    rgb: np.ndarray  # uint8 (H, W, 3)
    alpha: np.ndarray  # uint8 (H, W)
    facts: dict[str, Any]


def make_cutout(passes: Passes, room: Furnished, credits: Mapping[str, dict], light: dict) -> Cutout:
    """Raises Rejected where the picture shows next to nothing, is filled, or dark."""
    area = float((passes.alpha > SOLID).mean())
    if not AREA[0] <= area <= AREA[1]:
        raise Rejected(f"furniture fills {area:.1%} of the picture, wanted {AREA[0]:.0%} to {AREA[1]:.0%}")
    rgb, _ = graded(passes, room.scene.grade)
    if float(rgb[passes.alpha > SOLID].mean()) < DARKEST / 2:
        raise Rejected("the picture is too dark")
    rgb = spread(byte(rgb), passes.alpha > SOLID)
    window = _window(passes.alpha > NOTHING)
    objects = [
        {"name": item.name, "cls": item.thing.cls, **credits[item.thing.name]}
        for item in room.objects()
        if item.thing is not None and (passes.coverage[item.name] > SOLID).mean() > SMALLEST
    ]
    scene = room.scene
    facts = {"seed": scene.seed, "view": scene.view, "objects": objects, "credits": list(credits.values()),
             "light": light, "room": scene.as_dict()}  # fmt: skip
    return Cutout(rgb[window], byte(passes.alpha)[window], facts)


def spread(rgb: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """(H, W, 3) with the colour of the nearest solid pixel where there is none. solid: bool (H, W), somewhere True."""
    empty = (~solid).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colours = np.zeros((labels.max() + 1, 3), np.uint8)
    colours[labels[solid]] = rgb[solid]
    return np.where(solid[..., None], rgb, colours[labels])


def _window(there: np.ndarray) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    return tuple(slice(max(0, int(at[0]) - MARGIN), int(at[-1]) + 1 + MARGIN) for at in (rows, columns))  # type: ignore


def write_cutout(cutout: Cutout, out: Path, name: str) -> None:
    """Each file is whole or absent."""
    bgr = cv2.cvtColor(cutout.rgb, cv2.COLOR_RGB2BGR)
    files.write_image(out / "images" / f"{name}.jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 94])
    files.write_image(out / "alpha" / f"{name}.png", cutout.alpha, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    files.write_json(out / f"{name}.json", cutout.facts)
