import pytest
import torch
from torch import nn
from vmfm.engine_build.errors import ExportError
from vmfm.engine_build.fold import fold_batch_norms, round_kernels
from vmfm.engine_build.onnx_model import example_shape
from vmfm.runtime.graph import NETS


class Shared(nn.Module):
    """A convolution that a batch norm reads, and something else."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x):
        x = self.conv(x)
        return torch.cat((x, self.norm(x)), dim=1)


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


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)),
        Shared(),
        nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)),
    ],
    ids=["after no convolution", "after one that others read too", "normalising first"],
)
def test_a_batch_norm_without_a_convolution_of_its_own_scales_and_shifts(net, enliven):
    net = enliven(net)
    folded = fold_batch_norms(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    image = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(folded(image), net(image).detach(), atol=1e-6, rtol=0)


def test_what_holds_no_batch_norm_may_decide_as_it_runs(enliven):
    """A part whose way depends on values cannot be traced; without a batch norm it need not be."""

    class Decides(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    net = enliven(nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), Decides()))
    image = torch.rand(1, 3, 4, 4)
    for values in (image, -image):
        torch.testing.assert_close(fold_batch_norms(net)(values), net(values).detach(), atol=1e-6, rtol=0)


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
