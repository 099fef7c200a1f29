"""The other way into TensorRT: torch2trt, which runs a trained net and builds the network call by call.

Optional, and ONNX is the default. torch2trt traces sizes, so that its engines take the landscape size alone; it comes
from its repository, not from a package index; and what it relies on is partly gone from TensorRT 11 and TensorRT for RTX.
"""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from vmfm.engine_build.errors import BuildError
from vmfm.engine_build.fold import Convolution, fold_batch_norms
from vmfm.engine_build.onnx_model import example_shape
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.engines import STANDARD_FRAMES, TORCH2TRT_RECIPE
from vmfm.runtime.graph import Node
from vmfm.trainer.checkpoint import load_model

INSTALL = "pip install git+https://github.com/NVIDIA-AI-IOT/torch2trt"


class Torch2TrtConverter:
    """Fills TensorRT networks with the nets of a checkpoint, in fp16."""

    recipe = TORCH2TRT_RECIPE

    def __init__(self, checkpoint: Path | None) -> None:
        """checkpoint: the folder that `vmfm train` wrote. Raises BuildError without one, TrainerError for a bad one."""
        if checkpoint is None:
            raise BuildError("torch2trt converts trained nets, not ONNX files: name their folder with --checkpoint")
        if importlib.util.find_spec("torch2trt") is None:
            raise BuildError(f"torch2trt is not installed: {INSTALL}; or take the default, --converter onnx")
        model, _ = load_model(checkpoint)
        self._nets = model.eval().export_nets()

    def __call__(self, library: Any, network: Any, log: Any, bundle: Bundle, node: Node) -> object:
        """See compile.Converter. Raises BuildError where torch2trt and this TensorRT do not go together."""
        try:
            return self._convert(import_torch2trt(library), library, network, bundle, node)
        except (AttributeError, TypeError, AssertionError, NotImplementedError, RuntimeError) as error:
            raise BuildError(
                f"torch2trt cannot convert {node.name!r} for {library.__name__} {library.__version__} "
                f"({type(error).__name__}: {error}); take the default, --converter onnx"
            ) from error

    def _convert(self, torch2trt: Any, library: Any, network: Any, bundle: Bundle, node: Node) -> object:
        net = fold_batch_norms(self._nets[node.name]).half()
        _check_origin(net, bundle, node)
        size = bundle.net_size(*STANDARD_FRAMES[0])
        inputs = [torch.zeros(example_shape(name, size, bundle.patches), dtype=torch.float16) for name in node.reads]
        context = torch2trt.ConversionContext(
            network,
            converters=with_own_converters(torch2trt.CONVERTERS),
            torch2trt_kwargs={"module": net, "device_types": {}, "default_device_type": library.DeviceType.GPU},
            builder_config=_GpuOnly(),
        )
        with torch.no_grad(), context:
            context.add_inputs(inputs, list(node.reads))
            output = net(*inputs)
        made = getattr(output, "_trt", None)
        if made is None:
            raise BuildError(f"torch2trt lost track of the output of {node.name!r}; take the default, --converter onnx")
        made = network.add_cast(made, library.DataType.HALF).get_output(0)
        made.name = node.writes[0]
        network.mark_output(made)
        return context, net, inputs


def _check_origin(net: torch.nn.Module, bundle: Bundle, node: Node) -> None:
    """The engine will be filed as that of the bundle's net: it has to be made of the same kernels."""
    stored = {
        numpy_helper.to_array(tensor).tobytes() for tensor in onnx.load(bundle.net_path(node.name)).graph.initializer
    }
    kernels = (module.weight.numpy() for module in net.modules() if isinstance(module, Convolution))
    if any(kernel.tobytes() not in stored for kernel in kernels):
        raise BuildError(
            f"the {node.name} of the checkpoint is not that of the bundle {bundle.name}: name the checkpoint that the "
            "bundle was exported from, or export it anew"
        )


class _GpuOnly:
    """What torch2trt asks of a builder's config, for each layer: it shall run on the GPU."""

    def set_device_type(self, layer: Any, device: Any) -> None:
        """All layers run there anyway."""

    def can_run_on_DLA(self, layer: Any) -> bool:
        """Asked only to decide whether to fall back to the GPU."""
        return True


def import_torch2trt(library: Any) -> Any:
    """torch2trt, with the given TensorRT in the place of the one that it imports by name."""
    sys.modules.setdefault("tensorrt", library)
    importlib.import_module("torch2trt")
    return importlib.import_module("torch2trt.torch2trt")


def with_own_converters(converters: Mapping[str, Any]) -> dict[str, Any]:
    """torch2trt's table, with ours for the transposed convolution."""
    key = "torch.nn.functional.conv_transpose2d"
    entry = dict(converters.get(key, _entry(key)))
    return {**converters, key: {**entry, "converter": convert_conv_transpose2d, "is_real": True}}


def _entry(key: str) -> dict[str, Any]:
    module, name = torch.nn.functional, key.rpartition(".")[2]
    return {"module": module, "qual_name": name, "method_str": key, "method_impl": getattr(module, name)}


def convert_conv_transpose2d(context: Any) -> None:
    """Adds a deconvolution. torch2trt's own takes the kernel's first dimension, input channels, for the output's."""
    names = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
    given = {**dict(zip(names, context.method_args, strict=False)), **context.method_kwargs}
    weight, bias, groups = given["weight"], given.get("bias"), given.get("groups", 1)
    if any(_pair(given.get("output_padding", 0))):
        raise NotImplementedError("output_padding")
    layer = context.network.add_deconvolution_nd(
        input=given["input"]._trt,
        num_output_maps=weight.shape[1] * groups,
        kernel_shape=tuple(weight.shape[2:]),
        kernel=weight.detach().cpu().numpy(),
        bias=None if bias is None else bias.detach().cpu().numpy(),
    )
    layer.stride_nd, layer.padding_nd = _pair(given.get("stride", 1)), _pair(given.get("padding", 0))
    layer.dilation_nd, layer.num_groups = _pair(given.get("dilation", 1)), groups
    context.method_return._trt = layer.get_output(0)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
