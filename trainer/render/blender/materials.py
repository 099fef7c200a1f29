"""Surfaces as Blender's shader nodes."""

from pathlib import Path

import bpy
from vmfm.trainer.render.hair import Strands
from vmfm.trainer.render.mesh import Material, Pattern

MIX_A, MIX_B, MIX_OUT = 6, 7, 2  # the colour sockets of a mix node


def image(path: Path, *, data: bool = False) -> "bpy.types.Image":
    loaded = bpy.data.images.load(str(path), check_existing=True)
    loaded.colorspace_settings.name = "Non-Color" if data else "sRGB"
    return loaded


class _Tree:
    """One node tree being wired."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.nodes = self.material.node_tree.nodes
        self.principled = self.nodes["Principled BSDF"]

    def node(self, kind: str, **inputs):
        made = self.nodes.new(f"ShaderNode{kind}")
        for name, value in inputs.items():
            self.plug(value, made.inputs[name.replace("_", " ")])
        return made

    def plug(self, value, socket) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.material.node_tree.links.new(value, socket)
        else:
            socket.default_value = value

    def mix(self, a, b, factor=1.0, blend: str = "MIX"):
        made = self.nodes.new("ShaderNodeMix")
        made.data_type, made.blend_type = "RGBA", blend
        self.plug(factor, made.inputs["Factor"])
        self.plug(_rgba(a), made.inputs[MIX_A])
        self.plug(_rgba(b), made.inputs[MIX_B])
        return made.outputs[MIX_OUT]

    def math(self, operation: str, a, b):
        made = self.nodes.new("ShaderNodeMath")
        made.operation = operation
        self.plug(a, made.inputs[0])
        self.plug(b, made.inputs[1])
        return made.outputs[0]

    def coordinates(self):
        return self.nodes.new("ShaderNodeTexCoord").outputs["Generated"]


def _rgba(value):
    return (*value, 1.0) if isinstance(value, tuple) and len(value) == 3 else value


def surface(material: Material, name: str) -> "bpy.types.Material":
    """A Principled surface."""
    tree = _Tree(name)
    out = tree.principled.inputs
    out["Roughness"].default_value = material.roughness
    out["Metallic"].default_value = material.metallic
    out["Specular IOR Level"].default_value = material.specular
    out["Transmission Weight"].default_value = material.transmission
    out["Sheen Weight"].default_value = material.sheen
    out["Alpha"].default_value = material.alpha
    color = _color(tree, material)
    tree.plug(_rgba(color), out["Base Color"])
    if material.emission:
        tree.plug(_rgba(color), out["Emission Color"])
        out["Emission Strength"].default_value = material.emission
    if material.normals:
        picture = tree.nodes.new("ShaderNodeTexImage")
        picture.image = image(material.normals, data=True)
        tree.plug(tree.node("NormalMap", Color=picture.outputs["Color"]).outputs[0], out["Normal"])
    return tree.material


def _color(tree: _Tree, material: Material):
    """A colour, or the socket that gives one."""
    color = material.color
    if material.texture:
        picture = tree.nodes.new("ShaderNodeTexImage")
        picture.image = image(material.texture)
        color = picture.outputs["Color"]
        if material.texture_alpha:
            tree.plug(picture.outputs["Alpha"], tree.principled.inputs["Alpha"])
        if material.hsv:
            hue, saturation, value = material.hsv
            color = tree.node("HueSaturation", Hue=hue % 1, Saturation=saturation, Value=value, Color=color).outputs[0]
        if material.tint:
            color = tree.mix(color, material.color, blend="MULTIPLY")
    if material.pattern:
        color = tree.mix(color, material.pattern.color, _mask(tree, material.pattern))
    if material.occlusion:
        picture = tree.nodes.new("ShaderNodeTexImage")
        picture.image = image(material.occlusion, data=True)
        color = tree.mix(color, picture.outputs["Color"], 0.85, "MULTIPLY")
    if material.weave:
        noise = tree.node("TexNoise", Scale=material.weave, Vector=tree.coordinates())
        shade = tree.node("MapRange", To_Min=0.8, To_Max=1.15, Value=noise.outputs["Fac"]).outputs[0]
        color = tree.mix(color, shade, 1.0, "MULTIPLY")
    return color


def _mask(tree: _Tree, pattern: Pattern):
    """A socket that is 1 where the second colour shows."""
    where = tree.coordinates()
    if pattern.kind in ("stripes", "checks", "lines"):
        bands = []
        for axis in ("X", "Z") if pattern.kind == "checks" else ("Z",):
            wave = tree.node("TexWave", Scale=pattern.scale * 0.35, Vector=where)
            wave.bands_direction = axis
            bands.append(tree.math("GREATER_THAN", wave.outputs["Fac"], 0.85 if pattern.kind == "lines" else 0.5))
        return bands[0] if len(bands) == 1 else tree.math("MULTIPLY", tree.math("ADD", *bands), 0.5)
    if pattern.kind == "dots":
        cells = tree.node("TexVoronoi", Scale=pattern.scale * 1.3, Vector=where)
        return tree.math("LESS_THAN", cells.outputs["Distance"], 0.32)
    noise = tree.node("TexNoise", Scale=pattern.scale, Detail=3.0, Vector=where)
    return tree.node("MapRange", From_Min=0.42, From_Max=0.55, Value=noise.outputs["Fac"]).outputs[0]


def hair(strands: Strands, name: str) -> "bpy.types.Material":
    """Light through strands, by melanin or dye."""
    tree = _Tree(name)
    tree.nodes.remove(tree.principled)
    shader = tree.nodes.new("ShaderNodeBsdfHairPrincipled")
    shader.model = "CHIANG"
    if strands.dye:
        shader.parametrization = "COLOR"
        shader.inputs["Color"].default_value = (*strands.dye, 1.0)
    else:
        shader.parametrization = "MELANIN"
        shader.inputs["Melanin"].default_value = strands.melanin
        shader.inputs["Melanin Redness"].default_value = strands.redness
        shader.inputs["Random Color"].default_value = 0.25  # of melanin; dyed hair has no such input
    shader.inputs["Roughness"].default_value = strands.roughness
    tree.plug(shader.outputs[0], tree.nodes["Material Output"].inputs["Surface"])
    return tree.material
