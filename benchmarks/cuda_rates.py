"""What this computer's CUDA GPU can do: the rates that floors are made of, by torch."""

from collections.abc import Callable

import torch
from floor import Rates

_REPEATS = 10
_MATRIX_SIDE = 8192
_COPIED_BYTES = 256 << 20


def measure_cuda_rates() -> Rates:
    """In float16, accumulated as the library chooses; copies from and to pinned memory."""
    a, b = (torch.randn((_MATRIX_SIDE, _MATRIX_SIDE), device="cuda", dtype=torch.float16) for _ in range(2))
    product = torch.empty_like(a)
    source, target = (torch.zeros(_COPIED_BYTES, device="cuda", dtype=torch.uint8) for _ in range(2))
    host = torch.zeros(_COPIED_BYTES, dtype=torch.uint8, pin_memory=True)
    return Rates(
        matrix=2 * _MATRIX_SIDE**3 / _best_seconds(lambda: torch.matmul(a, b, out=product)),
        memory=2 * _COPIED_BYTES / _best_seconds(lambda: target.copy_(source)),
        upload=_COPIED_BYTES / _best_seconds(lambda: target.copy_(host, non_blocking=True)),
        download=_COPIED_BYTES / _best_seconds(lambda: host.copy_(source, non_blocking=True)),
    )


def _best_seconds(action: Callable[[], object]) -> float:
    """The shortest of a few times on the GPU, after one to warm up."""
    times = []
    for _ in range(1 + _REPEATS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        action()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1000)
    return min(times[1:])
