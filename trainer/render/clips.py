"""Movement for clips: a body that sways, a head that turns, a hand that brings a thing into the picture and out again."""

import math
from random import Random

from vmfm.trainer.render.performer import Motion

FPS = 25
SHUTTER = 0.5  # of the time between frames


def motion_at(seconds: float, seed: int) -> Motion:
    """The moment of a clip. The same seed moves in the same way; everything is smooth in time."""
    rng = Random(f"motion {seed}")
    waves = [_Wave(rng) for _ in range(12)]
    sway = [wave.at(seconds) for wave in waves]
    lift = rng.choice((0.0, 0.0, 0.12, 0.2))  # of the hand, over and over, as in waving or showing
    period, phase = rng.uniform(1.2, 2.6), rng.uniform(0, 2 * math.pi)
    beat = math.sin(2 * math.pi * seconds / period + phase)
    turn = rng.choice((0.0, 0.0, 12.0)) * math.sin(2 * math.pi * seconds / rng.uniform(2, 4))
    return Motion(
        hand=(0.05 * sway[0] + 0.4 * lift * beat, 0.02 * sway[1], 0.04 * sway[2] + 0.5 * lift * (beat - 1)),
        spine_deg=(3 * sway[3] + turn, 1.5 * sway[4], 2 * sway[5]),
        head_deg=(6 * sway[6], 4 * sway[7], 2.5 * sway[8]),
        step=(0.02 * sway[9], 0.015 * sway[10], 0.004 * sway[11]),
    )


class _Wave:
    """Three slow sines, in [-1, 1]."""

    def __init__(self, rng: Random) -> None:
        self.parts = [(rng.uniform(0.15, 0.4) * k, rng.uniform(0, 2 * math.pi), 1 / k) for k in (1, 2, 3)]

    def at(self, seconds: float) -> float:
        total = sum(share * math.sin(2 * math.pi * hz * seconds + phase) for hz, phase, share in self.parts)
        return total / sum(share for _, _, share in self.parts)
