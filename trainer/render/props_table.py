"""Procedural things to eat, to drink from and to work with."""

import math
from random import Random

import numpy as np
from vmfm.trainer.render import palette
from vmfm.trainer.render.kinematics import placed, rotation, vec
from vmfm.trainer.render.mesh import Material, Mesh, Pattern, Prop, join
from vmfm.trainer.render.shapes import ball, box, lathe, pillow, prism, ring, tube


def _vessel(mesh: Mesh, height: float, radius: float, at: float = 0.5) -> Prop:
    """Stands on z = 0; held around `at` of its height, drunk from at its rim."""
    return Prop(mesh, (vec(0, 0, at * height),), radius=radius, mouth=vec(0, 0, height))


def can(rng: Random) -> Prop:
    r, h = 0.033, rng.uniform(0.115, 0.165)
    paint = Material(palette.color(rng), 0.25, metallic=rng.choice((0, 0.6)), pattern=palette.pattern(rng, 0.7))
    rim = palette.metal(rng, 0.6)
    body = lathe([(r * 0.8, 0), (r, 0.006), (r, h - 0.012), (r * 0.82, h - 0.002)], paint)
    return _vessel(join(body, lathe([(r * 0.82, h - 0.003), (r * 0.8, h), (r * 0.76, h - 0.003)], rim)), h, r)


def mug(rng: Random) -> Prop:
    r, h = rng.uniform(0.036, 0.046), rng.uniform(0.085, 0.115)
    paint = palette.paint(rng, 0.5)
    cup = lathe([(r * 0.9, 0), (r, 0.01), (r, h), (r - 0.004, h), (r - 0.005, 0.01), (0.002, 0.009)], paint)
    angles = np.linspace(-1.45, 1.45, 12)
    path = [(r - 0.002 + 0.026 * math.cos(a), 0, h / 2 + 0.03 * math.sin(a)) for a in angles]
    return _vessel(join(cup, tube(path, 0.006, paint)), h, r)


def bottle(rng: Random) -> Prop:
    r, h = rng.uniform(0.03, 0.038), rng.uniform(0.19, 0.26)
    body = palette.glass(rng) if rng.random() < 0.5 else palette.paint(rng)
    label = palette.paint(rng, 0.7)
    parts = (
        lathe([(r * 0.9, 0), (r, 0.01), (r, h * 0.7), (r * 0.45, h * 0.88), (r * 0.4, h)], body),
        lathe([(r * 1.01, h * 0.25), (r * 1.012, h * 0.4), (r * 1.01, h * 0.6)], label),
        lathe([(r * 0.45, h * 0.94), (r * 0.46, h), (r * 0.44, h + 0.012)], palette.paint(rng)),
    )
    return _vessel(join(*parts), h + 0.012, r, 0.4)


def paper_cup(rng: Random) -> Prop:
    r, h = rng.uniform(0.036, 0.043), rng.uniform(0.1, 0.15)
    parts = [lathe([(r * 0.75, 0), (r * 0.78, 0.004), (r, h), (r * 0.97, h)], palette.paint(rng, 0.4))]
    if rng.random() < 0.6:
        lid = palette.plastic(rng, rng.choice(((0.8, 0.8, 0.8), (0.02, 0.02, 0.02))))
        parts.append(lathe([(r * 1.05, h - 0.004), (r * 1.05, h + 0.006), (r * 0.9, h + 0.012)], lid))
    if rng.random() < 0.35:
        tip = vec(rng.uniform(-0.02, 0.02), 0.01, h + rng.uniform(0.05, 0.09))
        parts.append(tube([vec(0, 0, h * 0.6), vec(0, 0, h), tip], 0.003, palette.paint(rng, 0.5), 8))
    return _vessel(join(*parts), h + 0.01, r * 0.9)


