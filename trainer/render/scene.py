"""A scene in words: who, doing what, with which things, seen from where, in what light. No geometry, no Blender.

Every part that still has something to choose (the length of a bottle, how far an arm is raised) carries a seed of its
own, so that a scene is a value: the same scene gives the same picture.
"""

from dataclasses import asdict, dataclass
from typing import Any

DEV_SCENES = 10  # scenes with seed % 10 == 1 are held out: never trained on, and shown with things of their own


def split_of(seed: int) -> str:
    return "dev" if seed % DEV_SCENES == 1 else "train"


@dataclass(frozen=True)
class Look:
    """One person's appearance. Numbers called `*_draw` in [0, 1) choose among the files that the assets hold."""

    seed: int
    gender: str  # male, female
    race: str  # african, asian, caucasian: names of MakeHuman's targets
    age: float  # 0 young to 1 old
    muscle: float
    weight: float
    height: float
    skin_draw: float
    outfit_draw: float
    hair: str  # a strand style of hair.py, "bald", or "mesh" for a hair mesh of the assets
    hat: str | None = None  # cap, fedora
    glasses: str | None = None  # glasses, sunglasses


@dataclass(frozen=True)
class Use:
    """A thing and how it is held."""

    thing: str  # a name in the catalogue
    hold: str  # a name in holds.HOLDS
    seed: int
    side: str  # l or r: the hand that does it, or does more of it
    zone: str = "mid"  # where: low, mid, show, high


@dataclass(frozen=True)
class Figure:
    """One person in one posture."""

    look: Look
    action: str
    stance: str  # a name in stances.STANCES
    uses: tuple[Use, ...]
    gestures: tuple[tuple[str, str], ...]  # (side, kind) of hands that hold nothing
    gaze: str  # camera, thing, away
    seed: int
    x: float = 0.0  # metres to the side and towards the back
    y: float = 0.0
    turn_deg: float = 0.0


@dataclass(frozen=True)
class Shot:
    """How the camera frames the first figure."""

    framing: str  # webcam, three_quarter, full
    fov_deg: float
    yaw_deg: float  # 0 sees the front
    extent: float  # of the framing's usual height of the picture, a factor
    headroom: float  # share of the picture above the head
    shift: float  # sideways, share of the picture
    rise: float  # of the camera over the eyes, metres
    roll_deg: float


@dataclass(frozen=True)
class Light:
    hdri_draw: float
    hdri_turn_deg: float
    hdri_strength: float
    sun: tuple[float, float, float, float] | None  # energy, tilt and azimuth in degrees, warmth
    lamp: tuple[float, float, float, float] | None  # watts, azimuth in degrees, hue, saturation
    screen: float | None  # watts of a screen's glow from where the camera is


@dataclass(frozen=True)
class Grade:
    """From scene-linear light to the picture."""

    exposure: float  # sRGB-linear value of the bright parts
    percentile: float  # which parts count as bright
    white_balance: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    seed: int
    view: int
    split: str
    figures: tuple[Figure, ...]
    shot: Shot
    light: Light
    grade: Grade

    @property
    def name(self) -> str:
        """NNNNNV: five digits of the scene's seed, one of the view."""
        return sample_name(self.seed, self.view)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def sample_name(seed: int, view: int) -> str:
    return f"{seed:05d}{view}"
