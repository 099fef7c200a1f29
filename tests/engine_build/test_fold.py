import pytest
import torch
from torch import nn
from vmfm.engine_build.errors import ExportError
from vmfm.engine_build.fold import fold_batch_norms, round_kernels
from vmfm.engine_build.onnx_model import example_shape
from vmfm.runtime.graph import NETS


@pytest.mark.parametrize("node", NETS, ids=lambda node: node.name)
def test_folding_leaves_no_batch_norm_and_the_same_output(tiny_model, node):
    net = tiny_model.export_nets()[node.name]
    inputs = [torch.rand(example_shape(name)) for name in node.reads]
    folded = fold_batch_norms(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(*inputs), net(*inputs), atol=1e-5, rtol=0)


def test_folding_leaves_the_trained_net_alone(tiny_model):
    net = tiny_model.export_nets()["foreground_s"]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fold_batch_norms(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_batch_norm_without_a_convolution_is_refused():
    with pytest.raises(ExportError, match="batch norm 1 follows 0, not a convolution"):
        fold_batch_norms(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)))


def test_kernels_round_to_fp16_and_biases_stay():
    conv = nn.Conv2d(3, 2, 3)
    rounded = round_kernels(nn.Sequential(conv))[0]
    assert torch.equal(rounded.weight, conv.weight.half().float())
    assert torch.equal(rounded.bias, conv.bias)


def test_a_kernel_beyond_fp16_is_refused():
    conv = nn.Conv2d(1, 1, 1)
    nn.init.constant_(conv.weight, 1e6)
    with pytest.raises(ExportError, match="kernel 0 reaches 1e.06"):
        round_kernels(nn.Sequential(conv))
