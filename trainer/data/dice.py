"""Chance for composing a batch, in whole or in part."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


class Dice:
    """Random numbers for `size` pictures, of which it hands out those of `rows`: a picture looks the same in any part.

    host: the generator of what is decided on the host. Draw from it for all `size` pictures, then take [rows].
    """

    def __init__(self, size: int, rows: slice | np.ndarray, seed: int, device: torch.device) -> None:
        self.size, self.rows = size, rows
        self.host = np.random.default_rng(seed)
        self._device = torch.Generator(device).manual_seed(seed)

    def uniform(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) float32 in [0, 1) on the device; count is that of the rows."""
        return self._handed(torch.rand, count, shape)

    def normal(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) float32 on the device, of mean 0 and deviation 1."""
        return self._handed(torch.randn, count, shape)

    def _handed(self, draw: Callable[..., Tensor], count: int, shape: tuple[int, ...]) -> Tensor:
        drawn = draw(self.size, *shape, generator=self._device, device=self._device.device)[self.rows]
        assert len(drawn) == count
        return drawn
