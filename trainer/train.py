"""The training loop: for every stage, for every step, draw a batch, weigh its losses, take a step."""

import json
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from vmfm.trainer.checkpoint import load_model, load_state, load_unique_state, save_state, save_weights, unique_state
from vmfm.trainer.data.compose import Composer
from vmfm.trainer.data.folders import samples
from vmfm.trainer.data.store import Store
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.graphed import Objectives
from vmfm.trainer.model import VMFM
from vmfm.trainer.recipe import Recipe, Source
from vmfm.trainer.stages import Stage

WARM_UP = 0.05  # share of a stage's steps in which the learning rate rises; then it falls as a cosine
FINAL_RATE = 0.02  # of the stage's learning rate, at its end
ENCODER_RATE = 0.4  # the pretrained encoder learns more slowly than what is new
AVERAGE = 0.998  # per step, of the moving average of weights that is shipped
CLIP = 2.0  # largest norm of the gradient
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
    composer = _composer(recipe, data, device)
    run = _Run.resumed(recipe, out, device) if resume else _Run.begun(recipe, out, device)
    for index in range(run.stage_index, len(recipe.stages)):
        run.enter(index)
        run.follow(composer, report, report_every)
    return out / "weights.safetensors"


def learning_rate(stage: Stage, step: int) -> float:
    """Of a stage's step, counted from 0: a short rise, then half a cosine down to FINAL_RATE."""
    rise = max(1, round(WARM_UP * stage.steps))
    if step < rise:
        return stage.learning_rate * (step + 1) / rise
    done = (step - rise) / max(1, stage.steps - rise)
    return stage.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done)))


def _composer(recipe: Recipe, data: Path, device: torch.device) -> Composer:
    stores: list[tuple[Store, float]] = []
    backgrounds: Store | None = None
    for source in recipe.sources:
        if source.optional and not (data / source.path).is_dir():
            continue
        store = _store(source, data, recipe.side_px, device)
        stores.append((store, source.share))
        if source.kind == "backgrounds":
            backgrounds = store
    if backgrounds is None:
        raise TrainerError(f"the recipe {recipe.name} names no source of kind backgrounds; cut-outs need one")
    return Composer(stores, backgrounds, device)


def _store(source: Source, data: Path, side: int, device: torch.device) -> Store:
    hints = {key: data / path for key in ("labels", "taught", "objects") if (path := getattr(source, key))}
    found = samples(source.kind, data / source.path, exclude=source.exclude, **hints)
    if not found:
        raise TrainerError(f"no {source.kind} pictures in {data / source.path}; see the README for the layout of data")
    return Store(found, side, device)


class _Run:
    """A model in training, its moving average, and where it stands in the recipe."""

    def __init__(self, recipe: Recipe, out: Path, device: torch.device, model: VMFM) -> None:
        self.recipe, self.out, self.device = recipe, out, device
        self.model = model.to(device)
        if device.type == "cuda":
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = deepcopy(self.model).eval().requires_grad_(False)
        self.stage_index, self.step, self.pictures = 0, 0, 0
        self.optimizer_state: dict[str, Any] | None = None

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
        run.optimizer_state = state["optimizer"]
        return run

    def enter(self, index: int) -> None:
        """Freezes what this stage does not train and makes its optimizer."""
        if index != self.stage_index:
            self.stage_index, self.step = index, 0
        stage = self.recipe.stages[index]
        self.model.eval().requires_grad_(False)
        encoders: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name in stage.trains:
            net: nn.Module = self.model.get_submodule(name).train().requires_grad_(True)
            for path, weight in net.named_parameters():
                (encoders if path.startswith("encoder.") and name != "complementary" else rest).append(weight)
        groups = [{"params": rest, "rate": 1.0}, {"params": encoders, "rate": ENCODER_RATE}]
        fused = self.device.type == "cuda"
        self.optimizer = torch.optim.Adam([g for g in groups if g["params"]], betas=(0.9, 0.99), fused=fused)
        self.objectives = Objectives(self.model, stage, self.device)
        if self.optimizer_state is not None:
            self.optimizer.load_state_dict(self.optimizer_state)
            self.optimizer_state = None

    def follow(self, composer: Composer, report: Callable[[Progress], None], report_every: int) -> None:
        """The rest of the present stage."""
        stage = self.recipe.stages[self.stage_index]
        saved = began = time.monotonic()
        first = self.step
        while self.step < stage.steps:
            terms = self._train_step(stage, composer)
            self.step += 1
            self.pictures += stage.batch
            if self.step % report_every == 0 or self.step == stage.steps:
                values = {name: float(value) for name, value in terms.items()}
                if not all(math.isfinite(v) for v in values.values()):
                    raise TrainerError(
                        f"stage {stage.name} step {self.step}: a loss is no longer a number ({values}); "
                        f"the last good state is in {self.out}, lower the learning rate and --resume"
                    )
                seconds = time.monotonic() - began
                speed = (self.step - first) * stage.batch / seconds
                report(Progress(stage, self.stage_index, self.step, speed, values))
                with (self.out / "log.jsonl").open("a") as log:
                    log.write(
                        json.dumps({"stage": stage.name, "step": self.step, "speed": round(speed, 1)} | values) + "\n"
                    )
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
        self.stage_index, self.step = self.stage_index + 1, 0
        self.save()

    def _train_step(self, stage: Stage, composer: Composer) -> dict[str, Tensor]:
        # everything random in a step comes from this one number, so a resumed run draws what an unbroken one would
        seed = ((self.recipe.seed * 64 + self.stage_index) << 32) + self.step
        height, width = stage.sizes[seed * 2654435761 % 2**32 * len(stage.sizes) >> 32]
        batch = composer.batch(stage.batch, height, width, seed, fine=stage.name == "refine")
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * learning_rate(stage, self.step)
        terms = self.objectives(batch)
        weighted = [stage.weights.get(name, 1.0) * value for name, value in terms.items() if value.requires_grad]
        loss = sum(weighted, start=torch.zeros((), device=self.device))
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], CLIP, foreach=True)
        self.optimizer.step()
        self._follow_average(min(AVERAGE, (1 + self.step) / (10 + self.step)))
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def _follow_average(self, keep: float) -> None:
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
        torch._foreach_copy_(list(self.average.buffers()), list(self.model.buffers()))

    def save(self) -> None:
        """Both files, each whole or not at all."""
        trained = {"recipe": self.recipe.name, "pictures": self.pictures, "stages_done": self.stage_index}
        save_weights(self.out, self.average, trained)
        optimizer = self.optimizer.state_dict() if self.step else None
        save_state(
            self.out,
            {
                "model": unique_state(self.model),
                "average": unique_state(self.average),
                "optimizer": optimizer,
                "stage": self.stage_index,
                "step": self.step,
                "pictures": self.pictures,
            },
        )


def _adopt(fresh: VMFM, other: VMFM) -> None:
    """Takes over every net of another size whose shape fits: the modality nets are the same in `lite` and `full`."""
    for name, net in other.named_children():
        own = fresh.get_submodule(name)
        if {k: v.shape for k, v in own.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}:
            own.load_state_dict(net.state_dict())
