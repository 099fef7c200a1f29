"""Procedural things of sport. Sticks stand with the grip below; boards lie along x with the deck up."""

import math
from random import Random

import numpy as np
from vmfm.trainer.render import palette
from vmfm.trainer.render.kinematics import placed, rotation, vec
from vmfm.trainer.render.mesh import Material, Mesh, Pattern, Prop, join
from vmfm.trainer.render.shapes import ball, board, box, lathe, ring, tube


def baseball_bat(rng: Random) -> Prop:
    length = rng.uniform(0.76, 0.88)
    body = palette.wood(rng) if rng.random() < 0.5 else Material(palette.color(rng), 0.25, metallic=rng.choice((0, 1)))
    profile = [(0.022, 0), (0.024, 0.01), (0.014, 0.03), (0.0125, 0.28), (0.018, 0.4), (0.029, 0.6), (0.033, 0.8),
               (0.033, 0.96), (0.024, 1.0)]  # fmt: skip
    barrel = lathe([(r, z if z < 0.03 else z * length) for r, z in profile], body)
    tape = lathe([(0.0155, 0.03), (0.0145, 0.16), (0.014, length * 0.3)], palette.rubber(rng))
    return Prop(join(barrel, tape), (vec(0, 0, 0.08), vec(0, 0, 0.18)), radius=0.016)


def tennis_racket(rng: Random) -> Prop:
    frame_r = (rng.uniform(0.115, 0.13), rng.uniform(0.155, 0.175))
    center = 0.5
    paint, string = palette.paint(rng), Material((0.75, 0.75, 0.6), 0.5)
    parts = [ring(frame_r, 0.0085, paint, 44).moved(placed(np.eye(3), vec(0, 0, center)))]
    low = center - frame_r[1]
    for side in (-1, 1):
        parts.append(tube([(0, 0, 0.2), (side * 0.03, 0, low - 0.03), (side * 0.07, 0, low + 0.045)], 0.0085, paint))
    parts.append(tube([(0, 0, 0), (0, 0, 0.02), (0, 0, 0.2)], [0.018, 0.016, 0.0155], palette.rubber(rng), 8))
    for t in np.linspace(-0.88, 0.88, 15):
        half = math.sqrt(1 - t * t)
        x, z = t * frame_r[0], t * frame_r[1]
        ends = ((x, 0, center - half * frame_r[1]), (x, 0, center + half * frame_r[1]))
        parts.append(tube(ends, 0.0011, string, 4))
        ends = ((-half * frame_r[0], 0, center + z), (half * frame_r[0], 0, center + z))
        parts.append(tube(ends, 0.0011, string, 4))
    return Prop(join(*parts), (vec(0, 0, 0.09), vec(0, 0, 0.17)), radius=0.017)


def frisbee(rng: Random) -> Prop:
    r = rng.uniform(0.105, 0.138)
    disc = lathe([(r - 0.004, 0), (r, 0.004), (r * 0.985, 0.02), (r * 0.88, 0.029), (r * 0.5, 0.032), (0.002, 0.033),
                  (0.002, 0.03), (r * 0.86, 0.025), (r * 0.95, 0.015)], palette.paint(rng, 0.5), 44)  # fmt: skip
    stood = disc.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, 0)))
    grips = (vec(0, 0.0, -r * 0.93), vec(r * 0.95, 0, 0), vec(-r * 0.95, 0, 0))
    return Prop(stood, grips, radius=0.014)


def _sphere_ball(rng: Random, radius: float, surface: Material) -> Prop:
    return Prop(ball(radius, surface, sides=40), (vec(0, 0, 0),), radius=radius)


def football(rng: Random) -> Prop:
    dark = rng.choice(((0.02, 0.02, 0.02), palette.color(rng)))
    return _sphere_ball(
        rng, rng.uniform(0.1, 0.112), Material((0.75, 0.75, 0.75), 0.4, pattern=Pattern("dots", dark, 4))
    )


def basketball(rng: Random) -> Prop:
    r = rng.uniform(0.113, 0.121)
    leather, seam = Material(palette.near(rng, (0.55, 0.18, 0.04)), 0.6, weave=120), palette.rubber(rng)
    parts = [ball(r, leather, sides=40)]
    for turn in ((0, 0, 0), (0, 0, 90), (90, 0, 0)):
        spin = rotation(vec(1, 0, 0), turn[0]) @ rotation(vec(0, 0, 1), turn[2])
        parts.append(ring((r, r), 0.002, seam, 48).moved(placed(spin, vec(0, 0, 0))))
    return Prop(join(*parts), (vec(0, 0, 0),), radius=r)


def tennis_ball(rng: Random) -> Prop:
    return _sphere_ball(rng, 0.0335, Material((0.55, 0.75, 0.05), 0.9, weave=60))


def volleyball(rng: Random) -> Prop:
    stripes = Pattern("stripes", palette.color(rng), rng.uniform(1.5, 3))
    return _sphere_ball(rng, 0.105, Material((0.75, 0.72, 0.6), 0.5, pattern=stripes))


def _deck(rng: Random) -> Material:
    return Material(palette.color(rng), rng.uniform(0.15, 0.5), pattern=palette.pattern(rng, 0.8))


