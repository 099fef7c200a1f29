"""The whole chain, from pictures to a recomposited frame: every stage, then export, then a frame through the runtime."""

import json

import numpy as np
import pytest
from vmfm.apps.main import run
from vmfm.runtime import MattingStream
from vmfm.runtime.composite import composite
from vmfm.trainer.recipe import load_recipe
from vmfm.trainer.stages import OBJECTIVES


def test_smoke_has_every_stage():
    assert {stage.name for stage in load_recipe("smoke").stages} == set(OBJECTIVES)


@pytest.mark.slow
def test_from_pictures_to_a_recomposited_frame(data_folder, tmp_path):
    out, bundle = tmp_path / "run", tmp_path / "bundle"
    assert run(["train", "smoke", "--data", str(data_folder), "--out", str(out), "--device", "cpu"]) == 0
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    terms = {line["stage"]: line.keys() - {"stage", "step", "speed", "composing", "seconds_left"} for line in lines}
    assert terms.keys() == set(OBJECTIVES)
    assert terms["sup2"] == {
        f"{term}_{m}" for term in ("matte", "composite", "adversarial", "deviation", "judge") for m in "sd"
    }
    assert terms["cl"] == {
        f"{term}_{m}" for term in ("adversarial", "supervision", "correction", "judge") for m in "sd"
    }
    assert run(["export", str(out), "-o", str(bundle)]) == 0
    frame = np.random.default_rng(0).integers(0, 256, (72, 128, 3), dtype=np.uint8)
    with MattingStream(bundle) as stream:
        matte = stream.step(frame)
    assert matte.alpha.shape == (72, 128) and np.isfinite(matte.alpha).all()
    assert stream.bundle.trained["recipe"] == "smoke"
    assert composite(frame, matte.alpha, np.zeros_like(frame)).shape == frame.shape
