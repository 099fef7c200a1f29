"""How long each node took, kept for the last frames."""

from collections import defaultdict, deque
from collections.abc import Mapping

import numpy as np

KEPT_FRAMES = 1000


class Timings:
    """Milliseconds per node name, of the last KEPT_FRAMES frames. Appending is safe from several threads."""

    def __init__(self) -> None:
        self._by_node: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT_FRAMES))

    def add(self, node: str, milliseconds: float) -> None:
        self._by_node[node].append(milliseconds)

    def clear(self) -> None:
        """Forgets everything measured so far, e.g. after warming up."""
        self._by_node.clear()

    @property
    def milliseconds(self) -> Mapping[str, np.ndarray]:
        """Per node the measured milliseconds, float64 (frames,), oldest first."""
        return {node: np.array(values) for node, values in self._by_node.items()}

    def percentiles(self, *percents: float) -> Mapping[str, tuple[float, ...]]:
        """Per node the given percentiles in milliseconds, e.g. percentiles(50, 95, 99)."""
        return {node: tuple(np.percentile(ms, percents).tolist()) for node, ms in self.milliseconds.items()}
