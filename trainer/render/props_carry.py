"""Procedural luggage, tools and other things to carry."""

import math
from random import Random

import numpy as np
from vmfm.trainer.render import palette
from vmfm.trainer.render.kinematics import placed, rotation, vec
from vmfm.trainer.render.mesh import Material, Mesh, Prop, join, mesh_of
from vmfm.trainer.render.shapes import ball, box, lathe, pillow, prism, tube


def _arch(width: float, height: float, radius: float, material: Material, base: float, y: float = 0.0) -> Mesh:
    """A handle: from side to side over the top, standing on z = base."""
    angles = np.linspace(0, math.pi, 13)
    path = [(width / 2 * math.cos(a), y, base + height * math.sin(a) ** 0.7) for a in angles]
    return tube(path, radius, material, 8)


def umbrella(rng: Random) -> Prop:
    """Open: eight or ten ribs, the cloth hanging a little between them."""
    ribs, r, rise = rng.choice((8, 8, 10)), rng.uniform(0.44, 0.6), rng.uniform(0.17, 0.25)
    length = rng.uniform(0.62, 0.75)
    clear = rng.random() < 0.15
    cloth = Material((0.9, 0.92, 0.95), 0.1, alpha=0.3) if clear else palette.cloth(rng)
    around, rows, points = ribs * 6, 9, []
    for i in range(rows):
        t = i / (rows - 1)
        for j in range(around):
            sag = 0.5 - 0.5 * math.cos(2 * math.pi * ribs * j / around)
            angle = 2 * math.pi * j / around
            radius = max(0.004, r * math.sin(t * math.pi / 2) * (1 - 0.07 * sag * t**3))
            points.append((radius * math.cos(angle), radius * math.sin(angle),
                           length - rise * (1 - math.cos(t * math.pi / 2)) - 0.012 * sag * t))  # fmt: skip
    faces = [
        [i * around + j, (i + 1) * around + j, (i + 1) * around + (j + 1) % around, i * around + (j + 1) % around]
        for i in range(rows - 1)
        for j in range(around)
    ]
    steel = palette.metal(rng, 0.5)
    parts = [mesh_of(points, faces, cloth, 60), tube([(0, 0, 0), (0, 0, length + 0.05)], 0.005, steel, 8)]
    for k in range(ribs):
        angle = 2 * math.pi * k / ribs
        turn = placed(rotation(vec(0, 0, 1), math.degrees(angle)), vec(0, 0, 0))
        bow = [(r * math.sin(t), 0, length - rise * (1 - math.cos(t)) - 0.004) for t in np.linspace(0, math.pi / 2, 8)]
        parts.append(tube(bow, 0.002, steel, 5).moved(turn))
        stay = [(0.01, 0, length * 0.72), (r * 0.55, 0, length - rise * 0.17)]
        parts.append(tube(stay, 0.0018, steel, 5).moved(turn))
    handle = palette.wood(rng) if rng.random() < 0.5 else palette.rubber(rng)
    if rng.random() < 0.6:
        hook = [(0.0, 0.0, 0.06), (0.0, 0.0, -0.06)]
        hook += [(0.03 - 0.03 * math.cos(a), 0.0, -0.06 - 0.03 * math.sin(a)) for a in np.linspace(0.3, 3.3, 9)]
        parts.append(tube(hook, 0.011, handle))
    else:
        parts.append(lathe([(0.012, -0.07), (0.015, -0.05), (0.013, 0.03), (0.008, 0.05)], handle, 14))
    return Prop(join(*parts), (vec(0, 0, 0),), radius=0.013)


def umbrella_folded(rng: Random) -> Prop:
    length, cloth = rng.uniform(0.6, 0.8), palette.cloth(rng)
    folds = lathe([(0.012, 0.14), (0.028, 0.2), (0.033, 0.45 * length + 0.1), (0.012, length - 0.03)], cloth, 9)
    stick = tube([(0, 0, -0.02), (0, 0, length + 0.04)], 0.005, palette.metal(rng, 0.4), 8)
    hook = [(0.0, 0.0, 0.1), (0.0, 0.0, -0.03)]
    hook += [(0.04 - 0.04 * math.cos(a), 0.0, -0.03 - 0.04 * math.sin(a)) for a in np.linspace(0.3, 3.2, 9)]
    return Prop(join(folds, stick, tube(hook, 0.011, palette.wood(rng))), (vec(0, 0, 0.05),), radius=0.013)


