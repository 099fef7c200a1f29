"""Every thing that can be held, worn or sat on: procedural ones, and models of the furniture library (things.toml)."""

import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from vmfm.trainer.render import props_carry, props_sport, props_table
from vmfm.trainer.render.mesh import Prop

Builder = Callable[[Random], Prop]


@dataclass(frozen=True)
class Thing:
    """name: "shape:..." is procedural, all others name a model of the library. grip: how it is taken hold of."""

    name: str
    cls: str
    grip: str
    scale: float = 1.0
    held_out: bool = False  # only dev scenes show it
    build: Builder | None = None


def _shape(name: str, cls: str, grip: str, build: Builder) -> Thing:
    return Thing(f"shape:{name}", cls, grip, build=build)


SHAPES = tuple(
    _shape(*row)
    for row in (
        ("can", "can", "upright", props_table.can),
        ("mug", "mug", "upright", props_table.mug),
        ("bottle", "bottle", "upright", props_table.bottle),
        ("paper_cup", "cup", "upright", props_table.paper_cup),
        ("wine_glass", "wine_glass", "upright", props_table.wine_glass),
        ("bowl", "bowl", "bowl", props_table.bowl),
        ("banana", "banana", "bite", props_table.banana),
        ("donut", "donut", "bite", props_table.donut),
        ("pizza_slice", "pizza", "bite", props_table.pizza_slice),
        ("sandwich", "sandwich", "bite", props_table.sandwich),
        ("fruit", "fruit", "bite", props_table.fruit),
        ("carrot", "carrot", "bite", props_table.carrot),
        ("laptop", "laptop", "lap", props_table.laptop),
        ("phone", "phone", "phone", props_table.phone),
        ("pad", "tablet", "flat", props_table.pad),
        ("open_book", "open_book", "flat", props_table.open_book),
        ("book", "book", "flat", props_table.closed_book),
        ("sheet", "paper", "flat", props_table.sheet),
        ("card", "card", "flat", props_table.card),
        ("cushion", "cushion", "box", props_table.cushion),
        ("baseball_bat", "baseball_bat", "bat", props_sport.baseball_bat),
        ("tennis_racket", "racket", "stick", props_sport.tennis_racket),
        ("frisbee", "frisbee", "disc", props_sport.frisbee),
        ("football", "ball", "ball", props_sport.football),
        ("basketball", "ball", "ball", props_sport.basketball),
        ("volleyball", "ball", "ball", props_sport.volleyball),
        ("tennis_ball", "ball", "bite", props_sport.tennis_ball),
        ("surfboard", "surfboard", "board", props_sport.surfboard),
        ("snowboard", "snowboard", "board", props_sport.snowboard),
        ("skateboard", "skateboard", "board", props_sport.skateboard),
        ("skis", "skis", "skis", props_sport.skis),
        ("ski_pole", "ski_pole", "pole", props_sport.ski_pole),
        ("dumbbell", "dumbbell", "stick", props_sport.dumbbell),
        ("umbrella", "umbrella", "umbrella", props_carry.umbrella),
        ("umbrella_folded", "umbrella", "stick", props_carry.umbrella_folded),
        ("suitcase", "suitcase", "trolley", props_carry.suitcase),
        ("handbag", "handbag", "bag", props_carry.handbag),
        ("tote", "bag", "bag", props_carry.tote),
        ("backpack", "backpack", "backpack", props_carry.backpack),
        ("parcel", "box", "box", props_carry.parcel),
        ("scissors", "scissors", "stick", props_carry.scissors),
        ("knife", "knife", "stick", props_carry.knife),
        ("fork", "fork", "stick", props_carry.fork),
        ("hair_dryer", "hair_dryer", "stick", props_carry.hair_dryer),
        ("flute", "flute", "flute", props_carry.flute),
        ("pen", "pen", "stick", props_carry.pen),
        ("flowers", "flowers", "stick", props_carry.flowers),
        ("hand_fan", "hand_fan", "stick", props_carry.hand_fan),
        ("headphones", "headphones", "ears", props_carry.headphones),
        ("stool", "stool", "seat", props_carry.stool),
        ("bench", "bench", "seat", props_carry.bench),
        ("couch", "couch", "seat", props_carry.couch),
    )
)


@dataclass(frozen=True)
class HeldOut:
    """Names of files that only dev scenes show."""

    outfits: frozenset[str]
    skins: frozenset[str]
    hdris: frozenset[str]


@cache
def _table() -> dict:
    return tomllib.loads((Path(__file__).parent / "things.toml").read_text(encoding="utf-8"))


@cache
def held_out() -> HeldOut:
    table = _table()["held_out"]
    return HeldOut(frozenset(table["outfits"]), frozenset(table["skins"]), frozenset(table["hdris"]))


@cache
def library() -> tuple[Thing, ...]:
    """Every model of the furniture library that the renderer knows how to hold."""
    table = _table()
    rows = ((name, cls, grip) for grip, names in table["grip"].items() for name, cls in names.items())
    return tuple(
        Thing(name, cls, grip, table["scale"].get(name, 1.0), name.partition("#")[0] in table["held_out"]["things"])
        for name, cls, grip in rows
    )


@cache
def by_name() -> dict[str, Thing]:
    return {thing.name: thing for thing in (*SHAPES, *library())}


def things_for(split: str, available: Collection[str] | None = None) -> tuple[Thing, ...]:
    """What scenes of a split may show.

    available: names of the library's models that the assets hold; None for all, empty for procedural things alone.
    """
    models = (thing for thing in library() if available is None or thing.name in available)
    return (*SHAPES, *(thing for thing in models if thing.held_out == (split == "dev")))
