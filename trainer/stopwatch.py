"""How long something takes, as the device sees it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Adds up the time inside `running`. Python hands a GPU its work ahead of time, so there the GPU's own clock is read."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        self._laps: list[tuple[float, float]] = []
        self._gpu_laps: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """One lap."""
        if self.on_gpu:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            yield
            end.record()
            self._gpu_laps.append((begin, end))
        else:
            now = time.perf_counter()
            yield
            self._laps.append((now, time.perf_counter()))

    def read(self) -> float:
        """Seconds since it was last read. Waits for the GPU to finish the last lap."""
        if self._gpu_laps:
            self._gpu_laps[-1][1].synchronize()
        seconds = sum(end - begin for begin, end in self._laps)
        seconds += sum(begin.elapsed_time(end) for begin, end in self._gpu_laps) / 1000
        self._laps, self._gpu_laps = [], []
        return seconds