def suitcase(rng: Random) -> Prop:
    """A trolley: stands on its wheels, the handle drawn out; grips are that handle and the one on top."""
    w, d, h = rng.uniform(0.34, 0.46), rng.uniform(0.2, 0.27), rng.uniform(0.5, 0.68)
    shell = palette.paint(rng, 0.2)
    body = pillow([(-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)], d, shell, 0.12)
    body = body.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, h / 2 + 0.05)))
    parts, dark = [body], palette.plastic(rng, (0.03, 0.03, 0.03))
    for x in np.linspace(-0.3, 0.3, rng.choice((3, 4, 5))) * w:
        parts.append(box((0.012, d * 1.015, h * 0.86), shell, (x, 0, h / 2 + 0.05), 0.004))
    for x in (-w * 0.38, w * 0.38):
        for y in (-d * 0.32, d * 0.32):
            parts.append(tube([(x - 0.012, y, 0.027), (x + 0.012, y, 0.027)], 0.027, dark, 14))
    top = h + 0.05
    drawn = top + rng.uniform(0.32, 0.42)
    steel = palette.metal(rng, 0.5)
    for x in (-w * 0.2, w * 0.2):
        parts.append(tube([(x, d * 0.36, top - 0.02), (x, d * 0.36, drawn)], 0.008, steel, 8))
    parts.append(tube([(-w * 0.23, d * 0.36, drawn), (w * 0.23, d * 0.36, drawn)], 0.016, dark, 10))
    parts.append(_arch(w * 0.3, 0.03, 0.01, dark, top - 0.005))
    return Prop(join(*parts), (vec(0, d * 0.36, drawn), vec(0, 0, top + 0.025)), long=vec(0, 0, -1), radius=0.016)


def handbag(rng: Random) -> Prop:
    w, d, h = rng.uniform(0.24, 0.36), rng.uniform(0.09, 0.14), rng.uniform(0.17, 0.26)
    skin = palette.leather(rng)
    taper = rng.uniform(0.75, 1.0)
    body = pillow([(-w / 2, -h / 2), (w / 2, -h / 2), (w / 2 * taper, h / 2), (-w / 2 * taper, h / 2)], d, skin, 0.25)
    parts = [body.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, h / 2)))]
    drop = rng.uniform(0.09, 0.2)
    parts += [_arch(w * 0.5, drop, 0.0075, skin, h * 0.9, y) for y in (-d * 0.3, d * 0.3)]
    parts.append(box((0.04, 0.006, 0.03), palette.metal(rng), (0, -d / 2 - 0.001, h * 0.75)))
    return Prop(join(*parts), (vec(0, 0, h * 0.9 + drop),), long=vec(0, 0, -1), radius=0.012)


def tote(rng: Random) -> Prop:
    """A shopping bag of cloth or paper with two loops."""
    w, d, h = rng.uniform(0.3, 0.4), rng.uniform(0.08, 0.14), rng.uniform(0.32, 0.42)
    stuff = palette.cloth(rng, 0.6)
    bag = box((w, d, h), stuff, (0, 0, h / 2), 0.02)
    taper = 1 - 0.35 * np.clip(bag.vertices[:, 2] / h, 0, 1)
    narrowed = Mesh(bag.vertices * np.column_stack([np.ones_like(taper), taper, np.ones_like(taper)]), bag.corners,
                    bag.counts, bag.slots, bag.materials)  # fmt: skip
    drop = rng.uniform(0.12, 0.2)
    loops = [_arch(w * 0.4, drop, 0.008, stuff, h - 0.01, y) for y in (-d * 0.28, d * 0.28)]
    return Prop(join(narrowed, *loops), (vec(0, 0, h + drop - 0.01),), long=vec(0, 0, -1), radius=0.012)


