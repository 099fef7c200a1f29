"""Draws scenes from seeds: the same seed, view and attempt give the same scene, wherever it is drawn."""

import math
from collections.abc import Collection
from dataclasses import replace
from random import Random

from vmfm.trainer.render.actions import ACTIONS, EXPRESSIVE, FREE_HAND, GESTURES, USUAL_HOLD, Action
from vmfm.trainer.render.catalogue import Thing, things_for
from vmfm.trainer.render.scene import Figure, Grade, Light, Look, Scene, Shot, Use, split_of

FRAMINGS = ("webcam", "three_quarter", "full")
STRAND_STYLES = {
    "male": ("crop", "side", "back", "side", "messy", "curly", "afro"),
    "female": ("long", "long", "long", "bob", "bob", "curly", "back", "side", "messy"),
}
SECOND_PERSON = 0.12  # share of scenes with somebody else in them


def draw_scene(seed: int, view: int = 0, attempt: int = 0, available: Collection[str] | None = None) -> Scene:
    """The scene of a seed.

    view: pictures of one seed share the people, all else differs. attempt: another draw, should the first not work out
    (an arm too short, a thing out of the picture). available: models that the assets hold; None for all.
    """
    split = split_of(seed)
    rng = Random(f"scene {seed} {view} {attempt}")
    things = things_for(split, available)
    action = _action(rng, things)
    framing = rng.choices(FRAMINGS, action.framing)[0]
    behind = rng.random() < action.back and framing != "webcam"
    shot = _shot(rng, framing, behind)
    figures = [_figure(rng, draw_look(seed, 0), action, things, framing, behind)]
    # Views of one seed share its people, so whether there is a second one is the seed's to say.
    if Random(f"company {seed}").random() < SECOND_PERSON:
        figures.append(_companion(rng, draw_look(seed, 1), things, shot, sits=figures[0].stance == "sit"))
    return Scene(seed, view, split, tuple(figures), shot, draw_light(rng), draw_grade(rng))


def draw_look(seed: int, person: int = 0) -> Look:
    """The appearance of a seed's person."""
    rng = Random(f"look {seed} {person}")
    gender = rng.choice(("male", "female"))
    race = rng.choice(("african", "asian", "caucasian"))
    age = rng.choice((rng.uniform(0, 0.2), rng.uniform(0, 0.2), rng.uniform(0.3, 0.5), rng.uniform(0.65, 0.95)))
    hat = rng.choice(("cap", "cap", "fedora")) if rng.random() < 0.12 else None
    styles = STRAND_STYLES[gender]
    if race == "african" and rng.random() < 0.5:
        styles = ("afro", "crop", "curly")
    hair = rng.choice(styles) if rng.random() < 0.75 else "mesh"
    if hat or (gender == "male" and rng.random() < 0.1):
        hair = "bald" if gender == "male" and rng.random() < 0.5 else "mesh"
    return Look(
        seed=rng.getrandbits(32),
        gender=gender,
        race=race,
        age=age,
        muscle=rng.uniform(0.3, 0.75),
        weight=rng.uniform(0.3, 0.72) if rng.random() < 0.85 else rng.uniform(0.72, 0.95),
        height=rng.uniform(0.35, 0.65),
        skin_draw=rng.random(),
        outfit_draw=rng.random(),
        hair=hair,
        hat=hat,
        glasses=rng.choice(("glasses", "glasses", "sunglasses")) if rng.random() < 0.27 else None,
    )


def fitting(action: Action, things: Collection[Thing]) -> list[Thing]:
    """What the action can be done with."""
    return [thing for thing in things if thing.cls in action.things or f"grip:{thing.grip}" in action.things]


def _action(rng: Random, things: Collection[Thing]) -> Action:
    possible = [action for action in ACTIONS if not action.things or fitting(action, things)]
    return rng.choices(possible, [action.weight for action in possible])[0]


def _thing(rng: Random, choices: list[Thing]) -> Thing:
    """Every class has the same chance, however many models there are of it."""
    cls = rng.choice(sorted({thing.cls for thing in choices}))
    return rng.choice([thing for thing in choices if thing.cls == cls])


def _figure(rng: Random, look: Look, action: Action, things: Collection[Thing], framing: str, behind: bool) -> Figure:
    side = rng.choice("rrl")
    uses = []
    stance = rng.choice(action.stances)
    # On a webcam people mostly sit, whether or not the seat is seen.
    if rng.random() < action.sits or (framing == "webcam" and stance == "stand" and rng.random() < 0.25):
        stance = "sit"
        uses.append(_seat(rng, things))
    if action.things:
        thing = _thing(rng, fitting(action, things))
        holds = action.holds or (USUAL_HOLD[thing.grip],)
        uses.append(Use(thing.name, rng.choice(holds), rng.getrandbits(32), side, rng.choice(action.zones)))
        if action.name == "ski":
            uses += [Use("shape:ski_pole", "pole", rng.getrandbits(32), hand) for hand in "lr"]
    gaze = "away" if behind else rng.choice(action.gaze)
    return Figure(look, action.name, stance, tuple(uses), _gestures(rng, action), gaze, rng.getrandbits(32))


