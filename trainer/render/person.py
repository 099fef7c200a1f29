"""A person at rest: body, garments, hair and what is worn, each part with the bones that move it."""

from dataclasses import dataclass, replace
from random import Random

import numpy as np
from vmfm.trainer.render import palette
from vmfm.trainer.render.assets import Assets, choose
from vmfm.trainer.render.body import SKIN_VERTICES, BaseBody, Garment, load_body, load_garment, metres, shape, skinned
from vmfm.trainer.render.hair import STYLES, Strands, grow
from vmfm.trainer.render.kinematics import placed, rotation, vec
from vmfm.trainer.render.library import load_model
from vmfm.trainer.render.mesh import Material, Mesh, Pattern
from vmfm.trainer.render.scene import Look
from vmfm.trainer.render.skeleton import Posture, Skeleton

CARD_HAIR = {
    "male": ("short01", "short02", "short03", "short04", "afro01"),
    "female": ("bob01", "bob02", "long01", "braid01", "ponytail01", "short01"),
}


@dataclass(frozen=True)
class Part:
    """What moves with the body: a mesh by bone weights, or a rigid mesh or strands with one bone."""

    name: str
    mesh: Mesh | None = None
    weights: np.ndarray | None = None  # (N, J)
    bone: str | None = None
    strands: Strands | None = None
    model: str | None = None  # of the library, whose author is to be credited

    def posed(self, posture: Posture) -> np.ndarray:
        """(N, 3) vertices of the mesh in a posture."""
        assert self.mesh is not None
        if self.weights is not None:
            return skinned(self.mesh.vertices, self.weights, posture)
        assert self.bone is not None
        return posture.carried(self.bone, self.mesh.vertices)


@dataclass(frozen=True)
class Marks:
    """Points of the head at rest, metres."""

    mouth: np.ndarray
    left_eye: np.ndarray
    right_eye: np.ndarray
    top: np.ndarray
    ear: np.ndarray  # the left one
    half_width: float
    front: float  # y of the brow, and of the back of the head
    back: float


@dataclass(frozen=True)
class Person:
    look: Look
    skeleton: Skeleton
    parts: tuple[Part, ...]
    marks: Marks
    facts: dict  # for the sample's .json

    @property
    def tall_hair(self) -> float:
        """Metres of hair above the head."""
        return 0.08 if self.look.hair in ("afro", "curly") else 0.03


def build_person(assets: Assets, look: Look, split: str) -> Person:
    """The same look always gives the same person."""
    rng = Random(look.seed)
    body = load_body(assets.body)
    skins = assets.skins(look.race, look.gender, split)
    skin = choose([skin for skin in skins if skin.age == age_of(look)] or skins, look.skin_draw)
    vertices = shape(body, look, rng)
    rest = metres(vertices)
    marks = _marks(body, rest)
    dresser = _Dresser(assets, body, vertices, rng)
    outfit = choose(assets.outfits(look.gender, split), look.outfit_draw)
    parts = [dresser.clothes(outfit), dresser.shoes(rng.choice(assets.names("clothes", "shoes*")))]
    parts.append(dresser.card("eyebrows", rng.choice(assets.names("eyebrows"))))
    parts.append(dresser.card("eyelashes", rng.choice(assets.names("eyelashes"))))
    parts += _hair(dresser, assets, body, vertices, look, rng)
    parts.append(dresser.eyes())
    if look.glasses and look.glasses in assets.models:
        parts.append(_glasses(assets, rest, marks, look.glasses))
    if look.hat:
        hat = _hat(dresser, assets, marks, look.hat, rng)
        parts += [hat] if hat else []
    surface = Material(
        roughness=rng.uniform(0.38, 0.6),
        texture=skin.texture,
        hsv=(rng.uniform(0.492, 0.508), rng.uniform(0.8, 1.12), rng.uniform(0.82, 1.12)),
    )
    parts.append(_skin(body, rest, frozenset(dresser.hidden), surface))
    wear = [part.name for part in parts]
    facts = {
        "gender": look.gender, "age": age_of(look), "race": look.race, "skin": skin.texture.name, "outfit": outfit,
        "hair": look.hair, "wear": wear, "glasses": look.glasses if "glasses" in wear else None,
        "hat": look.hat if "hat" in wear else None,
    }  # fmt: skip
    return Person(look, body.skeleton(rest), tuple(parts), marks, facts)


