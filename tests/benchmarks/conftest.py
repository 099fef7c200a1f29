"""The scripts of benchmarks/ as modules: they are run, not installed, and import each other by their bare names."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts() -> Iterator[SimpleNamespace]:
    """Imports a script when it is asked for by name."""

    class Scripts(SimpleNamespace):
        def __getattr__(self, name: str):
            return importlib.import_module(name)

    names = {file.stem for file in BENCHMARKS.glob("*.py")}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield Scripts()
    for name in names:
        sys.modules.pop(name, None)