def _seat(rng: Random, things: Collection[Thing]) -> Use:
    seat = _thing(rng, [thing for thing in things if thing.grip == "seat"])
    return Use(seat.name, "seat", rng.getrandbits(32), "both")


def _gestures(rng: Random, action: Action) -> tuple[tuple[str, str], ...]:
    """One per hand; a hand that holds something forgets its own."""
    if action.name == "gesture":
        kinds = [rng.choice(EXPRESSIVE), rng.choice(("relax", "relax", *EXPRESSIVE))]
        rng.shuffle(kinds)
    elif action.name in ("none", "sit", "headphones", "backpack"):
        kinds = [rng.choice(GESTURES), rng.choice(GESTURES)]
    else:
        kinds = [rng.choice(FREE_HAND), rng.choice(FREE_HAND)]
    if "crossed" in kinds:
        kinds = ["crossed", "crossed"]
    return tuple(zip("lr", kinds))


def _companion(rng: Random, look: Look, things: Collection[Thing], shot: Shot, *, sits: bool) -> Figure:
    """Somebody beside or half behind the first person, at the same height, doing something simple."""
    easy = [action for action in ACTIONS if action.name in ("none", "gesture", "drink", "phone", "hold")]
    easy = [action for action in easy if not action.things or fitting(action, things)]
    figure = _figure(rng, look, rng.choice(easy), things, "full", behind=False)
    side, back = rng.choice((-1, 1)), rng.uniform(0.1, 0.5)
    apart = rng.uniform(0.4, 0.55) if shot.framing == "webcam" else rng.uniform(0.45, 0.8)
    yaw = math.radians(shot.yaw_deg)  # beside is as the camera sees it
    uses = tuple(use for use in figure.uses if use.hold != "seat")
    seat = (_seat(rng, things),) if sits else ()
    return replace(
        figure,
        stance="sit" if sits else "stand",
        uses=(*seat, *uses),
        x=side * apart * math.cos(yaw) - back * math.sin(yaw),
        y=side * apart * math.sin(yaw) + back * math.cos(yaw),
        turn_deg=shot.yaw_deg * rng.uniform(0.3, 1.0) - side * rng.uniform(-10, 35),
    )


def _shot(rng: Random, framing: str, behind: bool) -> Shot:
    if framing == "webcam":
        yaw = rng.gauss(0, 18)
        return Shot(framing, rng.uniform(50, 78), yaw, rng.uniform(0.72, 1.28), rng.uniform(0.02, 0.17),
                    rng.gauss(0, 0.12), rng.gauss(0, 0.09) - (0.18 if rng.random() < 0.2 else 0), rng.gauss(0, 1.5))  # fmt: skip
    yaw = rng.uniform(-60, 60) + (180 if behind else 0)
    extent = rng.uniform(0.85, 1.12) if framing == "three_quarter" else rng.uniform(1.06, 1.35)
    return Shot(framing, rng.uniform(24, 62), yaw, extent, rng.uniform(0.04, 0.15), rng.gauss(0, 0.09),
                rng.uniform(-0.5, 0.25), rng.gauss(0, 1.5))  # fmt: skip


def draw_light(rng: Random) -> Light:
    sun = (rng.uniform(0.5, 2.6), rng.uniform(17, 63), rng.uniform(-180, 180), rng.random())
    lamp = (rng.uniform(10, 45), rng.uniform(-180, 180), rng.random(), rng.choice((0.0, 0.15, 0.5, 0.8)))
    return Light(
        hdri_draw=rng.random(),
        hdri_turn_deg=rng.uniform(0, 360),
        hdri_strength=rng.uniform(0.4, 1.0),
        sun=sun if rng.random() < 0.45 else None,
        lamp=lamp if rng.random() < 0.3 else None,
        screen=rng.uniform(4, 14) if rng.random() < 0.2 else None,
    )


def draw_grade(rng: Random) -> Grade:
    balance = (rng.uniform(0.9, 1.1), 1.0, rng.uniform(0.88, 1.12)) if rng.random() < 0.6 else (1.0, 1.0, 1.0)
    return Grade(rng.uniform(0.28, 0.8), rng.choice((80.0, 90.0, 95.0)), balance)
