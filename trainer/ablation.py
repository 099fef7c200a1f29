"""The ablation: one bundle scored whole and with parts of it left out, each variant through the stream that users run.

It gives the rows of the paper's Table 3 that need no training of their own, and tells what each modality is worth.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from vmfm.runtime.bundle import Bundle, NetSpec, write_bundle
from vmfm.trainer import report
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.evaluate import Detail, Evaluation, Output, Settings, evaluate
from vmfm.trainer.evaluate_modalities import mean_maps
from vmfm.trainer.evaluate_scores import metric
from vmfm.trainer.files import write_whole

# Table 3, on LFM40K at 512x512. The paper refines after complementary learning only.
PAPER_SAD = {
    "SFP": 18.28, "S-CLcs": 11.85, "S-CLdc": 16.43, "S-CL": 7.02, "S-CL-RN": 5.23,
    "DFP": 16.05, "D-CLcs": 9.39, "D-CLdc": 15.24, "D-CL": 5.20, "D-CL-RN": 4.39,
}  # fmt: skip

# What the table shows of each set; the JSON has every score.
COLUMNS = {
    "rendered": ("sad", "mse", "grad", "conn", "object_recall", "leak"),
    "person_object": ("iou", "object_recall", "leak"),
    "person": ("person_recall",),
    "clip": ("sad", "dtssd"),
}


@dataclass(frozen=True)
class Variant:
    """One row: which matte, refined or not, and the net that says the same everywhere, if any: 0, or its own mean."""

    name: str
    output: Output = "complementary"
    refine: bool = True
    blank: str | None = None
    to_mean: bool = False


MODALITIES = {"segmentation": "segmentation", "depth": "depth", "interaction": "heatmap"}  # net: what it writes
BLANKED = tuple(
    Variant(f"{written} = {'its mean' if to_mean else 0}", blank=net, to_mean=to_mean)
    for to_mean in (False, True)
    for net, written in MODALITIES.items()
)


def variants(bundle: Bundle) -> tuple[Variant, ...]:
    """The rows for a bundle. S and D alone go by the paper's names, which tell whether stage cl has trained them."""
    learnt = "cl" in bundle.trained.get("stages", ())
    branches = _branches("CL") if learnt else (*_branch("SFP", "s"), *_branch("DFP", "d"))
    return (*branches, Variant("complementary", refine=False), Variant("complementary-RN"), *BLANKED)


def _branches(learnt: str) -> tuple[Variant, ...]:
    """Both foreground nets alone, by the paper's names: S-CLcs for what the consistency loss alone has taught SFPnet."""
    return (*_branch(f"S-{learnt}", "s"), *_branch(f"D-{learnt}", "d"))


def _branch(name: str, output: Output) -> tuple[Variant, ...]:
    return Variant(name, output, refine=False), Variant(f"{name}-RN", output)


@dataclass(frozen=True)
class Row:
    """A variant and its scores."""

    variant: Variant
    evaluation: Evaluation

    @property
    def means(self) -> dict[str, Mapping[str, float]]:
        """Mean scores by set."""
        return {summary.dataset: summary.means for summary in self.evaluation.summaries}


@dataclass(frozen=True)
class Ablation:
    """The result: a row per variant, in a fixed order."""

    target: str
    trained: Mapping[str, object]
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, object]:
        rows = [
            {**vars(row.variant), "paper_sad": PAPER_SAD.get(row.variant.name), **row.evaluation.as_json()}
            for row in self.rows
        ]
        return {"target": self.target, "trained": dict(self.trained), "variants": rows}

    def write_json(self, path: Path) -> None:
        write_whole(path, (json.dumps(self.as_json(), indent=1) + "\n").encode())

    def table(self) -> str:
        """Markdown, one line per variant."""
        found = {(name, key) for row in self.rows for name, means in row.means.items() for key in means}
        columns = [(name, key) for name, keys in COLUMNS.items() for key in keys if (name, key) in found]
        titles = (f"{name}: {metric(key).title} {report.arrow(metric(key).better)}" for name, key in columns)
        lines = [["", "SAD in the paper", *titles]]
        for row in self.rows:
            paper = PAPER_SAD.get(row.variant.name)
            scores = (report.number(row.means.get(name, {}).get(key)) for name, key in columns)
            lines.append([row.variant.name, "" if paper is None else f"{paper:.2f}", *scores])
        return report.markdown_table(lines)


def ablate(
    target: str,
    data: Path,
    *,
    split: str = "dev",
    clips: Path | None = None,
    only: Iterable[str] = (),
    backend: str = "auto",
    temporal: bool = True,
    detail: Detail = "fine",
    learnt: Mapping[str, str] = {},
    progress: Callable[[str, int, int], None] = lambda variant, done, total: None,
) -> Ablation:
    """Score every variant of ``target``, a bundle's name or folder. The rest is as in `evaluate`.

    learnt: bundles in which stage cl has gone on from ``target``, by what it learnt from in the paper's words: CLcs, CLdc
    or CL. Their foreground nets give the other rows of Table 3. progress is told the variant's name, the cases done of it and their number.
    """
    bundle, only = Bundle.open(target), tuple(only)
    wanted = [(bundle, variant) for variant in variants(bundle)]
    for name, other in learnt.items():
        further = Bundle.open(other)
        wanted += [(further, variant) for variant in _branches(name)]
    rows = []
    with tempfile.TemporaryDirectory(prefix="vmfm-ablation-") as scratch:
        means = mean_maps(target, data, split=split)
        for number, (scored, variant) in enumerate(wanted):
            if variant.blank is not None:
                value = means[MODALITIES[variant.blank]] if variant.to_mean else 0.0
                scored = blanked(bundle, variant.blank, Path(scratch) / str(number), value)
            result = evaluate(
                str(scored.path),
                data,
                split=split,
                clips=clips,
                only=only,
                settings=Settings(backend, variant.output, variant.refine, temporal, detail),
                progress=lambda done, total, name=variant.name: progress(name, done, total),  # type: ignore[misc]
            )
            rows.append(Row(variant, result))
    return Ablation(bundle.name, bundle.trained, tuple(rows))


def blanked(bundle: Bundle, net: str, folder: Path, value: float = 0.0) -> Bundle:
    """A copy of a bundle, written to ``folder``, with one net replaced by one that says ``value`` everywhere."""
    if net not in bundle.nets:
        raise TrainerError(f"no net is called {net!r}; there are {', '.join(bundle.nets)}")
    models = {name: bundle.net_path(name).read_bytes() for name in bundle.nets}
    return write_bundle(
        folder,
        models | {net: _constant(bundle.nets[net], value)},
        name=f"{bundle.name} without {net}",
        pixel_budget=bundle.pixel_budget,
        patches=bundle.patches,
        trained=bundle.trained,
        scores={},
        ranges={name: ranges for name, ranges in bundle.ranges.items() if name != net},
    )


def _constant(net: NetSpec, value: float) -> bytes:
    """ONNX bytes of a net with the same borders whose only layer is a 1x1 convolution with no weight in it but a bias."""
    (read,), (written,) = net.inputs, net.outputs
    weights = numpy_helper.from_array(np.zeros((written.channels, read.channels, 1, 1), np.float32), "weights")
    bias = numpy_helper.from_array(np.full(written.channels, value, np.float32), "bias")
    borders = [
        helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, [1, tensor.channels, "height", "width"])
        for tensor in (read, written)
    ]
    layer = helper.make_node("Conv", [read.name, "weights", "bias"], [written.name])
    graph = helper.make_graph([layer], net.name, borders[:1], borders[1:], [weights, bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()
