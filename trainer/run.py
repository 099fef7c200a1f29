"""A model in training: its nets, their moving average, what learns at present, and where in the recipe that is."""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import torch
from vmfm.trainer import processes
from vmfm.trainer.checkpoint import (
    FRESH_START,
    load_model,
    load_state,
    load_unique_state,
    save_state,
    save_weights,
    unique_state,
)
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.model import VMFM
from vmfm.trainer.nets.discriminator import Discriminator
from vmfm.trainer.recipe import Recipe
from vmfm.trainer.shared_norm import share_batch_norms
from vmfm.trainer.stages import ADVERSARIAL, OBJECTIVES, Nets, Stage, Terms, judge
from vmfm.trainer.turn import PRECISIONS, Turn

WARM_UP = 0.05  # share of a stage's steps in which the learning rate rises; then it falls as a cosine
AVERAGE = 0.998  # per step, of the moving average of weights that is shipped


def learning_rate(stage: Stage, step: int) -> float:
    """Of a stage's step, counted from 0: a short rise, then half a cosine down to its `final_rate`."""
    rise = max(1, round(WARM_UP * stage.steps))
    if step < rise:
        return stage.learning_rate * (step + 1) / rise
    done = (step - rise) / max(1, stage.steps - rise)
    return stage.learning_rate * (stage.final_rate + (1 - stage.final_rate) * 0.5 * (1 + math.cos(math.pi * done)))