def _lying(mesh: Mesh, length: float, thickness: float) -> Prop:
    """A board lying along x: held by its middle, or by one edge."""
    half = float(np.ptp(mesh.vertices[:, 1])) / 2
    grips = (vec(0, 0, thickness / 2), vec(0, half, 0), vec(length * 0.25, half, 0))
    return Prop(mesh, grips, long=vec(1, 0, 0), flat=vec(0, 0, 1), radius=thickness / 2 + 0.004)


def surfboard(rng: Random) -> Prop:
    length, width = rng.uniform(1.7, 2.5), rng.uniform(0.48, 0.58)
    white = Material((0.75, 0.75, 0.72), 0.25, pattern=Pattern("stripes", palette.color(rng), rng.uniform(0.4, 1.2)))
    deck = board(length, width, 0.06, white if rng.random() < 0.5 else _deck(rng), 1.3, rng.uniform(0.03, 0.1), 0.7)
    fin = tube([(-length * 0.42, 0, -0.02), (-length * 0.45, 0, -0.14)], [0.05, 0.01], palette.paint(rng), 10, 0.12)
    return _lying(join(deck, fin), length, 0.06)


def snowboard(rng: Random) -> Prop:
    length = rng.uniform(1.4, 1.62)
    parts = [board(length, rng.uniform(0.25, 0.3), 0.012, _deck(rng), 0.35, 0.09, 0.35)]
    for x in (-0.26, 0.26):
        plate = palette.plastic(rng, (0.04, 0.04, 0.04))
        parts.append(box((0.14, 0.24, 0.02), plate, (x, 0, 0.015), 0.03))
        parts.append(tube([(x, -0.1, 0.02), (x, -0.13, 0.1), (x, -0.14, 0.18)], [0.03, 0.035, 0.02], plate, 8, 0.3))
    return _lying(join(*parts), length, 0.012)


def skateboard(rng: Random) -> Prop:
    length = rng.uniform(0.76, 0.86)
    grip = Material((0.02, 0.02, 0.02), 0.9, weave=200)
    parts = [board(length, 0.2, 0.011, _deck(rng), 0.4, 0.05, 0.4)]
    parts.append(board(length * 0.97, 0.19, 0.002, grip, 0.4, 0.05, 0.4).moved(placed(np.eye(3), vec(0, 0, 0.0065))))
    wheel, truck = palette.paint(rng), palette.metal(rng, 0.5)
    for x in (-length * 0.29, length * 0.29):
        parts.append(tube([(x, -0.1, -0.035), (x, 0.1, -0.035)], 0.007, truck))
        parts.append(box((0.05, 0.06, 0.03), truck, (x, 0, -0.018)))
        for y in (-0.1, 0.1):
            parts.append(tube([(x, y - 0.017, -0.045), (x, y + 0.017, -0.045)], 0.027, wheel, 20))
    return _lying(join(*parts), length, 0.02)


def skis(rng: Random) -> Prop:
    """A pair, lying along x, 0.22 m apart; grips are the two bindings."""
    length, deck = rng.uniform(1.45, 1.75), _deck(rng)
    binding = palette.plastic(rng, (0.05, 0.05, 0.05))
    parts = []
    for y in (-0.11, 0.11):
        ski = board(length, 0.095, 0.014, deck, 0.5, 0.0, 0.2)
        rise = np.maximum(0, ski.vertices[:, 0] / (length / 2) - 0.8) ** 2 / 0.04
        bent = ski.vertices + np.column_stack([0 * rise, 0 * rise + y, 0.09 * rise])
        parts.append(Mesh(bent, ski.corners, ski.counts, ski.slots, ski.materials, smooth_degrees=60))
        for x in (-0.13, 0.12):
            parts.append(box((0.09, 0.07, 0.045), binding, (x, y, 0.03), 0.015))
    return Prop(
        join(*parts), (vec(0, 0.11, 0.03), vec(0, -0.11, 0.03)), long=vec(1, 0, 0), flat=vec(0, 0, 1), radius=0.02
    )


def ski_pole(rng: Random) -> Prop:
    length = rng.uniform(1.1, 1.25)
    shaft, handle = palette.paint(rng), palette.rubber(rng)
    parts = (
        tube([(0, 0, 0.13), (0, 0, -length + 0.13)], [0.008, 0.005], shaft, 8),
        tube([(0, 0, -0.07), (0, 0, 0.06), (0, 0, 0.1), (0, 0, 0.13)], [0.013, 0.015, 0.019, 0.017], handle, 10),
        lathe([(0.01, -length + 0.2), (0.045, -length + 0.205), (0.042, -length + 0.21), (0.01, -length + 0.215)],
              handle, 18),
    )  # fmt: skip
    return Prop(join(*parts), (vec(0, 0, 0.0),), long=vec(0, 0, -1), radius=0.016)


def dumbbell(rng: Random) -> Prop:
    r, half = rng.uniform(0.04, 0.065), rng.uniform(0.07, 0.1)
    bar, weight = palette.metal(rng, 0.5), palette.paint(rng)
    parts = [tube([(0, 0, -half), (0, 0, half)], 0.015, bar)]
    for end in (-1, 1):
        z = end * half
        parts.append(lathe([(r * 0.8, z - 0.03), (r, z - 0.022), (r, z + 0.022), (r * 0.8, z + 0.03)], weight, 12))
    return Prop(join(*parts), (vec(0, 0, 0),), radius=0.016)