def backpack(rng: Random) -> Prop:
    """Its back panel is the plane y = 0; grips: the loop on top, and where the two straps pass over the shoulders."""
    w, d, h = rng.uniform(0.25, 0.31), rng.uniform(0.12, 0.18), rng.uniform(0.36, 0.46)
    main, second = palette.cloth(rng), palette.cloth(rng, 0.0)
    sack = pillow([(-w / 2, -h / 2), (w / 2, -h / 2), (w * 0.46, h * 0.42), (w * 0.25, h / 2), (-w * 0.25, h / 2),
                   (-w * 0.46, h * 0.42)], d, main, 0.35)  # fmt: skip
    pocket = pillow([(-w * 0.36, -h * 0.2), (w * 0.36, -h * 0.2), (w * 0.34, h * 0.2), (-w * 0.34, h * 0.2)], d * 0.4,
                    second, 0.3)  # fmt: skip
    parts = [
        sack.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, d / 2, h / 2))),
        pocket.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, d * 1.05, h * 0.28))),
        _arch(0.09, 0.05, 0.008, second, h - 0.01, d * 0.1),
    ]
    over = h * 0.9  # height of the shoulders
    for side in (-1, 1):
        strap = [(0.075, 0.0, over + 0.02), (0.085, -0.05, over + 0.085), (0.09, -0.13, over + 0.095),
                 (0.095, -0.22, over + 0.045), (0.1, -0.265, over - 0.06), (0.125, -0.25, over - 0.17),
                 (0.165, -0.13, over - 0.26), (0.16, -0.04, over - 0.28), (0.1, 0.02, over - 0.29)]  # fmt: skip
        parts.append(tube([(side * x, y, z) for x, y, z in strap], 0.024, second, 8, 0.25))
    return Prop(join(*parts), (vec(0, d * 0.1, h + 0.04), vec(0.085, 0, h * 0.9), vec(-0.085, 0, h * 0.9)),
                long=vec(0, 0, -1), flat=vec(0, -1, 0), radius=0.011)  # fmt: skip


def parcel(rng: Random) -> Prop:
    w, d, h = rng.uniform(0.16, 0.44), rng.uniform(0.12, 0.32), rng.uniform(0.08, 0.34)
    card = Material((0.35, 0.22, 0.12), 0.9) if rng.random() < 0.5 else palette.paint(rng, 0.5)
    parts = [box((w, d, h), card)]
    if rng.random() < 0.6:
        tape = palette.paint(rng)
        parts.append(box((w * 1.002, 0.05, h * 1.002), tape))
    return Prop(join(*parts), radius=w / 2)


def scissors(rng: Random) -> Prop:
    steel, grip = palette.metal(rng, 0.6), palette.paint(rng)
    parts, spread = [], rng.uniform(3, 14)
    for side in (-1, 1):
        blade = prism([(-0.008, 0), (0.008, 0), (0.002, 0.1)], 0.002, steel)
        blade = blade.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, side * 0.001, 0)))
        loop = [
            (side * 0.018 + 0.016 * math.cos(a), 0, -0.06 + 0.024 * math.sin(a)) for a in np.linspace(0, 6.28, 18)[:-1]
        ]
        half = join(
            blade, tube(loop, 0.004, grip, 7, closed=True), tube([(0, 0, 0), (side * 0.008, 0, -0.04)], 0.005, grip, 6)
        )
        parts.append(half.moved(placed(rotation(vec(0, 1, 0), side * spread), vec(0, 0, 0))))
    return Prop(join(*parts), (vec(0, 0, -0.055),), radius=0.01)


def knife(rng: Random) -> Prop:
    length = rng.uniform(0.12, 0.2)
    blade = prism([(-0.014, 0), (0.012, 0), (0.01, length * 0.75), (-0.012, length)], 0.002, palette.metal(rng, 0.6))
    handle = tube([(0, 0, -0.11), (0, 0, -0.05), (0, 0, 0)], [0.012, 0.011, 0.012], palette.wood(rng), 8, 0.6)
    return Prop(
        join(blade.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, 0))), handle), (vec(0, 0, -0.06),), radius=0.012
    )


def fork(rng: Random) -> Prop:
    steel = palette.metal(rng, 0.6)
    handle = tube([(0, 0, -0.12), (0, 0, -0.04), (0, 0, 0.03)], [0.008, 0.005, 0.004], steel, 8, 0.4)
    head = prism([(-0.004, 0), (0.004, 0), (0.011, 0.018), (-0.011, 0.018)], 0.002, steel)
    parts = [handle, head.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, 0.03)))]
    parts += [tube([(x, 0, 0.047), (x, 0, 0.082)], 0.0014, steel, 5) for x in (-0.0095, -0.0032, 0.0032, 0.0095)]
    return Prop(join(*parts), (vec(0, 0, -0.05),), radius=0.008, mouth=vec(0, 0, 0.082))


