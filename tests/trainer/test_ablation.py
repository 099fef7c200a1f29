"""The ablation on a bundle whose matte is brightness: what each variant runs, and what is reported of it."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from vmfm.apps.main import run
from vmfm.runtime import MattingStream
from vmfm.trainer.ablation import ablate, blanked, variants
from vmfm.trainer.errors import TrainerError

SIZE = 64


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def data(tmp_path):
    """One scene: a person in pure red on black, so that the red channel is the true alpha."""
    root, alpha = tmp_path / "data", np.zeros((SIZE, SIZE), np.uint8)
    alpha[16:48, 16:48] = 255
    write(root / "real" / "backgrounds" / "night.jpg", np.zeros((SIZE, SIZE, 3), np.uint8))
    write(root / "rendered" / "train" / "000010_fg.webp", np.dstack([0 * alpha, 0 * alpha, alpha, alpha]))
    write(root / "rendered" / "train" / "000010_person.png", alpha)
    return root


def test_the_rows_and_what_they_scored(tiny_bundle, data):
    seen = []
    result = ablate(str(tiny_bundle.path), data, progress=lambda name, done, total: seen.append((name, done, total)))
    names = [row.variant.name for row in result.rows]
    assert names[:6] == ["SFP", "SFP-RN", "DFP", "DFP-RN", "complementary", "complementary-RN"]
    assert names[6:9] == ["segmentation = 0", "depth = 0", "heatmap = 0"]
    assert names[9:] == ["segmentation = its mean", "depth = its mean", "heatmap = its mean"]
    assert seen == [(name, done, 2) for name in names for done in (1, 2)]  # before two kinds of background
    for row in result.rows:
        facts = row.evaluation.facts
        assert (facts["output"], facts["refine"]) == (row.variant.output, row.variant.refine)
        assert row.means["rendered"]["sad"] < 0.2  # red is alpha; the foreground nets of this bundle heed no modality


def test_bundles_that_stage_cl_made_give_the_other_rows_of_the_papers_table(tiny_bundle, data):
    path = str(tiny_bundle.path)
    result = ablate(path, data, learnt={"CLcs": path, "CL": path})
    rows = {row.variant.name: row for row in result.rows}
    assert list(rows)[12:] == ["S-CLcs", "S-CLcs-RN", "D-CLcs", "D-CLcs-RN", "S-CL", "S-CL-RN", "D-CL", "D-CL-RN"]
    assert rows["D-CL-RN"].means == rows["DFP-RN"].means  # the very same nets here
    assert "11.85" in next(line for line in result.table().splitlines() if "S-CLcs " in line)


def test_a_bundle_that_stage_cl_has_trained_goes_by_the_papers_names(tiny_bundle):
    trained = replace(tiny_bundle, trained={"stages": ["modality", "sup2", "cl", "refine"]})
    assert [v.name for v in variants(trained)][:4] == ["S-CL", "S-CL-RN", "D-CL", "D-CL-RN"]


@pytest.mark.parametrize(
    ("net", "tensor", "value"), [("segmentation", "segmentation", 0), ("interaction", "heatmap", 0.25)]
)
def test_a_blanked_net_says_one_thing_and_the_rest_is_as_it_was(tiny_bundle, tmp_path, disc, net, tensor, value):
    copy = blanked(tiny_bundle, net, tmp_path / "copy", value)
    for name, spec in tiny_bundle.nets.items():
        assert (copy.nets[name].sha256 == spec.sha256) == (name != net)
    image = np.random.default_rng(0).random((1, 3, 32, 64), np.float32)
    (output,) = ReferenceEvaluator(str(copy.net_path(net))).run([tensor], {"image": image})
    assert output.shape == (1, 1, 32, 64)
    assert (output == value).all()
    with MattingStream(copy, backend="cpu", temporal=False) as stream:
        assert stream.step(disc()).alpha.max() == pytest.approx(1, abs=0.05)


def test_the_other_nets_keep_their_ranges_for_int8(tiny_bundle, tmp_path):
    ranges = {net: {"image": (0.0, 1.0)} for net in ("segmentation", "depth")}
    assert blanked(replace(tiny_bundle, ranges=ranges), "depth", tmp_path / "copy").ranges == {
        "segmentation": ranges["segmentation"]
    }


def test_a_net_that_does_not_exist(tiny_bundle, tmp_path):
    with pytest.raises(TrainerError, match="segmentation"):
        blanked(tiny_bundle, "sound", tmp_path / "copy")


def test_as_typed(tiny_bundle, data, tmp_path, capsys):
    scores = tmp_path / "scores.json"
    assert run(["evaluate", str(tiny_bundle.path), str(data), "--ablation", "--json", str(scores)]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.count("|") for line in table] == [table[0].count("|")] * 14
    assert table[2].startswith("| SFP ") and "18.28" in table[2]
    saved = json.loads(scores.read_text())
    assert [row["paper_sad"] for row in saved["variants"]][:4] == [18.28, None, 16.05, None]
    assert saved["trained"] == {"steps": 0}
    assert all(row["summary"]["rendered"]["cases"] == 1 for row in saved["variants"])
    assert run(["evaluate", str(tiny_bundle.path), str(data), "--ablation", "--html", str(tmp_path / "a.html")]) == 1
