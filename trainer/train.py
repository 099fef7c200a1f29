"""The training loop: for every stage, for every step, draw a batch, weigh its losses, take a step."""

import json
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from vmfm.trainer.checkpoint import (
    load_model,
    load_state,
    load_unique_state,
    save_batch,
    save_state,
    save_weights,
    unique_state,
)
from vmfm.trainer.data.compose import Batch, Composer
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.model import VMFM
from vmfm.trainer.nets.discriminator import Discriminator
from vmfm.trainer.pictures import Pictures
from vmfm.trainer.recipe import Recipe
from vmfm.trainer.stages import ADVERSARIAL, OBJECTIVES, Nets, Stage, Terms, judge
from vmfm.trainer.turn import Turn

WARM_UP = 0.05  # share of a stage's steps in which the learning rate rises; then it falls as a cosine
AVERAGE = 0.998  # per step, of the moving average of weights that is shipped
SAVE_SECONDS = 60.0


@dataclass(frozen=True)
class Progress:
    """What the caller is told after every step."""

    stage: Stage
    stage_index: int
    step: int  # of this stage, from 1
    pictures_per_second: float
    terms: dict[str, float]


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    device: torch.device | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    report_every: int = 20,
) -> Path:
    """Trains by the recipe and returns the file of weights, written every minute and at the end of each stage.

    data: the folder that the recipe's source paths start from. out: the run's folder; with `resume` an interrupted
    run in it goes on where it was saved, else it must not hold one. Raises TrainerError, also when a loss is NaN.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not resume and (out / "state.pt").exists():
        raise TrainerError(f"{out} already holds a run; add --resume to go on with it or choose another --out")
    torch.manual_seed(recipe.seed)
    pictures = Pictures(recipe, data, device)
    recipe = replace(recipe, stages=tuple(pictures.sized(stage) for stage in recipe.stages))
    run = _Run.resumed(recipe, out, device) if resume else _Run.begun(recipe, out, device)
    for index in range(run.stage_index, len(recipe.stages)):
        run.enter(index)
        run.follow(pictures.composer(recipe.stages[index]), report, report_every)
    return out / "weights.safetensors"


def learning_rate(stage: Stage, step: int) -> float:
    """Of a stage's step, counted from 0: a short rise, then half a cosine down to its `final_rate`."""
    rise = max(1, round(WARM_UP * stage.steps))
    if step < rise:
        return stage.learning_rate * (step + 1) / rise
    done = (step - rise) / max(1, stage.steps - rise)
    return stage.learning_rate * (stage.final_rate + (1 - stage.final_rate) * 0.5 * (1 + math.cos(math.pi * done)))


