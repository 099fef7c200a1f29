"""What a user gets: the wheel, installed alone in a fresh environment, runs a frame through every shipped bundle."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
RUN_A_FRAME = """
import sys
from importlib.util import find_spec
import numpy as np
from vmfm.runtime import MattingStream, shipped_bundles
assert find_spec("torch") is None and find_spec("runtime") is None
assert "lite" in shipped_bundles(), shipped_bundles()
frame = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
for bundle in shipped_bundles():
    with MattingStream(bundle) as stream:
        alpha = stream.step(frame).alpha
    assert alpha.shape == (120, 200) and 0 <= alpha.min() <= alpha.max() <= 1
print("ran", *shipped_bundles())
"""


def run(*command: object, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    arguments = [str(argument) for argument in command]
    done = subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the files that git tracks, as a release is."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    run("git", "clone", "--quiet", "--no-hardlinks", ROOT, source, cwd=folder)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_all_code_and_data_and_nothing_else(wheel):
    names = [name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name.split("/")[0] for name in names} == {"vmfm"}
    tracked = run("git", "ls-files", "runtime", "engine_build", "trainer", "apps", cwd=ROOT).split()
    # the demo and what is written for those who read the repository stay there; model cards go with their bundles
    wanted = {
        f"vmfm/{name}"
        for name in tracked
        if not name.startswith("apps/demo/") and (not name.endswith(".md") or name.startswith("runtime/bundles/"))
    }
    assert set(names) == wanted


@pytest.mark.slow
def test_the_wheel_alone_runs_a_frame(wheel, tmp_path):
    python = tmp_path / "env" / "bin" / "python"
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    run(python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", wheel, cwd=tmp_path)
    assert "recomposite" in run(python.parent / "vmfm", "--help", cwd=tmp_path)
    assert "ran" in run(python, "-c", RUN_A_FRAME, cwd=tmp_path)
