"""One side of a training step: its objective, the nets that follow it, and their optimizer."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from vmfm.trainer import processes
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.graphed import GraphedObjective
from vmfm.trainer.stages import Nets, Objective, Stage, Terms
from vmfm.trainer.totals import Passes

ENCODER_RATE = 0.4  # the pretrained encoder learns more slowly than what is new
CLIP = 2.0  # largest norm of the gradient
PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


class Turn:
    """Most stages have one side; in an adversarial stage the foreground nets and the discriminator take turns.

    every: this side moves in each step whose number it divides. dtype: of the convolutions (see graphed.py); the
    gradients of float16 are scaled to stay above its smallest number.
    """

    def __init__(
        self,
        objective: Objective,
        nets: Nets,
        stage: Stage,
        learners: Iterable[nn.Module],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        every: int = 1,
    ) -> None:
        self.nets, self.stage, self.every = nets, stage, every
        encoders: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for net in learners:
            for path, weight in net.train().requires_grad_(True).named_parameters():
                (encoders if path.startswith("encoder.") else rest).append(weight)
            if stage.fixed_norms:
                for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
                    norm.eval()
        self.weights = rest + encoders
        groups = [{"params": rest, "rate": 1.0}, {"params": encoders, "rate": ENCODER_RATE}]
        fused = device.type == "cuda"
        self.optimizer = torch.optim.Adam([g for g in groups if g["params"]], betas=(0.9, 0.99), fused=fused)
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
        self.objective = GraphedObjective(objective, nets, stage, device, dtype)

    def take(self, batch: Batch, learning_rate: float) -> tuple[Tensor, Terms]:
        """One step down the gradient: the loss of the whole batch and the terms it is made of, both detached.

        batch: the pictures of this process. They go through the nets `micro_batch` at a time, the gradients adding up.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * learning_rate
        self.optimizer.zero_grad()
        passes = _cut(batch, self.stage.micro_batch)
        loss, terms = self._descend(batch) if len(passes) == 1 else self._accumulate(passes)
        processes.average_gradients(self.weights)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.weights, CLIP, foreach=True)
        if not self.scaler.is_enabled():  # which leaves such a step out
            loss = loss + 0 * norm  # no number where the gradient is none: then neither are the weights
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss, terms

    def _descend(self, batch: Batch) -> tuple[Tensor, Terms]:
        """Adds the gradient of what the batch at hand contributes to the loss."""
        terms = self.objective(batch)
        weighted = [self.stage.weight(name) * value for name, value in terms.items() if value.requires_grad]
        loss = sum(weighted, start=torch.zeros((), device=batch.image.device))
        self.scaler.scale(loss).backward()
        return loss.detach(), {name: value.detach() for name, value in terms.items()}

    def _accumulate(self, passes: list[Batch]) -> tuple[Tensor, Terms]:
        """As `_descend` for a batch that is too large for the memory. Costs a second forward pass."""
        totals = Passes()
        with _unmoved_statistics(self.nets):
            for part in passes:
                with totals.counting():
                    self.objective(part)
        for part in passes:
            with totals.knowing():
                loss, terms = self._descend(part)
        return loss, terms

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return self.optimizer.state_dict() | {"scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave, also of a run in another precision."""
        self.optimizer.load_state_dict(state)
        if self.scaler.is_enabled() and state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])


def _cut(batch: Batch, limit: int) -> list[Batch]:
    """In parts as even as can be of at most `limit` pictures; 0 is no limit."""
    if not limit:
        return [batch]
    size = len(batch.image)
    parts = -(-size // limit)
    return [batch.rows(slice(size * i // parts, size * (i + 1) // parts)) for i in range(parts)]


@contextmanager
def _unmoved_statistics(nets: nn.Module) -> Iterator[None]:
    """Inside, batch norms use their batch's statistics as ever, but do not remember them."""
    norms = [module for module in nets.modules() if isinstance(module, nn.BatchNorm2d) and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
