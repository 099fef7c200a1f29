"""How far two computations of a net's output lie apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Difference:
    """Between two computations of one net's output, which lies in [0, 1]: over all pixels of all sizes."""

    max_abs: float
    mean_abs: float

    @classmethod
    def of(cls, differences: Sequence[np.ndarray]) -> Self:
        """differences: the absolute ones, an array per size or picture."""
        values = np.concatenate([array.ravel() for array in differences])
        return cls(float(values.max()), float(values.mean()))

    def __str__(self) -> str:
        return f"{self.max_abs:.1e} / {self.mean_abs:.1e}"
