"""Int8 for CPUs: what the values within the nets range over, found by NNCF, OpenVINO's own tool, on training pictures.

The bundle keeps its nets as they are and gains a table of ranges, some 10 KB. From it, and from the kernels, OpenVINO makes
int8 nets when a stream opens; GPUs take no notice. `quantise` in the runtime's OpenVINO backend says how.
"""

import logging
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from vmfm.engine_build.difference import Difference
from vmfm.engine_build.errors import QuantiseError
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.openvino_backend import OpenVinoBackend, OpenVinoF32Backend
from vmfm.runtime.bundle import Bundle, Ranges, write_bundle
from vmfm.runtime.graph import NETS, Node
from vmfm.runtime.preprocess import preprocess
from vmfm.trainer.evaluate_sets import list_cases

# Not the refinement: it is small, and what it works on is the last bit of an edge.
QUANTISED = tuple(node for node in NETS if "patches" not in node.reads)
HELD_OUT = 5  # every fifth picture gives no ranges, but shows what int8 changes
MEAN_TOLERANCE = 0.02  # of a net's output in [0, 1]
DIGITS = 6

Tensors = Mapping[str, np.ndarray]  # of one picture, by the graph's names


@dataclass(frozen=True)
class NetInt8:
    """What int8 changes about one net, against float32; a net that changes too much stays as it was."""

    net: str
    change: Difference

    @property
    def holds(self) -> bool:
        """Whether it is within tolerance; a difference that is not a number is not."""
        return self.change.mean_abs <= MEAN_TOLERANCE


@dataclass(frozen=True)
class Quantised:
    """A bundle that was written, and what its ranges change, net by net."""

    bundle: Bundle
    nets: tuple[NetInt8, ...]


def quantise_bundle(
    bundle: Bundle,
    data: Path,
    path: Path,
    *,
    pictures: int,
    scores: Mapping[str, Any] | None = None,
    on_net: Callable[[str], None] = lambda net: None,
) -> Quantised:
    """Writes `bundle` as `path` with ranges from that many training pictures of the data folder.

    The same pictures give the same ranges. scores: what to keep on record, by default what is. on_net is told each
    net's name as its turn comes. Raises QuantiseError where no net bears int8, TrainerError where there are no pictures.
    """
    cases = list_cases(data, "train")
    tensors = _run(bundle, (case.load().frame for case in random.Random(0).sample(cases, min(pictures, len(cases)))))
    seen = [picture for number, picture in enumerate(tensors) if number % HELD_OUT] or tensors
    ranges = {}
    for node in QUANTISED:
        on_net(node.name)
        ranges[node.name] = _ranges(bundle.net_path(node.name), node, seen)
    nets = _compare(replace(bundle, ranges=ranges), tensors[::HELD_OUT])
    kept = {net.net: ranges[net.net] for net in nets if net.holds}
    if not kept:
        changes = ", ".join(f"{net.net} {net.change}" for net in nets)
        raise QuantiseError(
            f"int8 changes every net of {bundle.path} too much (max / mean: {changes}; wanted a mean of at most "
            f"{MEAN_TOLERANCE}); nothing was written, leave the bundle in float32"
        )
    written = write_bundle(
        path,
        {name: bundle.net_path(name).read_bytes() for name in bundle.nets},
        name=bundle.name,
        pixel_budget=bundle.pixel_budget,
        patches=bundle.patches,
        trained=bundle.trained,
        scores=bundle.scores if scores is None else scores,
        ranges=kept,
    )
    return Quantised(written, nets)


def _run(bundle: Bundle, frames: Iterable[np.ndarray]) -> list[Tensors]:
    """All that the nets read and write in float32, for each frame at the size that its stream would choose."""
    pictures: list[Tensors] = []
    sizes = ((bundle.net_size(*frame.shape[:2]), frame) for frame in frames)
    with OpenVinoF32Backend(bundle, QUANTISED) as backend:
        for size, frame in sorted(sizes, key=lambda pair: pair[0]):  # so that each size is compiled once
            slot = backend.open_slot(SlotShape(size, size, bundle.patches))
            preprocess(frame, slot.tensors["image"])
            for node in QUANTISED:
                backend.run_net(slot, node)
            pictures.append(dict(slot.tensors))
            backend.close_slot(slot)
    return pictures


def _ranges(file: Path, node: Node, pictures: Sequence[Tensors]) -> Ranges:
    """Where NNCF would round in a net, and between which values."""
    os.environ.setdefault("NNCF_CI", "1")  # or it reports each use to its makers
    import nncf

    nncf.set_log_level(logging.ERROR)
    inputs = nncf.Dataset(pictures, lambda tensors: {name: tensors[name] for name in node.reads})
    grouped = nncf.IgnoredScope(types=["GroupConvolution"], validate=False)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # it draws progress bars
        model = nncf.quantize(
            ov.Core().read_model(file),
            inputs,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(pictures),
            ignored_scope=grouped,
            # Biases then stay as trained, and the ranges are all there is to keep; on `lite` correcting them gained nothing.
            advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
        )
    ranges = {}
    for op in model.get_ordered_ops():
        if op.get_type_name() == "FakeQuantize" and (names := op.input_value(0).get_names()):
            low, high = (op.input_value(place).get_node().get_data() for place in (1, 2))
            ranges[min(names)] = _short(low.min()), _short(high.max())
    return ranges


def _compare(bundle: Bundle, pictures: Sequence[Tensors]) -> tuple[NetInt8, ...]:
    """Runs every net in int8 on what it read in float32, and compares what it writes."""
    differences: dict[str, list[np.ndarray]] = {node.name: [] for node in QUANTISED}
    with _Int8Backend(bundle, QUANTISED) as backend:
        for picture in pictures:
            size = picture["image"].shape[2:]
            slot = backend.open_slot(SlotShape(size, size, bundle.patches))
            for node in QUANTISED:
                for name in node.reads:
                    backend.write(slot, name, picture[name])
                backend.run_net(slot, node)
                (output,) = node.writes
                differences[node.name].append(np.abs(slot.tensors[output] - picture[output]))
            backend.close_slot(slot)
    return tuple(NetInt8(name, Difference.of(arrays)) for name, arrays in differences.items())


class _Int8Backend(OpenVinoBackend):
    """Rounds on any machine, also where int8 is not faster."""

    takes_int8 = True


def _short(value: np.floating) -> float:
    return float(f"{value:.{DIGITS}g}")
