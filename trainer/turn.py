"""One side of a training step: its objective, the nets that follow it, and their optimizer."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.graphed import GraphedObjective
from vmfm.trainer.stages import Nets, Objective, Stage, Terms

ENCODER_RATE = 0.4  # the pretrained encoder learns more slowly than what is new
CLIP = 2.0  # largest norm of the gradient


class Turn:
    """Most stages have one side; in an adversarial stage the foreground nets and the discriminator take turns.

    every: this side moves in each step whose number it divides.
    """

    def __init__(
        self,
        objective: Objective,
        nets: Nets,
        stage: Stage,
        learners: Iterable[nn.Module],
        device: torch.device,
        *,
        every: int = 1,
    ) -> None:
        self.stage, self.every = stage, every
        encoders: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for net in learners:
            for path, weight in net.train().requires_grad_(True).named_parameters():
                (encoders if path.startswith("encoder.") else rest).append(weight)
        self.weights = rest + encoders
        groups = [{"params": rest, "rate": 1.0}, {"params": encoders, "rate": ENCODER_RATE}]
        fused = device.type == "cuda"
        self.optimizer = torch.optim.Adam([g for g in groups if g["params"]], betas=(0.9, 0.99), fused=fused)
        self.objective = GraphedObjective(objective, nets, stage, device)

    def take(self, batch: Batch, learning_rate: float) -> tuple[Tensor, Terms]:
        """One step down the gradient: the loss and the terms it is made of, both detached."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * learning_rate
        terms = self.objective(batch)
        weighted = [self.stage.weight(name) * value for name, value in terms.items() if value.requires_grad]
        loss = sum(weighted, start=torch.zeros((), device=batch.image.device))
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, CLIP, foreach=True)
        self.optimizer.step()
        return loss.detach(), {name: value.detach() for name, value in terms.items()}