class Run:
    """Begun or resumed, it enters one stage after the other and takes the steps of each.

    The same in all processes that train together: they begin alike and take every step by the same gradient.
    """

    def __init__(self, recipe: Recipe, out: Path, device: torch.device, model: VMFM) -> None:
        self.recipe, self.out, self.device = recipe, out, device
        # a GPU's tensor cores want it, and on a CPU a step of `lite` takes 7.4 s instead of 9.9 (batch 8, one thread)
        self.model: VMFM = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.nets = Nets(self.model, Discriminator().to(device))
        share_batch_norms(self.nets)
        self.average = deepcopy(self.model).eval().requires_grad_(False)
        self.stage_index, self.step, self.pictures = 0, 0, 0  # steps of the present stage, pictures of the whole run
        self.before: dict[str, Any] = {}  # how the weights that it began from were trained
        self.turns: list[Turn] = []
        self.optimizer_states: list[dict[str, Any]] = []

    @classmethod
    def begun(cls, recipe: Recipe, out: Path, device: torch.device) -> Self:
        """From the recipe's `start`, or from the ImageNet encoder. Raises TrainerError where a net would stay untrained."""
        before: dict[str, Any] = {}
        if recipe.start:
            model, before = load_model(recipe.start)
            if model.config != recipe.net:
                model = _resized(model, recipe)
        else:
            model = VMFM(recipe.net, pretrained=recipe.net.name != "tiny")
        run = cls(recipe, out, device, model)
        run.before = before
        processes.alike(run.nets)
        processes.alike(run.average)
        return run

    @classmethod
    def resumed(cls, recipe: Recipe, out: Path, device: torch.device) -> Self:
        """From the last `save`. Raises TrainerError where there is none, or it is damaged."""
        state = load_state(out, device)
        if (learnt := _learning(recipe, state["stage"], state["step"])) != state["learns"]:
            raise TrainerError(
                f"{out} has trained {_told(state['learns'])}; the recipe has {_told(learnt)}: resume with the recipe it "
                f"was begun with, or {FRESH_START}"
            )
        run = cls(recipe, out, device, VMFM(recipe.net))
        load_unique_state(run.model, state["model"], str(out))
        load_unique_state(run.average, state["average"], str(out))
        run.stage_index, run.step, run.pictures = state["stage"], state["step"], state["pictures"]
        run.before = state["before"]
        run.nets.discriminator.load_state_dict(state["discriminator"])
        run.optimizer_states = state["optimizers"]
        return run

    @property
    def stage(self) -> Stage:
        """The present one."""
        return self.recipe.stages[self.stage_index]

    @property
    def run_step(self) -> int:
        """How many steps were taken in all stages."""
        return sum(stage.steps for stage in self.recipe.stages[: self.stage_index]) + self.step

    def enter(self, index: int) -> None:
        """Freezes what this stage does not train and makes the optimizers of the rest."""
        if index != self.stage_index:
            self.stage_index, self.step = index, 0
        stage, nets, device = self.stage, self.nets, self.device
        dtype = PRECISIONS[self.recipe.precision or ("bf16" if device.type == "cuda" else "fp32")]
        nets.eval().requires_grad_(False)
        learners = [self.model.get_submodule(name) for name in stage.trains]
        self.turns = [Turn(OBJECTIVES[stage.name], nets, stage, learners, device, dtype)]
        if stage.name in ADVERSARIAL:
            every = stage.discriminator_every
            self.turns.append(Turn(judge, nets, stage, [nets.discriminator], device, dtype, every=every))
        if self.optimizer_states:
            for turn, state in zip(self.turns, self.optimizer_states, strict=True):
                turn.load_state_dict(state)
            self.optimizer_states = []
        self.terms: Terms = {}
        self.spoiled = torch.full((), -1, device=device)  # the first step whose loss was no number; stays on the device

    def take(self, batch: Batch) -> None:
        """The next step; batch: this process's share of it."""
        rate = learning_rate(self.stage, self.step)
        for turn in self.turns:
            if self.step % turn.every == 0:
                loss, terms = turn.take(batch, rate)
                self.terms |= terms
                self.spoiled = torch.where(torch.isfinite(loss) | (self.spoiled >= 0), self.spoiled, self.step)
        if self.step == 0 and (unknown := self.stage.unknown_weights(self.terms)):
            raise TrainerError(f"stage {self.stage.name} weighs {unknown[0]!r}; its terms are {', '.join(self.terms)}")
        self._follow_average(min(AVERAGE, (1 + self.step) / (10 + self.step)))
        self.step += 1
        self.pictures += self.stage.batch

    @torch.no_grad()
    def _follow_average(self, keep: float) -> None:
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
        torch._foreach_copy_(list(self.average.buffers()), list(self.model.buffers()))

    @torch.no_grad()
    def leave(self) -> None:
        """The stage is done: what it has trained is its average from now on, which is what the next one builds on."""
        for name in self.stage.trains:
            learnt, average = (model.get_submodule(name) for model in (self.model, self.average))
            torch._foreach_copy_(list(learnt.parameters()), list(average.parameters()))
        self.stage_index, self.step = self.stage_index + 1, 0

    def save(self) -> None:
        """The weights and all that it takes to go on, each file whole or not at all; only the first process writes."""
        if processes.rank() > 0:
            return
        trained = {
            "recipe": self.recipe.name,
            "pictures": self.pictures,
            "stages_done": self.stage_index,
            "stages": [name for name, *_ in _learning(self.recipe, self.stage_index, self.step)],
        }
        if self.before:
            trained["start"] = self.before
        save_weights(self.out, self.average, trained)
        save_state(
            self.out,
            {
                "model": unique_state(self.model),
                "average": unique_state(self.average),
                "discriminator": self.nets.discriminator.state_dict(),
                "optimizers": [turn.state_dict() for turn in self.turns] if self.step else [],
                "learns": _learning(self.recipe, self.stage_index, self.step),
                "stage": self.stage_index,
                "step": self.step,
                "pictures": self.pictures,
                "before": self.before,
            },
        )


def _learning(recipe: Recipe, stage_index: int, step: int) -> list[list[str]]:
    """The stages that were begun: name, and what each trains. The optimizers know weights by their place in that order."""
    return [[stage.name, *stage.trains] for stage in recipe.stages[: stage_index + (step > 0)]]


def _told(stages: list[list[str]]) -> str:
    return ", then ".join(f"stage {name} of {', '.join(nets)}" for name, *nets in stages) or "no stage"


def _resized(other: VMFM, recipe: Recipe) -> VMFM:
    """The recipe's nets, with every one of another size's taken over whose shape fits; the rest begin anew.

    The modality nets of `lite` fit `full`. Raises TrainerError where one would begin anew that no stage trains.
    """
    fresh = VMFM(recipe.net, pretrained=True)
    trained = {name for stage in recipe.stages for name in stage.trains}
    for name, net in other.named_children():
        own = fresh.get_submodule(name)
        if {k: v.shape for k, v in own.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}:
            own.load_state_dict(net.state_dict())
        elif name not in trained:
            raise TrainerError(
                f"{name} of {recipe.start} has another shape than the recipe's, and no stage trains it: give the "
                f"recipe's net the shape that it has there, or train it (its net is {other.config.to_json()})"
            )
    return fresh