def age_of(look: Look) -> str:
    """As skins are named: young, middleage or old."""
    return "young" if look.age < 0.25 else "middleage" if look.age < 0.6 else "old"


def _marks(body: BaseBody, rest: np.ndarray) -> Marks:
    def joint(name: str) -> np.ndarray:
        return rest[body.groups[f"joint-{name}"]].mean(0)

    skin = rest[:SKIN_VERTICES]
    top = skin[:, 2].max()
    head = skin[skin[:, 2] > top - 0.2]
    eyes = joint("l-eye")[2]
    temple = head[np.abs(head[:, 2] - eyes + 0.02) < 0.03]
    widest = temple[temple[:, 0].argmax()]
    brow = head[np.abs(head[:, 2] - eyes - 0.03) < 0.02]
    crown = head[head[:, 2] > eyes + 0.03]
    mouth = joint("mouth")
    lips = skin[(np.abs(skin[:, 2] - mouth[2]) < 0.01) & (np.abs(skin[:, 0]) < 0.012)]
    mouth = vec(0, float(lips[:, 1].min()), mouth[2])
    return Marks(
        mouth, joint("l-eye"), joint("r-eye"), vec(0, joint("head-2")[1], top),
        vec(widest[0] - 0.004, widest[1], eyes - 0.02), float(brow[:, 0].max()),
        float(crown[:, 1].min()), float(crown[:, 1].max()),
    )  # fmt: skip


def _skin(body: BaseBody, rest: np.ndarray, hidden: frozenset[int], surface: Material) -> Part:
    """The body without what garments cover."""
    obj = body.obj
    covered = np.zeros(len(rest), bool)
    covered[list(hidden)] = True
    group = np.array(obj.groups) == "body"
    all_covered = np.minimum.reduceat(covered[obj.corners].astype(int), obj.starts) > 0
    keep = group & ~all_covered
    corner = np.repeat(keep, obj.counts)
    mesh = Mesh(rest[:SKIN_VERTICES], obj.corners[corner], obj.counts[keep], np.zeros(keep.sum(), int), (surface,),
                obj.uvs[corner], 180, subdivide=1)  # fmt: skip
    return Part("body", mesh, body.weights[:SKIN_VERTICES])


def _hair(
    dresser: "_Dresser", assets: Assets, body: BaseBody, vertices: np.ndarray, look: Look, rng: Random
) -> list[Part]:
    if look.hair == "bald":
        return []
    if look.hair in STYLES:
        cap = load_garment(assets.garment("hair", "short02"))
        strands, scalp = grow(body, vertices, cap, look.hair, look.age > 0.6, rng)
        return [Part("strands", strands=strands, bone="head"), Part("scalp", scalp, bone="head")]
    names = CARD_HAIR[look.gender]
    if look.hat:
        names = ("short01", "short03") if look.gender == "male" else ("ponytail01", "short01", "braid01")
    return [dresser.card("hair", rng.choice(names), look.age > 0.6)]


