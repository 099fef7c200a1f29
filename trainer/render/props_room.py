"""What rooms have that the furniture libraries lack: pictures, curtains, shelves of books, floor lamps."""

from random import Random

import numpy as np
from vmfm.trainer.render import palette
from vmfm.trainer.render.mesh import Material, Mesh, Pattern, Prop, join, mesh_of
from vmfm.trainer.render.shapes import box, lathe, tube


def picture(rng: Random) -> Prop:
    """In a frame, some with a mount: a painted ground and shapes on it."""
    width, height = rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.9)
    rim, depth = rng.uniform(0.01, 0.05), rng.uniform(0.015, 0.04)
    frame = palette.wood(rng) if rng.random() < 0.4 else palette.paint(rng)
    parts = [
        box(size, frame, center)
        for size, center in (
            ((width + 2 * rim, depth, rim), (0, 0, (height + rim) / 2)),
            ((width + 2 * rim, depth, rim), (0, 0, -(height + rim) / 2)),
            ((rim, depth, height), ((width + rim) / 2, 0, 0)),
            ((rim, depth, height), (-(width + rim) / 2, 0, 0)),
        )
    ]
    inner = rng.choice((1.0, rng.uniform(0.6, 0.9)))
    if inner < 1:
        parts.append(box((width, 0.004, height), palette.plastic(rng, (0.75, 0.74, 0.7))))
    ground = Material(palette.color(rng), 0.8, pattern=palette.pattern(rng, 0.6))
    parts.append(box((width * inner, 0.004, height * inner), ground, (0, -0.004, 0)))
    for layer in range(rng.randint(0, 6)):
        w, h = rng.uniform(0.1, 0.5) * width * inner, rng.uniform(0.1, 0.5) * height * inner
        x, z = rng.uniform(-0.5, 0.5) * (width * inner - w), rng.uniform(-0.5, 0.5) * (height * inner - h)
        parts.append(box((w, 0.001, h), Material(palette.color(rng), 0.8), (x, -0.007 - 0.001 * layer, z)))
    return Prop(join(*parts))


def curtain(rng: Random) -> Prop:
    """One or two lengths of cloth in folds, on a rod."""
    width, height = rng.uniform(0.4, 1.1), rng.uniform(1.2, 2.4)
    cloth = palette.cloth(rng, 0.4)
    if rng.random() < 0.25:
        cloth = Material(palette.near(rng, (0.8, 0.8, 0.78)), 0.9)
    pair = rng.random() < 0.5
    apart = rng.uniform(0.6, 1.2) * width if pair else 0.0
    lengths = [_folds(rng, width, height, cloth, x) for x in ((-apart, apart) if pair else (0.0,))]
    reach = width / 2 + apart + 0.1
    rod = tube([(-reach, 0, height / 2 + 0.03), (reach, 0, height / 2 + 0.03)], 0.014, palette.metal(rng))
    return Prop(join(*lengths, rod))


def _folds(rng: Random, width: float, height: float, cloth: Material, at: float) -> Mesh:
    across, down = 120, 12
    waves, deep, narrow = rng.uniform(4, 9) * width / 0.8, rng.uniform(0.02, 0.06), rng.uniform(0.75, 1.0)
    phase, drift = rng.uniform(0, 6.3), rng.uniform(-1.5, 1.5)
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, across), np.linspace(0, 1, down))
    x = at + width * u * (1 - (1 - narrow) * np.sin(np.pi * v))
    y = deep * (0.4 + 0.6 * v) * np.sin(2 * np.pi * waves * (u + 0.5) + phase + drift * v)
    points = np.stack([x, y, height * (0.5 - v)], -1).reshape(-1, 3)
    faces = [
        [i * across + j, (i + 1) * across + j, (i + 1) * across + j + 1, i * across + j + 1]
        for i in range(down - 1)
        for j in range(across - 1)
    ]
    return mesh_of(points, faces, cloth, smooth_degrees=180)


def book_shelf(rng: Random) -> Prop:
    """One to four boards on a wall or in a case, with books and gaps."""
    width, boards, gap = rng.uniform(0.5, 1.2), rng.randint(1, 4), rng.uniform(0.28, 0.38)
    depth, thick = rng.uniform(0.18, 0.28), rng.uniform(0.015, 0.035)
    stuff = palette.wood(rng) if rng.random() < 0.6 else palette.paint(rng)
    parts: list[Mesh] = []
    for level in range(boards):
        z = level * gap
        parts.append(box((width, depth, thick), stuff, (0, 0, z)))
        parts += _books(rng, width - 0.04, depth, z + thick / 2)
    if boards > 1 and rng.random() < 0.6:
        tall = boards * gap
        for x in (-width / 2 - thick / 2, width / 2 + thick / 2):
            parts.append(box((thick, depth, tall + thick), stuff, (x, 0, tall / 2)))
        parts.append(box((width + 2 * thick, depth, thick), stuff, (0, 0, tall)))
        if rng.random() < 0.7:
            parts.append(box((width, 0.008, tall), stuff, (0, depth / 2, tall / 2)))
    return Prop(join(*parts))


def _books(rng: Random, width: float, depth: float, floor: float) -> list[Mesh]:
    books, x = [], -width / 2 + rng.uniform(0, 0.15)
    while x < width / 2 - 0.05:
        if rng.random() < 0.06:
            x += rng.uniform(0.05, 0.3)
            continue
        thick, tall, deep = rng.uniform(0.012, 0.045), rng.uniform(0.16, 0.26), rng.uniform(0.6, 0.9) * depth
        y = (depth - deep) * rng.uniform(-0.5, 0)
        title = Pattern("lines", palette.color(rng), 2) if rng.random() < 0.2 else None
        cover = Material(palette.color(rng), 0.6, pattern=title)
        books.append(box((thick, deep, tall), cover, (x + thick / 2, y, floor + tall / 2)))
        x += thick + 0.001
    return books


def floor_lamp(rng: Random) -> Prop:
    """A foot, a rod and a shade, lit or not."""
    tall, radius = rng.uniform(1.2, 1.8), rng.uniform(0.12, 0.26)
    stand = palette.metal(rng) if rng.random() < 0.6 else palette.wood(rng)
    high, top = rng.uniform(0.18, 0.35), rng.uniform(0.4, 1.0) * radius
    shade = palette.near(rng, (0.75, 0.68, 0.55)) if rng.random() < 0.6 else palette.color(rng)
    cover = Material(shade, 0.8, emission=rng.choice((0.0, rng.uniform(0.4, 2.5))))
    foot = rng.uniform(0.1, 0.16)
    return Prop(
        join(
            lathe([(0, 0), (foot, 0), (foot, 0.02), (0, 0.03)], stand),
            tube([(0, 0, 0.02), (0, 0, tall - 0.02)], rng.uniform(0.008, 0.02), stand),
            lathe([(radius, tall - high), (top, tall), (top - 0.004, tall), (radius - 0.004, tall - high)], cover),
        )
    )
