"""What one training picture is, whatever it came from."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from vmfm.trainer.data.interactions import Point

PLANES = ("alpha", "alpha_unknown", "person", "person_unknown", "depth")
ALPHA, PERSON, DEPTH = (slice(3 + at, 4 + at) for at in map(PLANES.index, ("alpha", "person", "depth")))  # after RGB


class Grip(NamedTuple):
    """Where a thing was with its holder: its centre x, y and its height in shares of the holder's box.

    whole: all of the holder down to the feet was in the picture.
    """

    x: float
    y: float
    height: float
    whole: bool


@dataclass(frozen=True)
class Sample:
    """One picture and what is known of it. All arrays uint8; a plane that is None is unknown everywhere.

    rgb (H, W, 3): a photo, or a cut-out's foreground colours (un-premultiplied).
    alpha, person (H, W): the truth in 0..255.
    alpha_unknown, person_unknown (H, W): 255 where that truth must not be trusted (coarse borders, unlabelled objects).
    depth (h, w), any size: relative inverse depth, near = 255.
    cutout: rgb and alpha are clean, so the picture can be composited over any background.
    grip: of a cut-out thing that somebody held.
    sure_points: `points` are all there are (annotated), rather than some that a detector found.
    """

    name: str
    rgb: np.ndarray
    alpha: np.ndarray | None = None
    alpha_unknown: np.ndarray | None = None
    person: np.ndarray | None = None
    person_unknown: np.ndarray | None = None
    depth: np.ndarray | None = None
    points: list[Point] = field(default_factory=list)
    sure_points: bool = True
    cutout: bool = False
    grip: Grip | None = None
