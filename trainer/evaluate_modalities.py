"""Scores what S-Net, D-Net and I-Net of a bundle say, each against its own truth, before any matte is made of it."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer import metrics
from vmfm.trainer.data.interactions import Point
from vmfm.trainer.evaluate import Evaluation, keep
from vmfm.trainer.evaluate_labels import inverse_depth_of, points_in
from vmfm.trainer.evaluate_scores import Scored, summarise
from vmfm.trainer.evaluate_sets import Case, Picture, list_cases

NEAR_ENOUGH = 0.1  # of the person's height, from a peak to a true point
CLOSE = 1.25  # the larger of two depths over the smaller: the usual delta_1

Maps = dict[str, np.ndarray]  # "segmentation", "depth" and "heatmap", each float32 (h, w) in [0, 1] at the nets' size


def evaluate_modalities(
    target: str,
    data: Path,
    *,
    split: str = "dev",
    only: Iterable[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Score the modality nets of ``target``, a bundle's name or folder, on the pictures of one split of ``data``.

    They run on the CPU. Raises TrainerError, or the runtime's errors.
    """
    cases = keep(list_cases(data, split), only)
    scored: list[Scored] = []
    started = time.perf_counter()
    with modality_nets(target) as look:
        for case in cases:
            picture = case.load()
            scored.append(Scored(case.dataset, case.name, score_maps(look(picture.frame), case, picture)))
            progress(len(scored), len(cases))
    facts = {"split": split, "kind": "modality nets", "seconds": round(time.perf_counter() - started, 1)}
    return Evaluation(Path(target).name, facts, tuple(summarise(scored)))


def mean_maps(target: str, data: Path, *, split: str = "dev") -> dict[str, float]:
    """What each modality net says on average over the pixels of all pictures."""
    with modality_nets(target) as look:
        seen = (look(case.load().frame) for case in list_cases(data, split))
        means = [{name: values.mean() for name, values in maps.items()} for maps in seen]
    return {name: float(np.mean([mean[name] for mean in means])) for name in means[0]}


@contextmanager
def modality_nets(target: str) -> Iterator[Callable[[np.ndarray], Maps]]:
    """A function from a frame (H, W, 3) uint8 RGB to what the nets of a bundle say of it, by the engine that users run."""
    from vmfm.runtime.backends.base import SlotShape
    from vmfm.runtime.backends.openvino_backend import OpenVinoBackend
    from vmfm.runtime.bundle import Bundle
    from vmfm.runtime.graph import NETS
    from vmfm.runtime.preprocess import preprocess

    nodes = tuple(node for node in NETS if node.reads == ("image",))
    bundle = Bundle.open(target)
    with OpenVinoBackend(bundle, nodes) as backend:

        def look(frame: np.ndarray) -> Maps:
            size = frame.shape[0], frame.shape[1]
            slot = backend.open_slot(SlotShape(size, bundle.net_size(*size), patches=1))
            preprocess(frame, slot.tensors["image"])
            for node in nodes:
                backend.run_net(slot, node)
            maps = {node.writes[0]: backend.read(slot, node.writes[0])[0, 0] for node in nodes}
            backend.close_slot(slot)
            return maps

        yield look


def score_maps(maps: Maps, case: Case, picture: Picture) -> dict[str, float | None]:
    """Every score that the labels of the case allow."""
    height, width = picture.frame.shape[:2]
    scores: dict[str, float | None] = {}
    if picture.person is not None:
        scores["segmentation_iou"] = metrics.iou(cv2.resize(maps["segmentation"], (width, height)), picture.person)
    if (truth := inverse_depth_of(case)) is not None:
        scores |= score_depth(maps["depth"], truth)
    if points := points_in(case):
        scores["heatmap_peak"] = float(peak_hits(maps["heatmap"], points, (height, width)))
    return scores


def score_depth(depth: np.ndarray, inverse: np.ndarray) -> dict[str, float | None]:
    """Scores of relative inverse depth (h, w) against inverse depth (H, W), NaN where unknown.

    The scale and shift that bring the two closest (least squares, in inverse depth) are taken out first. A person alone
    is so flat that one depth for everything does well: so that score is given too, and the share of the truth's
    variance that is explained, which is 0 for one depth.
    """
    known = np.isfinite(inverse)
    if known.sum() < 2 or np.ptp(inverse[known]) == 0:
        return {}
    truth = inverse[known].astype(np.float64)
    said = cv2.resize(depth, inverse.shape[::-1], interpolation=cv2.INTER_LINEAR)[known].astype(np.float64)
    columns = np.stack([said, np.ones_like(said)], axis=1)
    aligned = columns @ np.linalg.lstsq(columns, truth, rcond=None)[0]
    return {
        "depth_delta1": _share_close(aligned, truth),
        "depth_delta1_flat": _share_close(np.full_like(truth, truth.mean()), truth),
        "depth_explained": float(1 - ((aligned - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()),
    }


def _share_close(inverse: np.ndarray, truth: np.ndarray) -> float:
    """How many depths are within a factor of CLOSE of the true one; inverse depths that are not positive are not."""
    close = (inverse > truth / CLOSE) & (inverse < truth * CLOSE)
    return float(close.mean())


def peak_hits(heatmap: np.ndarray, points: list[Point], size: tuple[int, int]) -> bool:
    """Whether the highest pixel of a heatmap (h, w) lies near a true point of a picture of `size` (H, W)."""
    row, column = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
    x = (column + 0.5) * size[1] / heatmap.shape[1]
    y = (row + 0.5) * size[0] / heatmap.shape[0]
    return any(np.hypot(x - point.x, y - point.y) <= NEAR_ENOUGH * point.height for point in points)
