"""Weights as they are shipped: batch norms folded into the convolutions before them, kernels rounded to fp16."""

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from vmfm.engine_build.errors import ExportError

Convolution = nn.Conv2d | nn.ConvTranspose2d


class ScaleShift(nn.Module):
    """What a batch norm does in inference, channel by channel: x (N, C, H, W) -> x scale + shift."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        self.register_buffer("scale", scale.view(1, -1, 1, 1))
        self.register_buffer("shift", (norm.bias.detach() - norm.running_mean * scale).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class _Tracer(fx.Tracer):
    """Looks into modules as far as batch norms lie in them: what is built without any may do what it likes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        holds_norm = any(isinstance(module, nn.BatchNorm2d) for module in m.modules())
        return not holds_norm or super().is_leaf_module(m, module_qualified_name)


def fold_batch_norms(net: nn.Module) -> fx.GraphModule:
    """A copy of `net` for inference that computes the same without a single BatchNorm2d.

    One that does not directly follow a convolution of its own, as in nets that normalise first, becomes a ScaleShift.
    """
    net = copy.deepcopy(net).eval()
    with torch.no_grad():  # as in inference: where gradients are recorded, blocks fold norms on their own
        folded = fx.GraphModule(net, _Tracer().trace(net))
    modules = dict(folded.named_modules())
    for node in list(folded.graph.nodes):
        norm = modules.get(node.target) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = node.args[0]
        conv = modules.get(before.target) if before.op == "call_module" else None
        if not isinstance(conv, Convolution) or len(before.users) != 1:
            folded.set_submodule(node.target, ScaleShift(norm))
            continue
        transposed = isinstance(conv, nn.ConvTranspose2d)
        folded.set_submodule(before.target, fuse_conv_bn_eval(conv, norm, transpose=transposed))
        node.replace_all_uses_with(before)
        folded.graph.erase_node(node)
    folded.delete_all_unused_submodules()
    folded.recompile()
    return folded.requires_grad_(False)


def round_kernels(net: nn.Module) -> nn.Module:
    """A copy of `net` whose convolution kernels are numbers of fp16, kept as float32; biases stay as they are.

    Raises ExportError on a kernel that fp16 cannot hold.
    """
    rounded = copy.deepcopy(net)
    for name, module in rounded.named_modules():
        if isinstance(module, Convolution):
            kernel = module.weight.half().float()
            if not torch.isfinite(kernel).all():
                peak = module.weight.abs().max().item()
                raise ExportError(f"kernel {name} reaches {peak:g}, fp16 holds up to 65504; the training has diverged")
            module.weight = nn.Parameter(kernel, requires_grad=False)
    return rounded