@dataclass
class _Dresser:
    """Fits garments to one body and remembers what of it they cover."""

    assets: Assets
    body: BaseBody
    vertices: np.ndarray
    rng: Random

    def __post_init__(self) -> None:
        self.hidden: set[int] = set()

    def _fit(self, garment: Garment, name: str, slots: np.ndarray, materials: tuple, subdivide: int) -> Part:
        fitted, weights = garment.fitted(self.vertices, self.body.weights)
        self.hidden |= garment.hidden
        obj = garment.obj
        mesh = Mesh(metres(fitted), obj.corners, obj.counts, slots, materials, obj.uvs, 180, subdivide)
        return Part(name, mesh, weights)

    def card(self, kind: str, name: str, grey: bool = False) -> Part:
        """Hair, brows or lashes painted on strips."""
        rng = self.rng
        texture = self.assets.garment_texture(kind, name)
        hsv = None
        if kind == "hair":
            hsv = (rng.uniform(0.47, 0.53), rng.uniform(0.3, 1.2), rng.uniform(0.4, 1.7))
            if grey and rng.random() < 0.6:
                hsv = (0.5, 0.15, rng.uniform(1.2, 2.2))
        surface = Material((0.1, 0.08, 0.06), 0.45, texture=texture, texture_alpha=texture is not None, hsv=hsv)
        garment = load_garment(self.assets.garment(kind, name))
        return self._fit(garment, name, np.zeros(len(garment.obj.counts), int), (surface,), 0)

    def eyes(self) -> Part:
        folder = self.assets.root / "makehuman" / "data" / "eyes" / "hm08" / "high-poly"
        textures = sorted((self.assets.textures / "proxies" / "eyes" / "HighPolyEyes" / "textures").glob("*.png"))
        surface = Material(roughness=0.1, specular=0.6, texture=self.rng.choice(textures), texture_alpha=True)
        garment = load_garment(folder / "high-poly.mhclo")
        return self._fit(garment, "eyes", np.zeros(len(garment.obj.counts), int), (surface,), 0)

    def shoes(self, name: str) -> Part:
        garment = load_garment(self.assets.garment("clothes", name))
        surface = self._cloth(name, self.rng.choice(("as_is", "tint")))
        return self._fit(garment, name, np.zeros(len(garment.obj.counts), int), (surface,), 1)

    def clothes(self, name: str) -> Part:
        """A suit's lower and upper part are painted each on their own."""
        garment, rng = load_garment(self.assets.garment("clothes", name)), self.rng
        fitted, _ = garment.fitted(self.vertices, self.body.weights)
        upper = _upper_faces(garment, fitted)
        lower_mode = rng.choices(("as_is", "tint", "plain", "noise", "checks"), (5, 3, 2, 0.5, 0.4))[0]
        modes, weights = (
            ("as_is", "tint", "plain", "stripes", "checks", "dots", "noise"),
            [2, 1.5, 4, 1.6, 1.2, 0.7, 0.8],
        )
        if "casualsuit" in name and name not in ("male_casualsuit01", "male_casualsuit03", "male_casualsuit05"):
            weights[:2] = [0.08, 0.12]  # these have a print on the chest, which would be seen again and again
        upper_mode = rng.choices(modes, weights)[0]
        if name == "male_elegantsuit01":
            lower_mode, upper_mode = "tint", rng.choice(("as_is", "tint", "plain"))
        materials = (self._cloth(name, lower_mode), self._cloth(name, upper_mode))
        return self._fit(garment, name, upper.astype(int), materials, 1)

    def _cloth(self, name: str, mode: str) -> Material:
        rng = self.rng
        texture = self.assets.garment_texture("clothes", name)
        cloth = Material(
            color=palette.color(rng),
            roughness=rng.uniform(0.55, 0.95),
            specular=rng.uniform(0.1, 0.35),
            texture=texture,
            texture_alpha=texture is not None,
            normals=self.assets.garment_texture("clothes", name, "normal"),
            sheen=rng.uniform(0.1, 0.4) if rng.random() < 0.3 else 0.0,
        )
        if mode == "as_is" and texture:
            return replace(cloth, hsv=(rng.uniform(0.44, 0.56), rng.uniform(0.3, 1.1), rng.uniform(0.5, 1.4)))
        if mode == "tint" and texture:
            return replace(cloth, tint=True, hsv=(0.5, 0.0, rng.uniform(1.5, 4)))
        pattern = None if mode in ("plain", "as_is", "tint") else Pattern(mode, palette.color(rng), rng.uniform(6, 34))
        occlusion = self.assets.garment_texture("clothes", name, "ao")
        return replace(
            cloth, texture=None, texture_alpha=False, occlusion=occlusion, pattern=pattern, weave=rng.uniform(120, 320)
        )


