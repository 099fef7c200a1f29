"""Trained nets -> bundle: fold, round, write ONNX, and only keep what computes the same as torch."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vmfm.engine_build.errors import ExportError
from vmfm.engine_build.fold import fold_batch_norms, round_kernels
from vmfm.engine_build.onnx_model import to_onnx
from vmfm.engine_build.parity import NetParity, measure_parity, require_parity
from vmfm.runtime.bundle import Bundle, write_bundle
from vmfm.runtime.graph import NETS
from vmfm.trainer.model import VMFM


@dataclass(frozen=True)
class Export:
    """A bundle that was written, and how close to torch it computes."""

    bundle: Bundle
    parity: tuple[NetParity, ...]


def export_model(
    model: VMFM,
    path: Path,
    *,
    name: str,
    trained: Mapping[str, Any],
    scores: Mapping[str, Any],
    on_net: Callable[[str], None] = lambda net: None,
) -> Export:
    """Writes `model` as the bundle `path`; the same weights give the same files.

    trained, scores: JSON values for the manifest. on_net is told each net's name as its turn comes.
    Raises ExportError if the bundle does not compute what torch does, BundleError if it cannot be written.
    """
    nets = {key: net.eval() for key, net in model.export_nets().items()}
    rounded, models = {}, {}
    for node in NETS:
        on_net(node.name)
        rounded[node.name] = round_kernels(fold_batch_norms(nets[node.name]))
        models[node.name] = to_onnx(rounded[node.name], node)
    write = partial(
        write_bundle,
        models=models,
        name=name,
        pixel_budget=model.config.pixel_budget,
        patches=model.config.patches,
        trained={"config": model.config.to_json(), **trained},
        scores=scores,
    )
    with tempfile.TemporaryDirectory() as scratch:
        trial = write(Path(scratch) / "trial")
        parity = measure_parity(trial, nets, rounded)
    require_parity(parity)
    return Export(write(path), parity)


def read_scores(file: Path) -> dict[str, Any]:
    """The summary, metrics by test set, in a file that `vmfm evaluate --json` wrote. Raises ExportError."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))["summary"])
    except OSError as error:
        raise ExportError(f"cannot read the scores {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{file} holds no scores; wanted a file of `vmfm evaluate --json`") from error
