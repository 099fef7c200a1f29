"""The paper's own S-, D- and I-Net through the bundle and the runtime."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from vmfm.engine_build.export import export_model
from vmfm.engine_build.half import to_half
from vmfm.runtime import MattingStream
from vmfm.runtime.backends.torch_nets import OnnxNet
from vmfm.trainer.config import TINY, NetConfig
from vmfm.trainer.model import VMFM

pytestmark = pytest.mark.slow
SIZE = (90, 160)


def has_torchvision():
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        return False
    return True


DEEP = pytest.param(replace(TINY, depth="densedepth", interaction="hourglass"), id="densedepth and hourglass")
DETECTOR = pytest.param(
    replace(TINY, segmentation="mask_rcnn"),
    marks=pytest.mark.skipif(not has_torchvision(), reason="no torchvision that fits this torch"),
    id="mask_rcnn",
)


@pytest.fixture(scope="module", params=[DEEP, DETECTOR])
def exported(request, tmp_path_factory):
    torch.manual_seed(0)
    model = settled(request.param)
    path = tmp_path_factory.mktemp("alternatives") / "bundle"
    return model, export_model(model, path, name="alternatives", trained={}, scores={})


def settled(config: NetConfig) -> VMFM:
    """A model whose batch norms have seen pictures: untrained ones make deep nets overflow."""
    model = VMFM(config)
    with torch.no_grad():
        for _ in range(4):
            model.train()(torch.rand(2, 3, 64, 64))
    if config.segmentation == "mask_rcnn":  # an untrained one sees nobody
        torch.nn.init.normal_(model.segmentation.detector.roi_heads.box_predictor.cls_score.bias, 0, 3)
    return model.eval()


def test_the_bundle_computes_what_torch_does(exported):
    _, export = exported
    for net in export.parity:
        assert net.holds, net
    assert max(net.rounding.max_abs for net in export.parity) > 0  # the outputs are not flat


def test_a_frame_runs_through_the_stream(exported):
    _, export = exported
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    with MattingStream(export.bundle, backend="cpu", temporal=False) as stream:
        matte = stream.step(frame)
        again = stream.step(frame)
    assert matte.alpha.shape == SIZE and 0 <= matte.alpha.min() < matte.alpha.max() <= 1
    np.testing.assert_array_equal(matte.alpha, again.alpha)


@pytest.mark.parametrize("exported", [DEEP], indirect=True)
@pytest.mark.parametrize("net", ["depth", "interaction"])
def test_it_also_runs_on_gpus(exported, net):
    """The torch backend knows the operators, and the rewriting to fp16, from which TensorRT builds, holds."""
    model, export = exported
    file = export.bundle.net_path(net)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(OnnxNet(file)(image), getattr(model, net)(image), atol=2e-2, rtol=0)
    assert len(to_half(file.read_bytes(), net)) < 1.1 * file.stat().st_size
