"""Sums over a whole batch, wherever its parts are: in several processes, or in several passes where memory is short.

A loss is a ratio of such sums (errors of pixels over the number of pixels that are known), so it must not be worked out
part by part: a part with few known pixels would count as much as one with many.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from vmfm.trainer import processes


def totals(*sums: Tensor) -> tuple[Tensor, ...]:
    """Scalars that were summed over the part at hand -> the same of the whole batch; the gradient is the part's own."""
    if processes.count() == 1 and _passes is None:
        return sums
    together = processes.summed(torch.stack(sums))
    return (together if _passes is None else _passes.entry(together)).unbind()


class Passes:
    """The totals of one batch that is taken in passes.

    First every pass is gone through under `counting`, then again under `knowing`, where each total is known from the
    start. The order of totals has to be the same in every pass.
    """

    def __init__(self) -> None:
        self.sums: list[Tensor] = []
        self._place, self._counting = 0, True

    @contextmanager
    def counting(self) -> Iterator[None]:
        """One pass, of which nothing but the sums is wanted."""
        with self._open(counting=True), torch.no_grad():
            yield

    @contextmanager
    def knowing(self) -> Iterator[None]:
        """One pass again."""
        with self._open(counting=False):
            yield

    @contextmanager
    def _open(self, *, counting: bool) -> Iterator[None]:
        global _passes
        _passes, self._place, self._counting = self, 0, counting
        try:
            yield
        finally:
            _passes = None

    def entry(self, part: Tensor) -> Tensor:
        """What all passes sum up to, in place of the next sums of this one."""
        place, self._place = self._place, self._place + 1
        if not self._counting:
            return self.sums[place] + part - part.detach()
        if place == len(self.sums):
            self.sums.append(part)
        else:
            self.sums[place] = self.sums[place] + part
        return part


_passes: Passes | None = None  # of the batch whose losses are being worked out
