"""What fp16 costs: the engines' arithmetic, imitated on the CPU, against the bundle's own fp32.

Where an engine keeps a value in fp16, the imitation rounds it to fp16's 11 bits after computing it in fp32. Engines round
at fewer places, as they fuse layers. What would overflow in fp16 is cut off at its largest number instead, and shows.
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from vmfm.engine_build.half import to_half
from vmfm.runtime.bundle import Bundle, write_bundle
from vmfm.runtime.graph import NETS
from vmfm.runtime.stream import MattingStream

MEAN_TOLERANCE = 0.002  # of alpha in [0, 1]: half a step of 8 bits
EDGE_TOLERANCE = 0.05  # of alpha: a step in an edge that an eye could see
SPLIT = 2.0**13 + 1  # Veltkamp's constant: keeps 24 - 13 bits of a float32
LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Change:
    """How far alpha, in [0, 1] at the frames' size, moved over all frames. edge_max: by how much 2x2 pixels moved together."""

    mean_abs: float
    max_abs: float
    edge_max: float

    @classmethod
    def of(cls, differences: Sequence[np.ndarray]) -> Self:
        """differences: per frame the absolute ones, (H, W)."""
        together = (cv2.erode(difference, np.ones((2, 2), np.uint8)).max() for difference in differences)
        return cls(
            float(np.mean([difference.mean() for difference in differences])),
            float(max(difference.max() for difference in differences)),
            float(max(together)),
        )


@dataclass(frozen=True)
class HalfError:
    """half: what fp16 changes. noise: what one grey level of noise in the frame changes, for comparison."""

    half: Change
    noise: Change

    @property
    def holds(self) -> bool:
        """Within tolerance; where the nets themselves waver, below what the noise of any camera does."""
        return self.half.mean_abs <= MEAN_TOLERANCE and self.half.edge_max <= max(EDGE_TOLERANCE, self.noise.edge_max)


def measure_half_error(bundle: Bundle, frames: Iterable[np.ndarray]) -> HalfError:
    """Runs frames, uint8 (H, W, 3) RGB, through the stream both ways, each frame by itself."""
    half, noise = [], []
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        imitation = imitate_bundle(bundle, Path(scratch) / "half")
        with (
            MattingStream(bundle, backend="cpu-f32", temporal=False) as exact,
            MattingStream(imitation, backend="cpu-f32", temporal=False) as rounding,
        ):
            for frame in frames:
                noisy = np.clip(frame + random.choice((-1, 0, 0, 1), frame.shape), 0, 255).astype(np.uint8)
                alpha = exact.step(frame).alpha
                half.append(np.abs(rounding.step(frame).alpha - alpha))
                noise.append(np.abs(exact.step(noisy).alpha - alpha))
    return HalfError(Change.of(half), Change.of(noise))


def imitate_bundle(bundle: Bundle, path: Path) -> Bundle:
    """Writes a bundle whose nets round as the fp16 engines of `bundle` do; runs anywhere, only slower."""
    models = {node.name: imitate(to_half(bundle.net_path(node.name).read_bytes(), node.name)) for node in NETS}
    return write_bundle(
        path,
        models,
        name=f"{bundle.name}-half",
        pixel_budget=bundle.pixel_budget,
        patches=bundle.patches,
        trained=bundle.trained,
        scores={},
    )


def imitate(half: bytes) -> bytes:
    """An fp32 model that computes what an fp16 model does, down to its rounding."""
    model = onnx.load_from_string(half)
    graph = model.graph
    is_half = {value.name for value in graph.input}
    nodes: list[onnx.NodeProto] = []
    for value in graph.input:
        nodes += _rounding(value.name, f"{value.name}.rounded")
    renamed = {value.name: f"{value.name}.rounded" for value in graph.input}
    for node in graph.node:
        rounds = _rounds(node, is_half)
        inputs = [renamed.get(name, name) for name in node.input]
        is_cast = node.op_type == "Cast"
        (output,) = node.output
        computed = f"{output}.unrounded" if rounds else output
        if is_cast:
            nodes.append(helper.make_node("Identity", inputs, [computed]))
        else:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            del copy.input[:], copy.output[:]
            copy.input.extend(inputs)
            copy.output.append(computed)
            nodes.append(copy)
        if rounds:
            is_half.add(output)
            nodes += _rounding(computed, output)
    _as_single(graph)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("half.split", SPLIT), ("half.low", -LARGEST), ("half.high", LARGEST))
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _rounds(node: onnx.NodeProto, is_half: set[str]) -> bool:
    """Whether a node of an fp16 model writes fp16: an operator writes what it reads."""
    if node.op_type == "Cast":
        return any(attribute.i == TensorProto.FLOAT16 for attribute in node.attribute if attribute.name == "to")
    return any(name in is_half for name in node.input)


def _rounding(source: str, out: str) -> list[onnx.NodeProto]:
    """Nodes that write source rounded to 11 bits: c - (c - x) with c = SPLIT * x. A Cast there and back is optimised away."""
    c, d, cut = f"{out}.c", f"{out}.d", f"{out}.cut"
    return [
        helper.make_node("Clip", [source, "half.low", "half.high"], [cut]),
        helper.make_node("Mul", [cut, "half.split"], [c]),
        helper.make_node("Sub", [c, cut], [d]),
        helper.make_node("Sub", [c, d], [out]),
    ]


def _as_single(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT
