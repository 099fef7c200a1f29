"""The forward and backward pass of a training step as one CUDA graph per picture size.

The small nets of `lite` launch thousands of short kernels a step; Python cannot issue them as fast as a GPU runs them.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from vmfm.trainer import processes
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.stages import Nets, Objective, Stage, Terms


class ObjectiveModule(nn.Module):
    """An objective as a module that takes a batch's tensors one by one, as graph capture wants it.

    dtype: of the convolutions, by autocast; what must stay float32 does.
    """

    def __init__(
        self, objective: Objective, nets: Nets, stage: Stage, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.objective, self.nets, self.stage, self.device, self.dtype = objective, nets, stage, device, dtype
        self.names: tuple[str, ...] = ()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        batch = Batch(**{field.name: tensor for field, tensor in zip(fields(Batch), tensors, strict=True)})
        # the cache of cast weights would outlive the capture
        mixed = self.dtype != torch.float32
        with torch.autocast(self.device.type, self.dtype if mixed else None, enabled=mixed, cache_enabled=False):
            terms = self.objective(self.nets, batch, self.stage)
        self.names = tuple(terms)
        return tuple(terms.values())


class GraphedObjective:
    """Gives the terms for a batch: captured, one graph per shape in one shared pool; eager where a graph cannot be.

    That is on CPUs, where a batch has parts, whose sums go through other processes and other passes, and where the work of
    a step depends on what its pictures show.
    """

    def __init__(
        self, objective: Objective, nets: Nets, stage: Stage, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.objective, self.nets, self.stage, self.device, self.dtype = objective, nets, stage, device, dtype
        self.captured: dict[tuple[int, ...], tuple[ObjectiveModule, Callable[..., Any]]] = {}
        whole = processes.count() == 1 and not stage.micro_batch and nets.model.replayable
        self.pool = torch.cuda.graph_pool_handle() if device.type == "cuda" and whole else None

    def __call__(self, batch: Batch) -> Terms:
        tensors = tuple(getattr(batch, field.name) for field in fields(batch))
        shape = tuple(batch.image.shape)
        if shape not in self.captured:
            self.captured[shape] = self._prepare(tensors)
        objective, run = self.captured[shape]
        values = run(*tensors)
        return dict(zip(objective.names, values, strict=True))

    def _prepare(self, tensors: tuple[Tensor, ...]) -> tuple[ObjectiveModule, Callable[..., Any]]:
        objective = ObjectiveModule(self.objective, self.nets, self.stage, self.device, self.dtype)
        if self.pool is None:
            return objective, objective
        sample = tuple(tensor.detach().clone() for tensor in tensors)
        # warming up, batch norms would count this batch thrice
        kept = [(buffer, buffer.clone()) for buffer in self.nets.buffers()]
        graphed = torch.cuda.make_graphed_callables(objective, sample, allow_unused_input=True, pool=self.pool)
        for buffer, before in kept:
            buffer.copy_(before)
        return objective, graphed
