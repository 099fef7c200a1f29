"""Does a bundle compute what the trained nets compute? Asked net by net, through the engine that users run."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from vmfm.engine_build.difference import Difference
from vmfm.engine_build.errors import ExportError
from vmfm.engine_build.onnx_model import example_shape
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.openvino_backend import OpenVinoBackend
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.graph import NETS

SIZES = ((224, 384), (384, 224), (160, 160))  # (H, W): landscape, portrait, square
PATCHES = 32
MAX_TOLERANCE = 1e-3  # float32 sums in another order differ by 1e-6; one 8-bit step of alpha is 4e-3
MEAN_TOLERANCE = 1e-5
MOST_ROUNDING = 5e-3  # mean of what rounding kernels to fp16 may change: about one 8-bit step


@dataclass(frozen=True)
class NetParity:
    """What shipping changes about one net."""

    net: str
    engine: Difference  # the bundle in its engine against torch, same weights
    rounding: Difference  # torch with kernels rounded to fp16 against torch as trained

    @property
    def holds(self) -> bool:
        """Whether the bundle is within tolerance; a difference that is not a number is not."""
        in_engine = self.engine.max_abs <= MAX_TOLERANCE and self.engine.mean_abs <= MEAN_TOLERANCE
        return in_engine and self.rounding.mean_abs <= MOST_ROUNDING


def measure_parity(
    bundle: Bundle, trained: Mapping[str, nn.Module], rounded: Mapping[str, nn.Module]
) -> tuple[NetParity, ...]:
    """Runs every net three ways, at landscape, portrait and square sizes, in the order of the graph.

    trained, rounded: the nets by name in evaluation mode, as trained and with the kernels that the bundle stores. A
    net reads what the trained nets before it wrote, the first ones a synthetic picture.
    """
    differences: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {node.name: [] for node in NETS}
    with OpenVinoBackend(bundle, NETS) as backend, torch.no_grad():
        for size in SIZES:
            slot = backend.open_slot(SlotShape(frame_size=size, net_size=size, patches=PATCHES))
            tensors = {name: _picture(name, size) for name in ("image", "patches")}
            for node in NETS:
                inputs = [tensors[name] for name in node.reads]
                for name, tensor in zip(node.reads, inputs, strict=True):
                    backend.write(slot, name, tensor.numpy())
                backend.run_net(slot, node)
                (output,) = node.writes
                in_engine = backend.read(slot, output)
                with_rounding = rounded[node.name](*inputs).numpy()
                tensors[output] = trained[node.name](*inputs)
                as_trained = tensors[output].numpy()
                differences[node.name].append((np.abs(in_engine - with_rounding), np.abs(with_rounding - as_trained)))
            backend.close_slot(slot)
    return tuple(
        NetParity(name, *(Difference.of(arrays) for arrays in zip(*pairs, strict=True)))
        for name, pairs in differences.items()
    )


def require_parity(parity: tuple[NetParity, ...]) -> None:
    """Raises ExportError naming every net whose bundle is out of tolerance."""
    if failed := [net for net in parity if not net.holds]:
        nets = ", ".join(f"{net.net} (max / mean {net.engine}, by rounding {net.rounding})" for net in failed)
        raise ExportError(
            f"the exported bundle does not compute what torch computes: {nets}, wanted at most "
            f"{MAX_TOLERANCE:.0e} / {MEAN_TOLERANCE:.0e}, by rounding a mean of {MOST_ROUNDING:.0e}; nothing was written"
        )


def _picture(tensor: str, size: tuple[int, int]) -> Tensor:
    """Noise over blobs, in [0, 1]: flat parts and edges at once, and the same on every run."""
    shape = example_shape(tensor, size, PATCHES)
    random = torch.Generator().manual_seed(0)
    blobs = torch.rand((*shape[:2], 6, 6), generator=random)
    smooth = nn.functional.interpolate(blobs, shape[2:], mode="bicubic", align_corners=False)
    return (smooth + 0.1 * torch.randn(shape, generator=random)).clamp(0, 1)
