"""Clips whose true alpha is known: cut-outs that move over photos, and renders of people who move.

Every frame carries the noise of a camera, since a clip without any would be steadier than all that users have.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer.evaluate_sets import Clip, cover, list_cases
from vmfm.trainer.images import read

SIZE = (360, 640)  # (H, W) of clips of cut-outs
SPEEDS_PX = (0.0, 0.3, 1.0, 2.5, 6.0, 12.0)  # sideways in a frame, one clip each
FRAMES = 48  # of a cut-out: it moves for 24, then stands still, but for its swaying
SWAY_DEG = 2.0
NOISE = 1.5  # levels of 255, one standard deviation


@dataclass(frozen=True)
class TrueClip:
    """frames: (H, W, 3) uint8 RGB; truths: their alphas, (H, W) uint8."""

    name: str
    frames: list[np.ndarray]
    truths: list[np.ndarray]


def filmed(clip: Clip) -> TrueClip:
    """A video with its alpha beside it, as it is."""
    return TrueClip(clip.name, list(clip.frames()), list(clip.truths()))


def moving_cutouts(data: Path) -> Iterator[TrueClip]:
    """Rendered people of the dev split, one for each of SPEEDS_PX, before photos. data: as `vmfm evaluate` wants it."""
    cases = [case for case in list_cases(data) if case.dataset == "rendered"]
    photos = _photos(data)
    for number, speed in enumerate(SPEEDS_PX):
        case = cases[number * len(cases) // len(SPEEDS_PX)]
        cutout = read(case.folder / f"{case.name}_fg.webp", cv2.IMREAD_UNCHANGED)
        photo = read(photos[number * len(photos) // len(SPEEDS_PX)])
        yield _laid_over(f"cut-out, {speed:g} px a frame", _moved(cutout, speed), photo, number)


def rendered_clips(folder: Path, data: Path) -> Iterator[TrueClip]:
    """What `vmfm render --clip` made: folders of frames NNNN_fg.webp."""
    photos = _photos(data)
    for number, clip in enumerate(sorted(path for path in folder.iterdir() if any(path.glob("*_fg.webp")))):
        cutouts = (read(file, cv2.IMREAD_UNCHANGED) for file in sorted(clip.glob("*_fg.webp")))
        photo = read(photos[(2 * number + 1) * len(photos) // 24 % len(photos)])
        yield _laid_over(f"render {clip.name}", (_premultiplied(cutout) for cutout in cutouts), photo, number)


def _photos(data: Path) -> list[Path]:
    return sorted((data / "real" / "backgrounds").glob("*.jpg"))


def _premultiplied(rgba: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 4) as float32 whose colours are multiplied by alpha / 255."""
    values = rgba.astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255
    return values


def _moved(rgba: np.ndarray, speed_px: float) -> Iterator[np.ndarray]:
    """A square cut-out on its way through a picture of SIZE, float32 (H, W, 4), premultiplied."""
    height, width = SIZE
    values, side = _premultiplied(rgba), rgba.shape[0]
    scale, at = height / side, width / 2 - speed_px * FRAMES / 4
    for frame in range(FRAMES):
        sway = SWAY_DEG * np.sin(frame / 9) * (speed_px > 0)
        turn = cv2.getRotationMatrix2D((side / 2, side), sway, scale)
        turn[:, 2] += at - side / 2, height - side
        yield cv2.warpAffine(values, turn, (width, height), flags=cv2.INTER_LINEAR)
        at += speed_px * (frame < FRAMES / 2)


def _laid_over(name: str, cutouts: Iterator[np.ndarray], photo: np.ndarray, seed: int) -> TrueClip:
    rng, frames, truths = np.random.default_rng(seed), [], []
    for cutout in cutouts:
        behind = cover(photo, *cutout.shape[:2]).astype(np.float32)
        frame = cutout[..., :3] + (1 - cutout[..., 3:] / 255) * behind + rng.normal(0, NOISE, behind.shape)
        frames.append(np.clip(np.rint(frame), 0, 255).astype(np.uint8))
        truths.append(np.rint(cutout[..., 3]).astype(np.uint8))
    return TrueClip(name, frames, truths)
