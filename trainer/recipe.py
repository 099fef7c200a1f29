"""A recipe: one TOML file that says what to train, on what, and how."""

import tomllib
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from vmfm.trainer.config import NetConfig, net_config
from vmfm.trainer.data.compose import Chances
from vmfm.trainer.data.folders import READERS
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.plain import build
from vmfm.trainer.stages import OBJECTIVES, TRAINABLE, Stage
from vmfm.trainer.turn import PRECISIONS


@dataclass(frozen=True)
class Source:
    """One folder of data below --data: its kind (a reader in data/folders.py) and its share of every batch.

    Of kind "things", the share is that of all things pasted. labels: the folder of masks that cut-outs came from.
    taught, objects, vouched: folders of hints for what is not labelled.
    exclude: names to leave out. showing: only photos in which one of these classes was seen. optional:
    go on without it where it is missing or empty.
    """

    kind: str
    path: str
    share: float = 1.0
    labels: str | None = None
    taught: str | None = None
    vouched: str | None = None
    objects: str | None = None
    exclude: tuple[str, ...] = ()
    showing: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Recipe:
    """What `vmfm train` follows."""

    name: str
    net: NetConfig
    sources: tuple[Source, ...]
    stages: tuple[Stage, ...]
    chances: Chances = field(default_factory=Chances)  # of what happens to pictures when batches are composed
    seed: int = 1
    side_px: int = 512  # pictures are kept at this many pixels on their longer side
    start: str | None = None  # a checkpoint to begin from, instead of the ImageNet encoder
    precision: str | None = None  # "bf16", "fp16" or "fp32", of the convolutions; left out: bf16 on GPUs, fp32 on CPUs


def load_recipe(name_or_path: str) -> Recipe:
    """A shipped recipe by name ("lite", "full", "paper", "smoke") or a TOML file. Raises TrainerError saying what is wrong.

    `sources_of = "lite"` in place of [[source]] tables takes those of that recipe.
    """
    values = _read(name_or_path)
    try:
        if lender := values.pop("sources_of", None):
            if "source" in values:
                raise TrainerError(f"it has [[source]] tables and sources_of = {lender!r}; wanted one or the other")
            values["source"] = _read(lender).get("source")
        return _recipe(Path(name_or_path).stem, values)
    except TrainerError as error:
        raise TrainerError(f"the recipe {name_or_path}: {error}; see trainer/recipes for models") from error


def _read(name_or_path: str) -> dict[str, Any]:
    shipped = resources.files("vmfm.trainer") / "recipes"
    path = Path(name_or_path)
    if not path.suffix:
        names = sorted(p.name.removesuffix(".toml") for p in shipped.iterdir() if p.name.endswith(".toml"))
        if name_or_path not in names:
            raise TrainerError(f"there is no recipe {name_or_path!r}; wanted one of {', '.join(names)} or a .toml file")
        text = (shipped / f"{name_or_path}.toml").read_text()
    elif path.is_file():
        text = path.read_text()
    else:
        raise TrainerError(f"there is no recipe file {path}")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TrainerError(f"the recipe {name_or_path} is no valid TOML: {error}") from error


def _recipe(name: str, values: dict[str, Any]) -> Recipe:
    net = net_config(values.pop("net", None))
    defaults, stages, sources = (values.pop(key, None) for key in ("stage_defaults", "stage", "source"))
    chances = build(Chances, values.pop("chances", {}), "the table chances")
    if not stages or not sources:
        raise TrainerError("it has no [[stage]]" if not stages else "it has no [[source]]")
    values = {"name": name, "net": net, "stages": (), "sources": (), "chances": chances} | values
    recipe = build(Recipe, values, "the recipe")
    if recipe.precision not in (None, *PRECISIONS):
        raise TrainerError(f"precision is {recipe.precision!r}; wanted one of {', '.join(PRECISIONS)}")
    return replace(
        recipe,
        stages=tuple(_stage((defaults or {}) | stage) for stage in stages),
        sources=tuple(_source(source) for source in sources),
    )


def _source(values: dict[str, Any]) -> Source:
    source = build(Source, values, f"source {values.get('path')}")
    if source.kind not in READERS:
        raise TrainerError(f"source {source.path} is of kind {source.kind!r}; wanted one of {', '.join(READERS)}")
    if source.share <= 0:
        raise TrainerError(f"source {source.path} has share {source.share}; wanted more than 0")
    return source


def _stage(values: dict[str, Any]) -> Stage:
    stage = build(Stage, values, f"stage {values.get('name')}")
    if stage.name not in OBJECTIVES:
        raise TrainerError(f"there is no stage {stage.name!r}; wanted one of {', '.join(OBJECTIVES)}")
    where = f"stage {stage.name}"
    if not set(stage.trains) <= set(TRAINABLE) or not stage.trains:
        raise TrainerError(f"{where} trains {list(stage.trains)}; wanted some of {', '.join(TRAINABLE)}")
    if unknown := [kind for kind in stage.kinds if kind not in READERS]:
        raise TrainerError(f"{where} draws from kinds {unknown}; wanted some of {', '.join(READERS)}")
    if stage.micro_batch < 0:
        raise TrainerError(f"{where} has micro_batch {stage.micro_batch}; wanted a number of pictures, or 0 for all")
    if (stage.steps > 0) == (stage.epochs > 0):
        raise TrainerError(f"{where} has {stage.steps} steps and {stage.epochs} epochs; wanted one of the two above 0")
    if low := [key for key in ("batch", "learning_rate", "discriminator_every") if getattr(stage, key) <= 0]:
        raise TrainerError(f"{where} has {low[0]} {getattr(stage, low[0])}; wanted more than 0")
    if bad := [size for size in stage.sizes if len(size) != 2 or any(v <= 0 or v % 32 for v in size)]:
        raise TrainerError(f"{where} has size {list(bad[0])}; wanted [height, width], both multiples of 32")
    if not stage.sizes:
        raise TrainerError(f"{where} has no sizes; wanted one or more of [height, width]")
    return stage
