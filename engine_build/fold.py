"""Weights as they are shipped: batch norms folded into the convolutions before them, kernels rounded to fp16."""

import copy

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from vmfm.engine_build.errors import ExportError

Convolution = nn.Conv2d | nn.ConvTranspose2d


def fold_batch_norms(net: nn.Module) -> fx.GraphModule:
    """A copy of `net` for inference that computes the same without a single BatchNorm2d.

    Raises ExportError where a batch norm does not directly follow a convolution of its own.
    """
    folded = fx.symbolic_trace(copy.deepcopy(net).eval())
    modules = dict(folded.named_modules())
    for node in list(folded.graph.nodes):
        norm = modules.get(node.target) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = node.args[0]
        conv = modules.get(before.target) if before.op == "call_module" else None
        if not isinstance(conv, Convolution) or len(before.users) != 1:
            raise ExportError(f"batch norm {node.target} follows {before.target}, not a convolution of its own")
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