def wine_glass(rng: Random) -> Prop:
    r, h = rng.uniform(0.034, 0.046), rng.uniform(0.17, 0.24)
    stem = h * rng.uniform(0.35, 0.5)
    clear = palette.glass(rng)
    bowl = [(r * 0.3, stem + 0.004), (r * 0.8, stem + 0.02), (r, stem + (h - stem) * 0.45), (r * 0.82, h)]
    parts = [
        lathe([(r * 0.85, 0), (r * 0.8, 0.003), (0.006, 0.008), (0.0045, stem * 0.5), (0.007, stem), *bowl,
               (r * 0.8, h), (r * 0.96, stem + (h - stem) * 0.45), (r * 0.76, stem + 0.022)], clear)
    ]  # fmt: skip
    if rng.random() < 0.7:
        wine = Material(rng.choice(((0.15, 0.005, 0.02), (0.7, 0.55, 0.2), (0.6, 0.2, 0.15))), 0.05)
        level = stem + (h - stem) * rng.uniform(0.3, 0.55)
        parts.append(lathe([(r * 0.28, stem + 0.006), (r * 0.76, stem + 0.021), (r * 0.93, level)], wine))
    # taken by the stem or by the bowl
    at, radius = (stem * 0.75, 0.008) if rng.random() < 0.6 else (stem + (h - stem) * 0.35, r)
    return Prop(join(*parts), (vec(0, 0, at),), radius=radius, mouth=vec(0, 0, h))


def bowl(rng: Random) -> Prop:
    r, h = rng.uniform(0.06, 0.1), rng.uniform(0.045, 0.075)
    outer = [(r * 0.45, 0), (r * 0.5, 0.006), (r * 0.8, h * 0.4), (r, h)]
    inner = [(r * 0.97, h), (r * 0.76, h * 0.45), (0.01, 0.012)]
    parts = [lathe(outer + inner, palette.paint(rng, 0.5))]
    if rng.random() < 0.6:
        filling = Material(palette.color(rng), 0.4, pattern=Pattern("dots", palette.color(rng), rng.uniform(5, 12)))
        parts.append(lathe([(r * 0.7, h * 0.5), (r * 0.85, h * 0.72), (0.01, h * 0.8)], filling))
    grips = (vec(r * 0.85, 0, h * 0.5), vec(-r * 0.85, 0, h * 0.5))
    return Prop(join(*parts), grips, radius=0.012, mouth=vec(0, r * 0.9, h))


def banana(rng: Random) -> Prop:
    length, bend = rng.uniform(0.16, 0.2), rng.uniform(0.5, 0.75)
    angles = np.linspace(-bend, bend, 15)
    reach = length / (2 * bend)
    path = [(reach * (math.cos(a) - 1), 0, reach * math.sin(a)) for a in angles]
    radii = [0.004, 0.008, 0.013, *[0.0175] * 9, 0.012, 0.007, 0.0045]
    peel = Material(palette.near(rng, (0.75, 0.48, 0.03)), 0.45)
    return Prop(tube_join(path, radii, peel), (vec(0, 0, -length * 0.2),), radius=0.017, mouth=vec(*path[-1]))


def tube_join(path: list, radii: list, skin: Material) -> Mesh:
    """A tube whose two ends are darker."""
    dark = Material((0.06, 0.04, 0.02), 0.6)
    return join(tube(path, radii, skin, 10), ball(radii[0] * 1.1, dark, path[0], 8), ball(radii[-1], dark, path[-1], 8))


def donut(rng: Random) -> Prop:
    r, thick = rng.uniform(0.03, 0.036), rng.uniform(0.015, 0.019)
    dough = Material(palette.near(rng, (0.45, 0.22, 0.07)), 0.6)
    icing = Material(palette.color(rng), 0.2, pattern=Pattern("dots", palette.color(rng), rng.uniform(8, 16)))
    glaze = ring((r, r), thick * 0.94, icing, 36)
    mesh = join(ring((r, r), thick, dough, 36), glaze.moved(placed(np.eye(3), vec(0, -0.0035, 0))))
    return Prop(mesh, (vec(0, 0, -r),), radius=thick, mouth=vec(0, 0, r + thick))


