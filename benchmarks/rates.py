"""What this computer's CPU can do: the rates that floors are made of, by NumPy."""

import time
from collections.abc import Callable

import numpy as np
from floor import Rates

_REPEATS = 5
_MATRIX_SIDE = 1536
_COPIED_BYTES = 128 << 20


def measure_cpu_rates() -> Rates:
    """In float32, with as many threads as NumPy takes. There is nothing to copy frames to."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((_MATRIX_SIDE, _MATRIX_SIDE), np.float32) for _ in range(2))
    product, source = np.empty_like(a), rng.integers(0, 255, _COPIED_BYTES, np.uint8)
    target = np.zeros_like(source)
    return Rates(
        matrix=2 * _MATRIX_SIDE**3 / _best_seconds(lambda: np.matmul(a, b, out=product)),
        memory=2 * _COPIED_BYTES / _best_seconds(lambda: np.copyto(target, source)),
    )


def _best_seconds(action: Callable[[], object]) -> float:
    """The shortest of a few times: what the device can do where nothing disturbs it."""
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)