def hair_dryer(rng: Random) -> Prop:
    shell, dark = palette.paint(rng), palette.plastic(rng, (0.03, 0.03, 0.03))
    barrel = tube(
        [(0, 0.075, 0.15), (0, 0.03, 0.15), (0, -0.06, 0.15), (0, -0.12, 0.15)], [0.034, 0.04, 0.036, 0.026], shell, 20
    )
    nozzle = tube([(0, -0.12, 0.15), (0, -0.15, 0.15)], [0.027, 0.02], dark, 16)
    handle = tube([(0, 0.012, -0.01), (0, 0.0, 0.06), (0, 0, 0.13)], [0.017, 0.018, 0.02], shell, 12)
    cord = tube([(0, 0.012, 0), (0, 0.03, -0.15), (0.02, 0.1, -0.4)], 0.004, dark, 6)
    return Prop(join(barrel, nozzle, handle, cord), (vec(0, 0, 0.05),), radius=0.019, flat=vec(0, -1, 0))


def flute(rng: Random) -> Prop:
    steel = palette.metal(rng, 0.7) if rng.random() < 0.6 else palette.wood(rng)
    length = rng.uniform(0.5, 0.66)
    parts = [tube([(0, 0, 0), (0, 0, length)], 0.0095, steel, 14)]
    parts += [
        lathe([(0.012, z), (0.0125, z + 0.006), (0.012, z + 0.012)], steel, 12) for z in np.linspace(0.05, 0.4, 9)
    ]
    grips = (vec(0, 0, length * 0.22), vec(0, 0, length * 0.58))
    return Prop(join(*parts), grips, radius=0.012, mouth=vec(0, 0, length * 0.93))


def pen(rng: Random) -> Prop:
    r = rng.uniform(0.0045, 0.007)
    body = lathe([(0.001, -0.075), (r * 0.6, -0.062), (r, -0.05), (r, 0.06), (r * 0.8, 0.07)], palette.paint(rng), 12)
    return Prop(body, (vec(0, 0, -0.045),), radius=r)


def flowers(rng: Random) -> Prop:
    """A bouquet: stems through the hand, blossoms and leaves above, a paper around it now and then."""
    green = Material(palette.near(rng, (0.06, 0.22, 0.03)), 0.6)
    petal = [palette.paint(rng) for _ in range(rng.choice((1, 2, 3)))]
    parts = []
    for _ in range(rng.randint(5, 14)):
        angle, out = rng.uniform(0, 6.28), rng.uniform(0.02, 0.11)
        tip = vec(out * math.cos(angle), out * math.sin(angle), rng.uniform(0.2, 0.32))
        parts.append(tube([(-tip[0] * 0.3, -tip[1] * 0.3, -0.12), (0, 0, 0), tip], 0.0025, green, 5))
        head = ball((0.014, 0.014, 0.012), rng.choice(petal), tip, 10)
        leaves = [
            ball((0.016, 0.009, 0.004), head.materials[0], (0.018, 0, 0), 8).moved(
                placed(rotation(vec(0, 0, 1), 60 * k) @ rotation(vec(0, 1, 0), -25), tip)
            )
            for k in range(6)
        ]
        parts += [head, *leaves]
        parts.append(ball((0.012, 0.004, 0.05), green, tip * 0.6 + vec(0, 0, 0.02), 8))
    if rng.random() < 0.4:
        parts.append(
            lathe([(0.025, -0.05), (0.02, 0.0), (0.1, 0.2), (0.097, 0.2), (0.017, 0.0)], palette.paint(rng, 0.4), 20)
        )
    return Prop(join(*parts), (vec(0, 0, -0.02),), radius=0.02)


def hand_fan(rng: Random) -> Prop:
    r, blades = rng.uniform(0.19, 0.24), 22
    cloth, stick = palette.cloth(rng, 0.6), palette.wood(rng)
    angles = np.linspace(-1.15, 1.15, blades)
    zig = [0.004 * (-1) ** i for i in range(blades)]
    points = [(q * r * math.sin(a), z, q * r * math.cos(a)) for q in (0.42, 1.0) for a, z in zip(angles, zig)]
    faces = [[i, i + 1, blades + i + 1, blades + i] for i in range(blades - 1)]
    ribs = [
        tube([(0, 0, 0), (r * 0.97 * math.sin(a), 0, r * 0.97 * math.cos(a))], 0.0022, stick, 5, 0.5)
        for a in angles[::2]
    ]
    return Prop(join(mesh_of(points, faces, cloth, 10), *ribs), (vec(0, 0, 0.03),), radius=0.008)


