"""Random colours and paints, as they are met with in things and clothes. Linear RGB."""

import colorsys
from random import Random

from vmfm.trainer.render.mesh import Color, Material, Pattern

GREYS = (0.02, 0.03, 0.06, 0.12, 0.3, 0.6, 0.8)


def color(rng: Random) -> Color:
    """A quarter greys, a third dark and muted, the rest lively."""
    hue, kind = rng.random(), rng.random()
    if kind < 0.25:
        return colorsys.hsv_to_rgb(hue, rng.uniform(0, 0.12), rng.choice(GREYS))
    if kind < 0.6:
        return colorsys.hsv_to_rgb(hue, rng.uniform(0.3, 0.75), rng.uniform(0.03, 0.25))
    return colorsys.hsv_to_rgb(hue, rng.uniform(0.25, 0.85), rng.uniform(0.15, 0.7))


def near(rng: Random, base: Color, spread: float = 0.25) -> Color:
    """Like `base`, a little lighter or darker."""
    factor = rng.uniform(1 - spread, 1 + spread)
    return (min(1.0, base[0] * factor), min(1.0, base[1] * factor), min(1.0, base[2] * factor))


def pattern(rng: Random, share: float = 0.5) -> Pattern | None:
    if rng.random() > share:
        return None
    return Pattern(rng.choice(("stripes", "checks", "dots", "noise")), color(rng), rng.uniform(2, 9))


def paint(rng: Random, patterned: float = 0.0) -> Material:
    """Lacquer or plastic."""
    return Material(color(rng), rng.uniform(0.15, 0.6), pattern=pattern(rng, patterned))


def plastic(rng: Random, base: Color) -> Material:
    return Material(near(rng, base), rng.uniform(0.25, 0.6))


def wood(rng: Random) -> Material:
    base = near(rng, rng.choice(((0.42, 0.25, 0.11), (0.2, 0.1, 0.05), (0.6, 0.44, 0.25))))
    return Material(base, rng.uniform(0.35, 0.7), pattern=Pattern("noise", near(rng, base, 0.4), rng.uniform(4, 9)))


def metal(rng: Random, tone: float | None = None) -> Material:
    value = rng.uniform(0.15, 0.7) if tone is None else tone
    return Material((value, value, value), rng.uniform(0.15, 0.4), metallic=1.0)


def rubber(rng: Random) -> Material:
    value = rng.uniform(0.01, 0.05)
    return Material((value, value, value), 0.8)


def leather(rng: Random) -> Material:
    base = rng.choice(((0.02, 0.015, 0.012), (0.16, 0.07, 0.03), (0.3, 0.17, 0.08), color(rng)))
    return Material(near(rng, base), rng.uniform(0.35, 0.65), weave=90)


def cloth(rng: Random, patterned: float = 0.35) -> Material:
    return Material(color(rng), rng.uniform(0.7, 0.95), specular=0.15, weave=160, pattern=pattern(rng, patterned))


def paper(rng: Random) -> Material:
    value = rng.uniform(0.7, 0.88)
    return Material((value, value, value * 0.97), 0.9, pattern=Pattern("lines", (0.25, 0.25, 0.25), rng.uniform(8, 14)))


def glass(rng: Random) -> Material:
    tint = rng.choice(((1.0, 1.0, 1.0), (0.9, 0.97, 0.95), (0.55, 0.7, 0.4)))
    return Material(tint, 0.03, specular=0.5, transmission=0.75, alpha=rng.uniform(0.5, 0.75))


SCREEN = Material((0.01, 0.01, 0.012), 0.1, specular=0.5)


def screen(rng: Random) -> Material:
    """Off, or showing something."""
    if rng.random() < 0.4:
        return SCREEN
    return Material(color(rng), 0.1, emission=rng.uniform(0.2, 1.2), pattern=Pattern("checks", color(rng), 3))
