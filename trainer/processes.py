"""The processes that train together, one a GPU or CPU, as torchrun starts them; a process that it did not start is alone.

Each has the same nets and its own part of every batch. What depends on the whole batch is summed over all of them:
the losses (totals.py), the statistics of batch norms, the gradients. So they take the very step that one process would.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from vmfm.trainer.errors import TrainerError


@contextmanager
def joined(device: str | None = None) -> Iterator[torch.device]:
    """The device that this process is to train on; inside, the processes of one torchrun know each other.

    device: cpu, cuda or cuda:N; by default a GPU if there is one. Raises TrainerError where there is none such, or a
    process has no GPU of its own.
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    chosen = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"), try_it=alone)
    if alone:
        yield chosen
        return
    if chosen.type == "cuda":
        mine, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if mine >= there:
            raise TrainerError(f"process {mine} of this machine has no GPU, there are {there}; start one process a GPU")
        chosen = torch.device("cuda", mine)
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    yield chosen
    # not after an error: to take leave, NCCL waits for the others, who wait for what this process no longer sends
    dist.destroy_process_group()


def _device(name: str, *, try_it: bool) -> torch.device:
    try:
        device = torch.device(name)
        if try_it:
            torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for the device
        reason = str(error).partition("\n")[0]
        raise TrainerError(f"no device {name!r} to train on: wanted cpu, cuda or cuda:N ({reason})") from error
    return device


def rank() -> int:
    """Of this process, from 0; the first one writes the files and talks to people."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def alike(nets: nn.Module) -> None:
    """Gives all processes the first one's weights and buffers."""
    if count() > 1:
        for value in nets.state_dict().values():
            dist.broadcast(value, src=0)


def summed(part: Tensor) -> Tensor:
    """The sum of every process's tensor of this shape. Its gradient is the sum of theirs.

    So where each process descends the loss of the whole batch, the mean of their gradients is that of the loss.
    """
    return _Sum.apply(part) if count() > 1 else part


def largest(value: Tensor) -> Tensor:
    """Of every process's scalar."""
    value = value.clone()
    if count() > 1:
        dist.all_reduce(value, dist.ReduceOp.MAX)
    return value


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)


def average_gradients(weights: Sequence[nn.Parameter]) -> None:
    """Gives every weight the mean of its gradients over the processes, in one message; where there is none, it is 0."""
    if count() == 1:
        return
    gradients = [weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in weights]
    message = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(message)
    means = (message / count()).split([gradient.numel() for gradient in gradients])
    for weight, gradient, mean in zip(weights, gradients, means, strict=True):
        weight.grad = gradient.copy_(mean.view(gradient.shape))