def headphones(rng: Random) -> Prop:
    """For a head 0.15 m wide: the cups at x = +-0.075, z = 0, the band over z = 0.13."""
    dark, pad = palette.paint(rng), palette.rubber(rng)
    band = tube(
        [(0.083 * math.cos(a), 0, 0.02 + 0.118 * math.sin(a)) for a in np.linspace(0, math.pi, 19)], 0.011, dark, 8, 0.5
    )
    parts = [band]
    for side in (-1, 1):
        parts.append(tube([(side * 0.07, 0, 0), (side * 0.085, 0, 0)], 0.035, pad, 22))
        parts.append(
            tube([(side * 0.085, 0, 0), (side * 0.1, 0, 0), (side * 0.106, 0, 0)], [0.037, 0.035, 0.02], dark, 22)
        )
    return Prop(join(*parts), (vec(0.08, 0, 0), vec(-0.08, 0, 0)))


def _seat(parts: list[Mesh], height: float, depth: float) -> Prop:
    """Grips: the middle of the seat's front half; the back of it is at y = depth."""
    return Prop(join(*parts), (vec(0, depth * 0.45, height), vec(0, depth, height)))


def stool(rng: Random) -> Prop:
    h, r, surface = rng.uniform(0.44, 0.6), rng.uniform(0.16, 0.2), palette.wood(rng)
    top = palette.leather(rng) if rng.random() < 0.5 else surface
    parts = [lathe([(r * 0.97, h - 0.035), (r, h - 0.02), (r * 0.96, h), (0.01, h + 0.005)], top, 28)]
    for a in np.linspace(0.4, 0.4 + 2 * math.pi, 5)[:-1]:
        parts.append(
            tube(
                [(r * 0.6 * math.cos(a), r * 0.6 * math.sin(a), h - 0.03), (r * math.cos(a), r * math.sin(a), 0)],
                0.015,
                surface,
            )
        )
    moved = [part.moved(placed(np.eye(3), vec(0, r, 0))) for part in parts]
    return _seat(moved, h, 2 * r + 0.1)


def bench(rng: Random) -> Prop:
    w, h, d = rng.uniform(1.2, 1.8), rng.uniform(0.42, 0.47), 0.42
    slat, leg = palette.wood(rng), palette.metal(rng, 0.1)
    parts = [box((w, 0.085, 0.03), slat, (0, y, h - 0.015)) for y in np.linspace(0.05, d - 0.05, 4)]
    if rng.random() < 0.7:
        parts += [
            box((w, 0.025, 0.085), slat, (0, d + 0.03 + 0.12 * (z - h), z)) for z in (h + 0.14, h + 0.26, h + 0.38)
        ]
        parts += [tube([(x, d, h - 0.02), (x, d + 0.05, h + 0.43)], 0.016, leg) for x in (-w * 0.4, w * 0.4)]
    for x in (-w * 0.4, w * 0.4):
        parts += [tube([(x, y, 0), (x, y, h - 0.03)], 0.02, leg) for y in (0.05, d - 0.03)]
        parts.append(tube([(x, 0.03, h - 0.04), (x, d, h - 0.04)], 0.018, leg))
    return _seat(parts, h, d)


def couch(rng: Random) -> Prop:
    w, h, d = rng.uniform(1.1, 1.7), rng.uniform(0.4, 0.45), rng.uniform(0.5, 0.58)
    stuff = palette.leather(rng) if rng.random() < 0.4 else palette.cloth(rng)
    soft: list[Mesh] = []
    for x in (-w / 4, w / 4):
        square = [(-w / 4.1, -d / 2), (w / 4.1, -d / 2), (w / 4.1, d / 2), (-w / 4.1, d / 2)]
        soft.append(pillow(square, 0.16, stuff, 0.3).moved(placed(np.eye(3), vec(x, d / 2, h - 0.08))))
        upright = placed(rotation(vec(1, 0, 0), 78), vec(x, d + 0.06, h + 0.22))
        tall = [(-w / 4.1, -0.24), (w / 4.1, -0.24), (w / 4.1, 0.24), (-w / 4.1, 0.24)]
        soft.append(pillow(tall, 0.17, stuff, 0.35).moved(upright))
    soft.append(box((w + 0.1, d + 0.2, h - 0.24), stuff, (0, d / 2 + 0.1, (h - 0.24) / 2 + 0.08), 0.03))
    soft.append(box((w + 0.1, 0.12, h + 0.25), stuff, (0, d + 0.19, (h + 0.25) / 2 + 0.08), 0.04))
    arms = [
        box((0.14, d + 0.2, h + 0.12), stuff, (x, d / 2 + 0.1, (h + 0.12) / 2 + 0.06), 0.05)
        for x in (-w / 2 - 0.08, w / 2 + 0.08)
    ]
    return _seat([*soft, *arms], h, d)