class _Run:
    """A model in training, its moving average, and where it stands in the recipe."""

    def __init__(self, recipe: Recipe, out: Path, device: torch.device, model: VMFM) -> None:
        self.recipe, self.out, self.device = recipe, out, device
        self.model = model.to(device)
        if device.type == "cuda":
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.nets = Nets(self.model, Discriminator().to(device))
        self.average = deepcopy(self.model).eval().requires_grad_(False)
        self.stage_index, self.step, self.pictures = 0, 0, 0
        self.turns: list[Turn] = []
        self.optimizer_states: list[dict[str, Any]] = []

    @classmethod
    def begun(cls, recipe: Recipe, out: Path, device: torch.device) -> "_Run":
        if recipe.start:
            model, _ = load_model(recipe.start)
            if model.config != recipe.net:
                fresh = VMFM(recipe.net, pretrained=True)
                _adopt(fresh, model)
                model = fresh
        else:
            model = VMFM(recipe.net, pretrained=recipe.net.name != "tiny")
        out.mkdir(parents=True, exist_ok=True)
        return cls(recipe, out, device, model)

    @classmethod
    def resumed(cls, recipe: Recipe, out: Path, device: torch.device) -> "_Run":
        state = load_state(out, device)
        run = cls(recipe, out, device, VMFM(recipe.net))
        load_unique_state(run.model, state["model"], str(out))
        load_unique_state(run.average, state["average"], str(out))
        run.stage_index, run.step, run.pictures = state["stage"], state["step"], state["pictures"]
        run.nets.discriminator.load_state_dict(state["discriminator"])
        run.optimizer_states = state["optimizers"]
        return run

    def enter(self, index: int) -> None:
        """Freezes what this stage does not train and makes the optimizers of the rest."""
        if index != self.stage_index:
            self.stage_index, self.step = index, 0
        stage, nets, device = self.recipe.stages[index], self.nets, self.device
        nets.eval().requires_grad_(False)
        learners = [self.model.get_submodule(name) for name in stage.trains]
        self.turns = [Turn(OBJECTIVES[stage.name], nets, stage, learners, device)]
        if stage.name in ADVERSARIAL:
            every = stage.discriminator_every
            self.turns.append(Turn(judge, nets, stage, [nets.discriminator], device, every=every))
        if self.optimizer_states:
            for turn, state in zip(self.turns, self.optimizer_states, strict=True):
                turn.optimizer.load_state_dict(state)
            self.optimizer_states = []
        self.terms: Terms = {}
        self.spoiled = torch.full((), -1, device=device)  # the first step whose loss was no number; stays on the device

    def follow(self, composer: Composer, report: Callable[[Progress], None], report_every: int) -> None:
        """The rest of the present stage."""
        stage = self.recipe.stages[self.stage_index]
        saved = began = time.monotonic()
        first = self.step
        while self.step < stage.steps:
            self._take_step(stage, composer)
            if self.step % report_every == 0 or self.step == stage.steps:
                self._check(stage, composer)
                speed = (self.step - first) * stage.batch / (time.monotonic() - began)
                self._tell(Progress(stage, self.stage_index, self.step, speed, _floats(self.terms)), report)
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
        self.stage_index, self.step = self.stage_index + 1, 0
        self.save()

    def _take_step(self, stage: Stage, composer: Composer) -> None:
        batch, rate = self._batch(stage, composer, self.step), learning_rate(stage, self.step)
        for turn in self.turns:
            if self.step % turn.every == 0:
                loss, terms = turn.take(batch, rate)
                self.terms |= terms
                self.spoiled = torch.where(torch.isfinite(loss) | (self.spoiled >= 0), self.spoiled, self.step)
        if self.step == 0 and (unknown := stage.unknown_weights(self.terms)):
            raise TrainerError(f"stage {stage.name} weighs {unknown[0]!r}; its terms are {', '.join(self.terms)}")
        self._follow_average(min(AVERAGE, (1 + self.step) / (10 + self.step)))
        self.step += 1
        self.pictures += stage.batch

    def _check(self, stage: Stage, composer: Composer) -> None:
        """Raises TrainerError, and leaves the batch behind, where a loss has ceased to be a number."""
        if (step := int(self.spoiled)) >= 0:
            file = save_batch(self.out, vars(self._batch(stage, composer, step)))
            raise TrainerError(
                f"stage {stage.name} step {step + 1}: a loss is no longer a number; that batch is in {file} and the "
                f"last good state in {self.out}: look at the batch, lower the learning rate and --resume"
            )

    def _tell(self, news: Progress, report: Callable[[Progress], None]) -> None:
        report(news)
        line = {"stage": news.stage.name, "step": news.step, "speed": round(news.pictures_per_second, 1)} | news.terms
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def _batch(self, stage: Stage, composer: Composer, step: int) -> Batch:
        # everything random in a step comes from this one number, so a resumed run draws what an unbroken one would
        seed = ((self.recipe.seed * 64 + self.stage_index) << 32) + step
        height, width = stage.sizes[seed * 2654435761 % 2**32 * len(stage.sizes) >> 32]
        return composer.batch(stage.batch, height, width, seed, fine=stage.name == "refine")

    @torch.no_grad()
    def _follow_average(self, keep: float) -> None:
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
        torch._foreach_copy_(list(self.average.buffers()), list(self.model.buffers()))

    def save(self) -> None:
        """Both files, each whole or not at all."""
        trained = {
            "recipe": self.recipe.name,
            "pictures": self.pictures,
            "stages_done": self.stage_index,
            "stages": [stage.name for stage in self.recipe.stages[: self.stage_index + (self.step > 0)]],  # those begun
        }
        save_weights(self.out, self.average, trained)
        save_state(
            self.out,
            {
                "model": unique_state(self.model),
                "average": unique_state(self.average),
                "discriminator": self.nets.discriminator.state_dict(),
                "optimizers": [turn.optimizer.state_dict() for turn in self.turns] if self.step else [],
                "stage": self.stage_index,
                "step": self.step,
                "pictures": self.pictures,
            },
        )


def _floats(terms: Terms) -> dict[str, float]:
    return {name: float(value) for name, value in terms.items()}


def _adopt(fresh: VMFM, other: VMFM) -> None:
    """Takes over every net of another size whose shape fits: the modality nets are the same in `lite` and `full`."""
    for name, net in other.named_children():
        own = fresh.get_submodule(name)
        if {k: v.shape for k, v in own.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}:
            own.load_state_dict(net.state_dict())
