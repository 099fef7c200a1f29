"""A recipe: one TOML file that says what to train, on what, and how."""

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vmfm.trainer.config import CONFIGS, NetConfig
from vmfm.trainer.data.folders import READERS
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.stages import OBJECTIVES, Stage


@dataclass(frozen=True)
class Source:
    """One folder of data below --data: its kind (a reader in data/folders.py) and its share of every batch.

    labels: the folder of masks that cut-outs came from. taught, objects: folders of hints for what is not labelled.
    exclude: names to leave out. optional: go on without it where it is missing.
    """

    kind: str
    path: str
    share: float = 1.0
    labels: str | None = None
    taught: str | None = None
    objects: str | None = None
    exclude: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Recipe:
    """What `vmfm train` follows."""

    name: str
    net: NetConfig
    seed: int
    side_px: int  # pictures are kept at this many pixels on their longer side
    start: str | None  # a checkpoint to begin from, instead of the ImageNet encoder
    sources: tuple[Source, ...]
    stages: tuple[Stage, ...]


def load_recipe(name_or_path: str) -> Recipe:
    """A shipped recipe by name ("lite", "full", "smoke") or a TOML file. Raises TrainerError saying what is wrong."""
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
        return _recipe(path.stem, tomllib.loads(text))
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise TrainerError(
            f"the recipe {name_or_path} is not valid: {error!r}; see trainer/recipes for models"
        ) from error


def _recipe(name: str, values: dict[str, Any]) -> Recipe:
    if values["net"] not in CONFIGS:
        raise TrainerError(f"the recipe asks for net {values['net']!r}; wanted one of {', '.join(CONFIGS)}")
    stages = tuple(_stage(values["stage_defaults"] | stage) for stage in values["stage"])
    sources = tuple(Source(**source) for source in values["source"])
    if unknown := {s.kind for s in sources} - set(READERS):
        raise TrainerError(f"the recipe names data of unknown kind {sorted(unknown)}; wanted {', '.join(READERS)}")
    return Recipe(
        name=name,
        net=CONFIGS[values["net"]],
        seed=values.get("seed", 1),
        side_px=values.get("side_px", 512),
        start=values.get("start"),
        sources=sources,
        stages=stages,
    )


def _stage(values: dict[str, Any]) -> Stage:
    if values["name"] not in OBJECTIVES:
        raise TrainerError(f"the recipe has stage {values['name']!r}; wanted one of {', '.join(OBJECTIVES)}")
    sizes = tuple((int(h), int(w)) for h, w in values["sizes"])
    if bad := [size for size in sizes if size[0] % 32 or size[1] % 32]:
        raise TrainerError(f"stage {values['name']}: size {bad[0]} must be multiples of 32")
    return Stage(**(values | {"sizes": sizes, "trains": tuple(values["trains"])}))
