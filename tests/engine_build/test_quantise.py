"""Ranges for int8, really found by NNCF on the renders that come with the tests."""

import json
import platform
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from vmfm.apps.main import run
from vmfm.engine_build import quantise
from vmfm.engine_build.errors import QuantiseError
from vmfm.engine_build.export import export_model
from vmfm.engine_build.quantise import QUANTISED, quantise_bundle
from vmfm.runtime import Bundle, MattingStream
from vmfm.runtime.backends.openvino_backend import INT8_MACHINES, has_vnni
from vmfm.runtime.graph import NETS

RENDERED = Path(__file__).parent.parent / "data" / "rendered" / "train"
PICTURES = 3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def tolerance():
    """As ever, but on CPUs without VNNI: where kernels have 7 bits, a net that nobody has trained moves by up to 0.035."""
    with pytest.MonkeyPatch.context() as patch:
        if not has_vnni():
            patch.setattr(quantise, "MEAN_TOLERANCE", 0.05)
        yield


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("data")
    shutil.copytree(RENDERED, home / "rendered" / "train")
    (home / "real" / "backgrounds").mkdir(parents=True)
    slope = np.linspace(0, 255, 200).astype(np.uint8)
    cv2.imwrite(str(home / "real" / "backgrounds" / "slope.jpg"), np.tile(slope[:, None], (160, 1, 3)))
    return home


@pytest.fixture(scope="module")
def exported(tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("quantise") / "exact"
    return export_model(tiny_model, path, name="tiny", trained={"steps": 7}, scores={"set": {"sad": 1.5}}).bundle


@pytest.fixture(scope="module")
def quantised(exported, data_folder, tmp_path_factory):
    return quantise_bundle(exported, data_folder, tmp_path_factory.mktemp("quantise") / "b", pictures=PICTURES)


def test_the_bundle_gains_ranges_and_nothing_else(exported, quantised):
    bundle = Bundle.open(quantised.bundle.path)
    assert bundle.nets == exported.nets
    assert (bundle.name, bundle.trained, bundle.scores) == (exported.name, exported.trained, exported.scores)
    assert set(bundle.ranges) == {node.name for node in QUANTISED} == {node.name for node in NETS} - {"refinement"}
    for ranges in bundle.ranges.values():
        assert all(low < high for low, high in ranges.values())
    low, high = bundle.ranges["foreground_s"]["image"]
    assert low == 0 and 0.9 < high <= 1  # pictures were looked at, not noise


@pytest.mark.skipif(platform.machine().lower() not in INT8_MACHINES, reason="float32 is used here")
def test_the_matte_moves_but_little(quantised):
    frame = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    with (
        MattingStream(quantised.bundle, backend="cpu") as rounded,
        MattingStream(quantised.bundle, backend="cpu-f32") as exact,
    ):
        assert "7 of 8 nets in int8" in rounded.backend_note
        moved = np.abs(rounded.step(frame).alpha - exact.step(frame).alpha)
    assert 0 < moved.mean() < 0.05


@pytest.fixture
def found_already(quantised, monkeypatch):
    """NNCF takes seconds a net, and would find the same."""
    monkeypatch.setattr(quantise, "_ranges", lambda file, node, pictures: quantised.bundle.ranges[node.name])


@pytest.mark.usefixtures("found_already")
def test_a_net_that_int8_changes_too_much_stays_in_float32(quantised, exported, data_folder, tmp_path, monkeypatch):
    changes = sorted(net.change.mean_abs for net in quantised.nets)
    monkeypatch.setattr(quantise, "MEAN_TOLERANCE", changes[2])
    some = quantise_bundle(exported, data_folder, tmp_path / "some", pictures=PICTURES)
    assert set(some.bundle.ranges) == {net.net for net in quantised.nets if net.change.mean_abs <= changes[2]}
    assert [net.holds for net in some.nets].count(True) == 3


@pytest.mark.usefixtures("found_already")
def test_where_no_net_bears_it_nothing_is_written(exported, data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(quantise, "MEAN_TOLERANCE", 0.0)
    with pytest.raises(QuantiseError, match="int8 changes every net"):
        quantise_bundle(exported, data_folder, tmp_path / "none", pictures=1)
    assert not list(tmp_path.iterdir())


def test_the_command_finds_the_same_in_the_same_pictures_and_keeps_scores(
    quantised, exported, data_folder, tmp_path, capsys
):
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps({"target": "tiny", "summary": {"rendered": {"sad": 12.0}}, "cases": []}))
    given = [str(exported.path), str(data_folder), "-o", str(tmp_path / "b"), "--pictures", str(PICTURES)]
    assert run(["quantise", *given, "--scores", str(scores)]) == 0
    told = capsys.readouterr().out
    assert all(node.name in told for node in QUANTISED)
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.scores == {"rendered": {"sad": 12.0}}
    assert bundle.ranges == quantised.bundle.ranges
