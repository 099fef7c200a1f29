"""Renders scenes inside Blender's Python. One JSON line in per seed, one JSON line out per picture.

In:  {"seed": 7, "views": [0, 1]}
Out: {"seed": 7, "view": 0, "state": "done" | "rejected" | "failed", "why": "", "seconds": 8.1}, then {"seed": 7, "end": true}
"""

import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from vmfm.trainer.render import files
from vmfm.trainer.render.scene import sample_name

ATTEMPTS = 12  # draws per view until one can be posed


@dataclass(frozen=True)
class Settings:
    """What is the same for every scene of a run."""

    out: str
    assets: str
    size: int = 512  # px of the square picture
    samples: int = 16  # rays per pixel at most
    threads: int = 1
    clip: int = 0  # frames; 0 for single pictures
    furniture: bool = False  # rooms with nobody in them


def main(settings_json: str) -> None:
    """Serves jobs until its input ends."""
    # Blender prints to standard output as it likes; replies go out on a descriptor of their own.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    studio = _Studio(Settings(**json.loads(settings_json)))
    for line in sys.stdin:
        job = json.loads(line)
        for view in job["views"]:
            started = time.monotonic()
            state, why = studio.render(job["seed"], view)
            seconds = round(time.monotonic() - started, 2)
            reply = {"seed": job["seed"], "view": view, "state": state, "why": why, "seconds": seconds}
            replies.write(json.dumps(reply) + "\n")
        replies.write(json.dumps({"seed": job["seed"], "end": True}) + "\n")


class _Studio:
    """Holds the assets, and the people of the seed at hand."""

    def __init__(self, settings: Settings) -> None:
        from vmfm.trainer.render.assets import Assets

        self.settings = settings
        self.assets = Assets(Path(settings.assets))
        self.out = Path(settings.out)
        scratch = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
        self.scratch = scratch / f"vmfm-render-{os.getpid()}.exr"
        self.people: dict = {}  # by look
        if not settings.furniture:
            self.assets.body  # noqa: B018 - what is missing ends the worker, not each of its pictures

    def render(self, seed: int, view: int) -> tuple[str, str]:
        """(state, why)."""
        from vmfm.trainer.render.export import Rejected

        name = sample_name(seed, view)
        options = self.settings
        make = self._room if options.furniture else self._clip if options.clip else self._picture
        try:
            make(seed, view)
        except Rejected as error:
            files.reject(self.out, name, str(error))
            return "rejected", str(error)
        except Exception:  # noqa: BLE001 - one scene must not end a night of rendering; the driver tells
            return "failed", traceback.format_exc()
        return "done", ""

    def _staged(self, seed: int, view: int, build: Callable):
        """What `build(scene, people)` makes of the first attempt that it can make something of."""
        from vmfm.trainer.render.draw import draw_scene
        from vmfm.trainer.render.person import build_person

        def staged(attempt: int):
            scene = draw_scene(seed, view, attempt, self.assets.models)
            looks = [figure.look for figure in scene.figures]
            self.people = {
                look: self.people.get(look) or build_person(self.assets, look, scene.split) for look in looks
            }
            return build(scene, tuple(self.people[look] for look in looks))

        return _first_possible(staged)

    def _passes(self, shown, until=None):
        from vmfm.trainer.render.blender import studio

        options = self.settings
        return studio.render(shown, self.assets, self.scratch, size=options.size, samples=options.samples,
                             threads=options.threads, until=until)  # fmt: skip

    def _shoot(self, staged, until=None, white: float | None = None, strict: bool = True):
        from vmfm.trainer.render.export import make_sample

        passes, light = self._passes(staged, until)
        return make_sample(passes, staged, self._credits(staged), light, white=white, strict=strict)

    def _room(self, seed: int, view: int) -> None:
        from vmfm.trainer.render.cutouts import make_cutout, write_cutout
        from vmfm.trainer.render.furnish import furnish
        from vmfm.trainer.render.furniture import draw_room

        models = self.assets.models
        room = _first_possible(lambda attempt: furnish(draw_room(seed, view, attempt, models), self.assets))
        passes, light = self._passes(room)
        write_cutout(make_cutout(passes, room, self._credits(room), light), self.out, sample_name(seed, view))

    def _picture(self, seed: int, view: int) -> None:
        from vmfm.trainer.render.export import write_sample
        from vmfm.trainer.render.stage import stage

        staged = self._staged(seed, view, lambda scene, people: stage(scene, people, self.assets))
        write_sample(self._shoot(staged), self.out / sample_name(seed, view))

    def _clip(self, seed: int, view: int) -> None:
        """A folder of frames; clip.json, written last, says that it is whole."""
        from vmfm.trainer.render.clips import FPS, SHUTTER, motion_at
        from vmfm.trainer.render.export import Rejected, write_sample
        from vmfm.trainer.render.stage import stage

        def moments(scene, people):
            camera = stage(scene, people, self.assets, motion=motion_at(0, seed)).camera
            ends = []
            for frame in range(self.settings.clip):
                times = (frame / FPS, (frame + SHUTTER) / FPS)
                ends.append([
                    stage(scene, people, self.assets, motion=motion_at(at, seed), camera=camera) for at in times
                ])  # fmt: skip
            return ends

        ends = self._staged(seed, view, moments)
        folder = self.out / sample_name(seed, view)
        files.begin_clip(folder, {"frames": len(ends), "size": self.settings.size, "samples": self.settings.samples})
        white = None
        for frame, (opened, closed) in enumerate(ends):
            if white is not None and (folder / f"{frame:04d}.json").exists():
                continue
            try:
                sample = self._shoot(opened, closed, white, strict=frame == 0)
            except Rejected:
                shutil.rmtree(folder)
                raise
            white = sample.white
            write_sample(sample, folder / f"{frame:04d}")
        files.write_json(folder / files.CLIP, {"frames": len(ends), "fps": FPS, "scene": ends[0][0].scene.as_dict()})

    def _credits(self, staged) -> dict[str, dict]:
        """By name, of the things in the picture and the models that people wear."""
        credits = {}
        for item in staged.objects():
            name = item.thing.name
            if item.thing.build is not None:
                credits[name] = {"file": f"procedural/{name.removeprefix('shape:')}", "label": item.thing.cls,
                                 "creator": "generated", "licence": "CC0 1.0"}  # fmt: skip
            else:
                credits[name] = self._credit(name)
        worn = {part.model for person in getattr(staged, "people", ()) for part in person.parts if part.model}
        return credits | {name: self._credit(name) for name in sorted(worn)}

    def _credit(self, name: str) -> dict:
        model = self.assets.models[name]
        return {"file": f"{model.library}/{model.path.name}", "label": model.label,
                "creator": model.creator, "licence": model.licence}  # fmt: skip


def _first_possible(make: Callable):
    """What `make(attempt)` gives for the first attempt that can be posed."""
    from vmfm.trainer.render.export import Rejected
    from vmfm.trainer.render.performer import Unposable

    why = ""
    for attempt in range(ATTEMPTS):
        try:
            return make(attempt)
        except Unposable as error:
            why = str(error)
    raise Rejected(f"none of {ATTEMPTS} draws could be posed; the last: {why}")


def settings_json(settings: Settings) -> str:
    return json.dumps(asdict(settings))
