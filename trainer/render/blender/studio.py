"""Renders staged scenes with Cycles on the CPU."""

from pathlib import Path

import bpy
import numpy as np
from vmfm.trainer.render.assets import Assets, choose
from vmfm.trainer.render.blender import geometry
from vmfm.trainer.render.passes import Passes, read_passes
from vmfm.trainer.render.stage import Shown

MARGIN = 0.02  # of the picture, around what can be seen


def render(
    staged: Shown, assets: Assets, scratch: Path, *, size: int, samples: int, threads: int, until: Shown | None = None
) -> tuple[Passes, dict]:
    """The passes of a scene, and what its light is.

    scratch: a file to render to; removed again. size: of the square picture, px. samples: rays per pixel at most.
    until: the same scene when the shutter closes; movement in between is blurred.
    """
    _reset(size, samples, threads, blur=until is not None)
    later = {item.name: item for item in until.items} if until else {}
    for item in staged.items:
        geometry.add(item, later.get(item.name))
    geometry.set_camera(staged.camera)
    own = Path(bpy.utils.resource_path("LOCAL")) / "datafiles" / "studiolights" / "world"
    hdri = choose(assets.hdris(staged.scene.split, sorted(own.glob("*.exr"))), staged.scene.light.hdri_draw)
    light = geometry.set_light(staged.scene.light, hdri, staged.camera, staged.eyes)
    _crop([*staged.items, *later.values()], staged)
    scene = bpy.context.scene
    scene.frame_set(geometry.OPEN)
    scene.render.filepath = str(scratch)
    bpy.ops.render.render(write_still=True)
    try:
        return read_passes(scratch, [item.name for item in staged.items]), light
    finally:
        scratch.unlink(missing_ok=True)


def _reset(size: int, samples: int, threads: int, *, blur: bool) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    render, cycles = scene.render, scene.cycles
    render.engine, cycles.device = "CYCLES", "CPU"
    render.threads_mode, render.threads = "FIXED", threads
    render.resolution_x = render.resolution_y = size
    render.resolution_percentage = 100
    render.film_transparent = True
    render.image_settings.file_format, render.image_settings.color_depth = "OPEN_EXR_MULTILAYER", "32"
    render.use_motion_blur, render.motion_blur_shutter, render.motion_blur_position = blur, 1.0, "START"
    scene.view_settings.view_transform = "Standard"
    cycles.samples, cycles.use_adaptive_sampling = samples, True
    cycles.adaptive_threshold, cycles.adaptive_min_samples = 0.09, 4
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"  # of the colour alone
    cycles.denoising_quality, cycles.denoising_prefilter = "BALANCED", "FAST"
    cycles.max_bounces, cycles.transparent_max_bounces = 2, 16
    cycles.diffuse_bounces = cycles.glossy_bounces = cycles.transmission_bounces = 1
    cycles.caustics_reflective = cycles.caustics_refractive = cycles.use_light_tree = False
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 1.2
    scene.cycles_curves.shape, scene.cycles_curves.subdivisions = "RIBBONS", 2
    layer = scene.view_layers[0]
    layer.use_pass_z = layer.use_pass_cryptomatte_object = True
    layer.pass_cryptomatte_depth = 6


def _crop(items: list, staged: Shown) -> None:
    """Renders only the part of the picture that can hold something."""
    low, high = np.ones(2), np.zeros(2)
    for item in items:
        points = item.vertices if item.vertices is not None else item.points()
        image = staged.camera.project(points)
        if (image[:, 2] < 0.12).any():
            return
        low, high = np.minimum(low, image[:, :2].min(0)), np.maximum(high, image[:, :2].max(0))
    low, high = np.clip(low - MARGIN, 0, 1), np.clip(high + MARGIN, 0, 1)
    render = bpy.context.scene.render
    render.use_border, render.use_crop_to_border = True, False
    render.border_min_x, render.border_max_x = float(low[0]), float(high[0])
    render.border_min_y, render.border_max_y = float(1 - high[1]), float(1 - low[1])
