"""The pictures that a recipe names, loaded once, and what each stage draws of them."""

import math
from dataclasses import replace
from pathlib import Path

import torch
from vmfm.trainer.data.compose import Composer
from vmfm.trainer.data.folders import samples
from vmfm.trainer.data.samples import Sample
from vmfm.trainer.data.store import Store
from vmfm.trainer.data.things import Things
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.recipe import Recipe, Source
from vmfm.trainer.stages import Stage


class Pictures:
    """All sources of the recipe below the folder `data`, on the device. Raises TrainerError where one is empty."""

    def __init__(self, recipe: Recipe, data: Path, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        found = [(source, pictures) for source in recipe.sources if (pictures := _samples(source, data))]
        self.stores = [
            (source, Store(pictures, recipe.side_px, device)) for source, pictures in found if source.kind != "things"
        ]
        loose = [(pictures, source.share) for source, pictures in found if source.kind == "things"]
        self.things = Things(loose, device) if loose else None
        backgrounds = [store for source, store in self.stores if source.kind == "backgrounds"]
        if not backgrounds:
            raise TrainerError(f"the recipe {recipe.name} names no source of kind backgrounds; cut-outs need one")
        self.backgrounds = backgrounds[-1]

    def composer(self, stage: Stage) -> Composer:
        """Of batches for this stage."""
        sources = [(store, source.share) for source, store in self._of(stage)]
        return Composer(sources, self.backgrounds, self.device, self.things, self.recipe.chances)

    def sized(self, stage: Stage) -> Stage:
        """The stage with its length in steps, where the recipe gives it in epochs."""
        count = sum(len(store) for _, store in self._of(stage))
        return stage if stage.steps else replace(stage, steps=math.ceil(stage.epochs * count / stage.batch))

    def _of(self, stage: Stage) -> list[tuple[Source, Store]]:
        chosen = [(source, store) for source, store in self.stores if not stage.kinds or source.kind in stage.kinds]
        if not chosen:
            raise TrainerError(
                f"stage {stage.name} wants data of kind {' or '.join(stage.kinds)}, and no source that is there has it"
            )
        return chosen


def _samples(source: Source, data: Path) -> list[Sample]:
    """Of one source; none only where it is optional."""
    if source.optional and not (data / source.path).is_dir():
        return []
    hints = {key: data / path for key in ("labels", "taught", "objects", "vouched") if (path := getattr(source, key))}
    found = samples(source.kind, data / source.path, exclude=source.exclude, showing=source.showing, **hints)
    if not found and not source.optional:
        raise TrainerError(
            f"no {source.kind} in {data / source.path}; see trainer/data/README.md for the layout of data"
        )
    return found