def _pieces(count: int, pairs: np.ndarray) -> np.ndarray:
    """(N,) which connected piece each of `count` vertices belongs to. pairs: (E, 2) edges."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _upper_faces(garment: Garment, fitted: np.ndarray) -> np.ndarray:
    """(F,) bool: what is not the lower of a suit's two largest pieces; of one in one piece, what is above the waist."""
    obj = garment.obj
    following = np.concatenate([np.roll(polygon, -1) for polygon in np.split(obj.corners, np.cumsum(obj.counts)[:-1])])
    piece = _pieces(len(fitted), np.stack([obj.corners, following], 1))
    sizes = np.bincount(piece)
    first = obj.corners[obj.starts]
    if len(sizes) == 1:
        heights = np.add.reduceat(fitted[obj.corners, 1], obj.starts) / obj.counts
        return heights > fitted[:, 1].min() + 0.53 * np.ptp(fitted[:, 1])
    largest = np.argsort(-sizes)[:2]
    lower = min(largest, key=lambda label: fitted[piece == label, 1].mean())
    return piece[first] != lower


def _glasses(assets: Assets, rest: np.ndarray, marks: Marks, name: str) -> Part:
    mesh = load_model(assets.models[name])
    size = mesh.size
    scale = marks.half_width * 2.08 / size[0]
    ends = mesh.vertices[:, 1] / (size[1] / 2)
    if np.ptp(mesh.vertices[ends > 0.6, 2]) > np.ptp(mesh.vertices[ends < -0.6, 2]):  # the lenses are the high end
        mesh = mesh.moved(placed(rotation(vec(0, 0, 1), 180), vec(0, 0, 0)))
    eye = (marks.left_eye + marks.right_eye)[2] / 2
    skin = rest[:SKIN_VERTICES]
    bridge = skin[(np.abs(skin[:, 2] - eye + 0.006) < 0.01) & (np.abs(skin[:, 0]) < 0.014)][:, 1].min()
    worn = mesh.scaled(scale).moved(placed(np.eye(3), vec(0, bridge - 0.004 + size[1] * scale / 2, eye - 0.004)))
    return Part("glasses", worn, bone="head", model=name)


def _hat(dresser: _Dresser, assets: Assets, marks: Marks, kind: str, rng: Random) -> Part | None:
    if kind == "fedora":
        textures = sorted((assets.textures / "proxies" / "clothes" / "fedora" / "textures").glob("fedora_texture*.png"))
        hsv = (rng.random(), rng.uniform(0.3, 1), rng.uniform(0.6, 1.5))
        surface = Material(roughness=0.9, texture=rng.choice(textures), hsv=hsv)
        garment = load_garment(assets.garment("clothes", "fedora01"))
        return dresser._fit(garment, "hat", np.zeros(len(garment.obj.counts), int), (surface,), 1)
    if "casquette" not in assets.models:
        return None
    mesh = load_model(assets.models["casquette"])
    size = mesh.size
    scale = (marks.half_width * 2 + 0.022) / size[0]
    ends = mesh.vertices[:, 1] / (size[1] / 2)
    if mesh.vertices[ends < -0.6, 2].mean() >= mesh.vertices[ends > 0.6, 2].mean():  # the brim is the low end
        mesh = mesh.moved(placed(rotation(vec(0, 0, 1), 180), vec(0, 0, 0)))
    at = vec(0, marks.back + 0.012 - scale * size[1] / 2, marks.top[2] + 0.008 - scale * size[2] / 2)
    worn = mesh.scaled(scale).moved(placed(np.eye(3), at))
    worn = replace(worn, materials=tuple(Material(palette.color(rng), 0.8) for _ in worn.materials))
    return Part("hat", worn, bone="head", model="casquette")