def pizza_slice(rng: Random) -> Prop:
    length, half = rng.uniform(0.17, 0.23), rng.uniform(0.22, 0.32)
    arc = [(length * math.sin(a), length * math.cos(a)) for a in np.linspace(half, -half, 9)]
    top = Material((0.75, 0.5, 0.13), 0.4, pattern=Pattern("dots", (0.5, 0.05, 0.02), rng.uniform(3, 5)))
    crust = Material(palette.near(rng, (0.5, 0.28, 0.1)), 0.7)
    parts = join(
        prism([(0, 0), *arc[::-1]], 0.008, top, (0, 0, 0.004)),
        prism([(0, 0), *arc[::-1]], 0.006, crust, (0, 0, -0.003)),
        tube([(x, y, 0.004) for x, y in arc], 0.012, crust, 8),
    )
    # stands with its tip up, the topping to the front
    stood = parts.moved(placed(rotation(vec(1, 0, 0), -90), vec(0, 0, length)))
    return Prop(stood, (vec(0, 0, 0.01),), radius=0.014, mouth=vec(0, 0, length), flat=vec(0, 1, 0))


def sandwich(rng: Random) -> Prop:
    w, h = rng.uniform(0.1, 0.125), rng.uniform(0.1, 0.12)
    bread = Material(palette.near(rng, (0.7, 0.5, 0.28)), 0.85, pattern=Pattern("noise", (0.5, 0.3, 0.12), 9))
    triangle = rng.random() < 0.5
    outline = [(-w / 2, -h / 2), (w / 2, -h / 2), (-w / 2, h / 2)] if triangle else [
        (-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2)]  # fmt: skip
    layers, z = [], 0.0
    for thick, surface, grow in ((0.013, bread, 1.0), (0.006, palette.paint(rng), 0.98),
                                 (0.004, Material((0.15, 0.4, 0.04), 0.5), 1.07), (0.013, bread, 1.0)):  # fmt: skip
        layers.append(prism([(x * grow, y * grow) for x, y in outline], thick, surface, (0, 0, z + thick / 2)))
        z += thick
    stood = join(*layers).moved(placed(rotation(vec(1, 0, 0), 90), vec(0, z / 2, 0)))
    return Prop(stood, (vec(0, 0, -h * 0.35),), radius=0.018, mouth=vec(0, 0, h * 0.4))


def fruit(rng: Random) -> Prop:
    """An apple or an orange."""
    r = rng.uniform(0.033, 0.043)
    if rng.random() < 0.5:
        skin = Material(rng.choice(((0.5, 0.02, 0.02), (0.35, 0.5, 0.05), (0.6, 0.3, 0.05))), 0.3,
                        pattern=Pattern("noise", (0.6, 0.35, 0.06), 3))  # fmt: skip
        angles = np.linspace(-1.35, 1.45, 16)
        body = lathe([(r * math.cos(a), r * (0.92 * math.sin(a) - 0.12 * math.sin(a) ** 8)) for a in angles], skin)
        mesh = join(body, tube([vec(0, 0, r * 0.75), vec(0.003, 0, r * 1.1)], 0.0015, palette.wood(rng), 6))
    else:
        mesh = ball(r, Material((0.8, 0.25, 0.01), 0.45, weave=60))
    return Prop(mesh, (vec(0, 0, 0),), radius=r, mouth=vec(0, -r, 0))


def carrot(rng: Random) -> Prop:
    length = rng.uniform(0.15, 0.2)
    root = tube([(0, 0, z) for z in np.linspace(0, length, 7)], [0.014, 0.015, 0.014, 0.012, 0.01, 0.007, 0.002],
                Material((0.8, 0.2, 0.01), 0.5))  # fmt: skip
    green = Material((0.08, 0.3, 0.03), 0.6)
    leaves = [
        tube([(0, 0, 0), (0.015 * math.cos(a), 0.015 * math.sin(a), -0.05),
              (0.04 * math.cos(a), 0.04 * math.sin(a), -0.1)], [0.002, 0.003, 0.001], green, 6)
        for a in np.linspace(0, 6.28, 6)
    ]  # fmt: skip
    return Prop(join(root, *leaves), (vec(0, 0, length * 0.25),), radius=0.014, mouth=vec(0, 0, length))


