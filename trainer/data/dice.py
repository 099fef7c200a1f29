"""Chance for composing a batch, in whole or in part."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


class Dice:
    """Random numbers for `size` pictures, of which it hands out those of `rows`: a picture looks the same in any part.

    host: the generator of what is decided on the host. Draw from it for all `size` pictures, then take [rows].
    own: a generator on the host for each of the rows, for what one picture alone decides.
    """

    def __init__(self, size: int, rows: slice | np.ndarray, seed: int, device: torch.device) -> None:
        self.size, self.rows = size, rows

        def stream(*key: int) -> np.random.SeedSequence:
            return np.random.SeedSequence(seed, spawn_key=key)

        self.host = np.random.default_rng(stream(0))
        self.own = [np.random.default_rng(stream(1, int(number))) for number in np.arange(size)[rows]]
        # hashed to 32 bits, since torch's generator on CPUs keeps no more of a seed
        self._device = torch.Generator(device).manual_seed(int(stream(2).generate_state(1)[0]))

    def send(self, values: np.ndarray | list[int] | list[float]) -> Tensor:
        """To the device without waiting for it; floats as float32."""
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        return torch.from_numpy(array).to(self._device.device, non_blocking=True)

    def uniform(self, low: float = 0.0, high: float = 1.0, channels: int = 1) -> Tensor:
        """(rows, channels, 1, 1) float32 in [low, high) on the device."""
        return low + (high - low) * self._handed(torch.rand, channels, 1, 1)

    def chance(self, p: float) -> Tensor:
        """(rows, 1, 1, 1) float32 on the device: 1 with probability p, else 0."""
        return (self.uniform() < p).float()

    def chosen(self, p: float | np.ndarray) -> list[int]:
        """Which of the rows, each with probability p (one for all, or one each); decided on the host."""
        return [
            i for i, (rng, share) in enumerate(zip(self.own, np.broadcast_to(p, len(self.own)))) if rng.random() < share
        ]

    def normal(self, *shape: int) -> Tensor:
        """(rows, *shape) float32 on the device, of mean 0 and deviation 1."""
        return self._handed(torch.randn, *shape)

    def _handed(self, draw: Callable[..., Tensor], *shape: int) -> Tensor:
        return draw(self.size, *shape, generator=self._device, device=self._device.device)[self.rows]
