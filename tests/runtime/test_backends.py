"""Which backend opens, and how many cores it takes."""

import importlib
import math

import pytest
from vmfm.runtime import backends
from vmfm.runtime.backends.openvino_backend import _cpu_quota
from vmfm.runtime.errors import BackendError
from vmfm.runtime.gpus import Gpu, Gpus
from vmfm.runtime.graph import build_graph

GPUS = Gpus((13, 0), (Gpu("a GPU", 89, 2**34),))


@pytest.mark.parametrize("error", [OSError("libcudart.so.12: cannot open"), TypeError("Descriptors cannot be created")])
def test_a_broken_installation_for_gpus_leaves_the_cpu(tiny_bundle, monkeypatch, error):
    importing = importlib.import_module

    def broken(name):
        if "openvino" not in name:
            raise error
        return importing(name)

    monkeypatch.setattr(backends.importlib, "import_module", broken)
    with backends._open_best(tiny_bundle, build_graph(), GPUS) as opened:
        assert "OpenVINO" in opened.note and str(error) in opened.note
    with pytest.raises(BackendError, match="cannot be loaded"):
        backends.open_backend("torch", tiny_bundle, build_graph())


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, math.inf),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
    ],
)
def test_a_container_may_grant_less_than_it_shows(tmp_path, files, cores):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert _cpu_quota(tmp_path) == cores