def laptop(rng: Random) -> Prop:
    """Open; the hinge runs along x, the screen faces -y in its own axes, so +y is towards the back of the lid."""
    w, d, t = rng.uniform(0.3, 0.36), rng.uniform(0.21, 0.25), 0.009
    shell = palette.metal(rng) if rng.random() < 0.6 else palette.plastic(rng, (0.05, 0.05, 0.05))
    keys = Material((0.03, 0.03, 0.03), 0.6, pattern=Pattern("checks", (0.08, 0.08, 0.08), 12))
    base = join(box((w, d, t), shell, (0, 0, t / 2), 0.012), box((w * 0.86, d * 0.42, 0.001), keys, (0, d * 0.18, t)))
    lid = join(
        box((w, 0.006, d), shell, (0, 0.003, d / 2)),
        box((w * 0.94, 0.001, d * 0.9), palette.screen(rng), (0, 0, d / 2)),
    )
    lid = lid.moved(placed(rotation(vec(1, 0, 0), -rng.uniform(5, 35)), vec(0, d / 2, t)))
    grips = (vec(w * 0.24, 0.0, t), vec(-w * 0.24, 0.0, t), vec(w * 0.4, 0, 0), vec(-w * 0.4, 0, 0))
    return Prop(join(base, lid), grips)


def phone(rng: Random) -> Prop:
    w, h, t = rng.uniform(0.068, 0.078), rng.uniform(0.142, 0.162), 0.0085
    case = palette.paint(rng)
    flat = join(
        box((w, h, t), case, bevel=0.009),
        box((w * 0.94, h * 0.96, 0.0006), palette.screen(rng), (0, 0, t / 2 + 0.0002), 0.008),
        box(
            (w * 0.35, w * 0.4, 0.003), Material((0.02, 0.02, 0.02), 0.2), (-w * 0.25, h * 0.36, -t / 2 - 0.001), 0.005
        ),
    )
    return Prop(flat.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, 0))), radius=t / 2)


def pad(rng: Random) -> Prop:
    w, h, t = rng.uniform(0.16, 0.19), rng.uniform(0.23, 0.26), 0.008
    flat = join(
        box((w, h, t), palette.paint(rng), bevel=0.012),
        box((w * 0.92, h * 0.93, 0.0006), palette.screen(rng), (0, 0, t / 2 + 0.0002)),
    )
    return Prop(flat.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, 0))), radius=t / 2)


def open_book(rng: Random) -> Prop:
    w, h, t = rng.uniform(0.13, 0.19), rng.uniform(0.19, 0.27), rng.uniform(0.008, 0.022)
    cover, pages, angle = palette.paint(rng, 0.5), palette.paper(rng), math.degrees(rng.uniform(0.1, 0.4))
    halves = []
    for side in (1, -1):
        half = join(box((w, h, t), pages, (side * w / 2, 0, 0)),
                    box((w * 1.03, h * 1.03, 0.003), cover, (side * w / 2, 0, -t / 2 - 0.001)))  # fmt: skip
        halves.append(half.moved(placed(rotation(vec(0, 1, 0), -side * angle), vec(0, 0, 0))))
    return Prop(join(*halves).moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, 0))), radius=t / 2)


def closed_book(rng: Random) -> Prop:
    w, h, t = rng.uniform(0.12, 0.18), rng.uniform(0.18, 0.26), rng.uniform(0.012, 0.04)
    flat = join(
        box((w, h, t + 0.004), palette.paint(rng, 0.5)),
        box((w * 0.99, h * 1.001, t), palette.paper(rng), (w * 0.02, 0, 0)),
    )
    return Prop(flat.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, 0))), radius=t / 2)


def sheet(rng: Random) -> Prop:
    return Prop(box((0.21, 0.0012, 0.297), palette.paper(rng)), radius=0.001)


def card(rng: Random) -> Prop:
    surface = Material(palette.color(rng), 0.5, pattern=palette.pattern(rng, 1.0))
    return Prop(box((rng.uniform(0.07, 0.16), 0.002, rng.uniform(0.06, 0.22)), surface), radius=0.001)


def cushion(rng: Random) -> Prop:
    w, h = rng.uniform(0.36, 0.48), rng.uniform(0.32, 0.45)
    outline = [(-w / 2, -h / 2), (0, -h * 0.47), (w / 2, -h / 2), (w * 0.47, 0), (w / 2, h / 2), (0, h * 0.47),
               (-w / 2, h / 2), (-w * 0.47, 0)]  # fmt: skip
    mesh = pillow(outline, rng.uniform(0.1, 0.16), palette.cloth(rng), 0.45)
    return Prop(mesh.moved(placed(rotation(vec(1, 0, 0), 90), vec(0, 0, 0))), radius=w / 2)
