"""Meshes, strands, lights and cameras as Blender's objects."""

import colorsys
from pathlib import Path

import bpy
import numpy as np
from vmfm.trainer.render.blender import materials
from vmfm.trainer.render.framing import Camera
from vmfm.trainer.render.kinematics import UP, frame, placed
from vmfm.trainer.render.mesh import Mesh
from vmfm.trainer.render.scene import Light
from vmfm.trainer.render.stage import Item

OPEN, CLOSE = 1, 2  # frames at which the shutter opens and closes


def add(item: Item, until: Item | None = None) -> None:
    """Adds an item. until: where it is when the shutter closes; its movement then blurs."""
    if item.strands is not None:
        _add_strands(item, until)
        return
    assert item.mesh is not None and item.vertices is not None
    made = _new(item.name, _mesh(item.mesh, item.vertices, item.name))
    if until is not None and until.vertices is not None:
        made.shape_key_add(name="open")
        close = made.shape_key_add(name="close")
        close.data.foreach_set("co", until.vertices.astype(np.float32).ravel())
        for frame, value in ((OPEN, 0.0), (CLOSE, 1.0)):
            close.value = value
            close.keyframe_insert("value", frame=frame)
        _linear(made.data.shape_keys.animation_data)
    if item.mesh.subdivide:
        smooth = made.modifiers.new("smooth", "SUBSURF")
        smooth.render_levels, smooth.levels = item.mesh.subdivide, 0


def _new(name: str, data) -> "bpy.types.Object":
    made = bpy.data.objects.new(name, data)
    bpy.context.collection.objects.link(made)
    return made


def _mesh(mesh: Mesh, vertices: np.ndarray, name: str) -> "bpy.types.Mesh":
    data = bpy.data.meshes.new(name)
    data.vertices.add(len(vertices))
    data.vertices.foreach_set("co", vertices.astype(np.float32).ravel())
    data.loops.add(len(mesh.corners))
    data.loops.foreach_set("vertex_index", mesh.corners.astype(np.int32))
    data.polygons.add(len(mesh.counts))
    starts = np.concatenate([[0], np.cumsum(mesh.counts)[:-1]])
    data.polygons.foreach_set("loop_start", starts.astype(np.int32))
    data.polygons.foreach_set("material_index", mesh.slots.astype(np.int32))
    if mesh.uvs is not None:
        data.uv_layers.new().data.foreach_set("uv", mesh.uvs.astype(np.float32).ravel())
    data.polygons.foreach_set("use_smooth", np.ones(len(mesh.counts), bool))
    data.update(calc_edges=True)
    data.validate()
    if mesh.smooth_degrees < 180:
        data.set_sharp_from_angle(angle=float(np.radians(mesh.smooth_degrees)))
    for number, material in enumerate(mesh.materials):
        data.materials.append(materials.surface(material, f"{name}.{number}"))
    return data


def _add_strands(item: Item, until: Item | None) -> None:
    strands = item.strands
    assert strands is not None and item.matrix is not None
    count, points, _ = strands.points.shape
    data = bpy.data.hair_curves.new(item.name)
    data.add_curves([points] * count)
    data.position_data.foreach_set("vector", strands.points.astype(np.float32).ravel())
    radius = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", np.tile(strands.radii, count).astype(np.float32))
    data.materials.append(materials.hair(strands, item.name))
    made = _new(item.name, data)
    made.rotation_mode = "QUATERNION"
    made.matrix_world = item.matrix.T.tolist()
    if until is not None and until.matrix is not None:
        for frame, matrix in ((OPEN, item.matrix), (CLOSE, until.matrix)):
            made.matrix_world = matrix.T.tolist()
            made.keyframe_insert("location", frame=frame)
            made.keyframe_insert("rotation_quaternion", frame=frame)
        _linear(made.animation_data)


def _linear(animation) -> None:
    for curve in animation.action.fcurves:
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"


def set_camera(camera: Camera) -> None:
    data = bpy.data.cameras.new("camera")
    data.lens_unit, data.angle, data.clip_start = "FOV", float(np.radians(camera.fov_deg)), 0.03
    made = _new("camera", data)
    made.matrix_world = placed(camera.axes, camera.position).T.tolist()
    bpy.context.scene.camera = made


def set_light(light: Light, hdri: Path, camera: Camera, eyes: np.ndarray) -> dict:
    """Lights the scene; returns what the sample's .json says of it."""
    kinds = []
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    sky = tree.nodes.new("ShaderNodeTexEnvironment")
    sky.image = bpy.data.images.load(str(hdri), check_existing=True)
    turn, where = tree.nodes.new("ShaderNodeMapping"), tree.nodes.new("ShaderNodeTexCoord")
    turn.inputs["Rotation"].default_value = (0, 0, float(np.radians(light.hdri_turn_deg)))
    tree.links.new(where.outputs["Generated"], turn.inputs["Vector"])
    tree.links.new(turn.outputs["Vector"], sky.inputs["Vector"])
    background = tree.nodes["Background"]
    tree.links.new(sky.outputs["Color"], background.inputs["Color"])
    background.inputs["Strength"].default_value = light.hdri_strength / max(_mean(sky.image), 1e-3)
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 256
    if light.sun:
        energy, tilt, azimuth, warmth = light.sun
        sun = bpy.data.lights.new("sun", "SUN")
        sun.energy, sun.angle, sun.color = energy, 0.1, (1, 1 - 0.18 * warmth, 1 - 0.35 * warmth)
        _new("sun", sun).rotation_euler = (float(np.radians(tilt)), 0, float(np.radians(azimuth)))
        kinds.append("sun")
    if light.lamp:
        watts, azimuth, hue, saturation = light.lamp
        angle = np.radians(azimuth)
        at = eyes + np.array((1.6 * np.sin(angle), -1.6 * np.cos(angle), 0.5))
        _area(at, eyes, watts, 0.7, colorsys.hsv_to_rgb(hue, saturation, 1))
        kinds.append("area")
    if light.screen:
        at = camera.position + 0.05 * (eyes - camera.position) - (0, 0, 0.1)
        _area(at, eyes, light.screen, 0.45, (0.8, 0.9, 1.0))
        kinds.append("screen")
    return {"hdri": hdri.name, "extra": kinds}


def _mean(picture) -> float:
    pixels = np.empty(len(picture.pixels), np.float32)
    picture.pixels.foreach_get(pixels)
    return float(np.clip(pixels.reshape(-1, 4)[:, :3], 0, 20).mean())


def _area(at: np.ndarray, target: np.ndarray, watts: float, size: float, color: tuple) -> None:
    light = bpy.data.lights.new("area", "AREA")
    light.energy, light.size, light.color = watts, size, color
    made = _new("area", light)
    made.matrix_world = placed(frame(z=at - target, y=UP), at).T.tolist()  # it shines along -z
