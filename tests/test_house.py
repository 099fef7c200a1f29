"""The rules of the house that no linter knows: what is packaged, what imports what, what no file may hold."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("runtime", "engine_build", "trainer", "apps")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Each vendor library lives in these files alone, so that replacing it, or doing without it, touches nothing else.
VENDORS = {
    "openvino": ("runtime/backends/openvino_backend.py", "engine_build/quantise.py"),
    "nncf": ("engine_build/quantise.py",),
    "tensorrt": ("runtime/backends/", "engine_build/"),
    "tensorrt_rtx": ("runtime/backends/", "engine_build/"),
    "pycuda": ("runtime/cuda/",),
    "torch": ("runtime/backends/torch_", "engine_build/", "trainer/"),
    "torchvision": ("trainer/nets/mask_rcnn.py",),
    "onnx": ("engine_build/", "runtime/backends/torch_nets.py", "trainer/ablation.py"),
    "av": ("apps/media/", "trainer/", "benchmarks/"),
    "pyvirtualcam": ("apps/",),
    "bpy": ("trainer/render/blender/",),
}
# Modules of extras that no test environment installs, and the distributions that bring them.
OF_NO_WHEEL_HERE = {"tensorrt_rtx": "tensorrt-rtx-cu13"}
ABSOLUTE_PATH = re.compile(r"""(?<![\w.~$}/:-])/(?:home|root|work|tmp|Users|mnt|opt)/\w""")


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file() and not path.is_symlink()]


def imported_modules(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def imports_of_the_parts() -> Iterator[tuple[Path, str]]:
    for file in tracked_files():
        if file.suffix == ".py" and file.relative_to(ROOT).parts[0] in PARTS:
            yield from ((file, module) for module in imported_modules(file.read_text(encoding="utf-8")))


def squash(name: str) -> str:
    """Two spellings of a distribution's name are the same under this."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, check=False)


def test_the_package_list_is_the_tree():
    """A package missing from the list works in editable installs and is silently absent from the wheel."""
    inits = (init for part in PARTS for init in (ROOT / part).rglob("__init__.py"))
    tree = {"vmfm." + ".".join(init.parent.relative_to(ROOT).parts) for init in inits}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == tree


def test_every_module_lies_in_a_package():
    for part in PARTS:
        for module in (ROOT / part).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), f"{module} would be left out of the wheel"


@pytest.mark.parametrize("part", PARTS)
def test_no_part_is_importable_under_its_bare_name(part):
    assert importlib.util.find_spec(part) is None


def test_every_verb_exists():
    for verb, target in PROJECT["project"]["entry-points"]["vmfm.commands"].items():
        module, _, function = target.partition(":")
        file = ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")
        body = ast.parse(file.read_text(encoding="utf-8")).body
        functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
        groups = {
            name.id
            for node in body
            if isinstance(node, ast.Assign)
            for name in node.targets
            if isinstance(name, ast.Name)
        }
        assert function in functions | groups, f"vmfm {verb} is {target}, which is not there"


def test_runtime_and_apps_work_without_torch():
    done = run_python(
        "import sys; sys.modules['torch'] = None\n"
        "import vmfm.runtime, vmfm.apps\n"
        "from vmfm.apps.main import run\n"
        "sys.exit(run(['--help']) or run(['recomposite', '--help']) or run(['export', '--help']))"
    )
    assert done.returncode == 0, done.stderr
    for verb in PROJECT["project"]["entry-points"]["vmfm.commands"]:
        assert verb in done.stdout


def test_a_verb_whose_extra_is_missing_names_the_extra(tmp_path):
    done = run_python(
        "import sys; sys.modules['torch'] = None\n"
        "from vmfm.apps.main import run\n"
        f"sys.exit(run(['export', {str(tmp_path)!r}, '-o', {str(tmp_path / 'bundle')!r}]))"
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "vmfm[train]" in done.stderr


def test_importing_the_runtime_loads_no_engine():
    heavy = ("torch", "openvino", "av", "tensorrt", "pycuda")
    done = run_python(f"import sys, vmfm.runtime, vmfm.apps; print(*(set({heavy}) & set(sys.modules)))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_every_library_is_declared():
    """One that only comes along with another is gone when that one lets go of it."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    requirements = [*PROJECT["project"]["dependencies"], *(requirement for extra in extras for requirement in extra)]
    declared = {squash(re.split(r"[<>=~]", requirement)[0]) for requirement in requirements}
    providers = packages_distributions()
    undeclared = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file, module in imports_of_the_parts()
        if (top := module.split(".")[0]) not in sys.stdlib_module_names | {"vmfm"}
        and not declared & {squash(name) for name in providers.get(top, [OF_NO_WHEEL_HERE.get(top, top)])}
    }
    assert undeclared == set()


def test_vendor_libraries_stay_in_their_own_files():
    strays = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file, module in imports_of_the_parts()
        if not str(file.relative_to(ROOT)).startswith(VENDORS.get(module.split(".")[0], ("",)))
    ]
    assert strays == []


def test_no_file_knows_the_machine_it_was_written_on():
    strays = []
    for file in tracked_files():
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        strays += [
            f"{file.relative_to(ROOT)}:{i}: {line}" for i, line in enumerate(lines, 1) if ABSOLUTE_PATH.search(line)
        ]
    assert strays == []
