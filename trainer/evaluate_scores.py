"""Scores one matte, one clip, and sums up a set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from vmfm.trainer import metrics
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.evaluate_sets import Picture

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Metric:
    """A column of the report."""

    name: str
    better: str  # "low" or "high"
    meaning: str

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")


METRICS = (
    Metric("iou", "high", "alpha >= 0.5 against person and objects, intersection over union"),
    Metric("object_recall", "high", "mean alpha over the objects alone, eroded by 2 px"),
    Metric("person_recall", "high", "mean alpha over the person alone"),
    Metric("leak", "low", "mean alpha x 1000 more than 15 px from person and objects"),
    Metric("mad_outside_border", "low", "mean absolute difference x 1000, without 5 px at the mask's border"),
    Metric("sad", "low", "sum of absolute differences / 1000"),
    Metric("mad", "low", "mean absolute difference x 1000"),
    Metric("mse", "low", "mean squared error x 1000"),
    Metric("grad", "low", "gradient error / 1000"),
    Metric("conn", "low", "connectivity error / 1000"),
    Metric("dtssd", "low", "flicker: root mean square of wrong change x 100"),
    Metric("segmentation_iou", "high", "what S-Net says, >= 0.5, against the person alone, intersection over union"),
    Metric(
        "depth_delta1", "high", "share of pixels where D-Net, scaled and shifted, is within 1.25 times the true depth"
    ),
    Metric("depth_delta1_flat", "high", "the same of one depth for the whole picture, for comparison"),
    Metric(
        "depth_explained", "high", "share of the variance of inverse depth that D-Net, scaled and shifted, explains"
    ),
    Metric(
        "heatmap_peak", "high", "share of pictures where I-Net peaks within 0.1 of the person's height of a true point"
    ),
)

# What orders the cases of a set from worst to best: the first of these that the set has.
WORST_BY = ("sad", "iou", "person_recall", "segmentation_iou")


@dataclass(frozen=True)
class Strip:
    """A frame in a row of small JPEG files: input, truth, matte, difference, on green."""

    caption: str
    pictures: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True)
class Scored:
    """The scores of one case; ``strips`` show it, a clip by its worst frames; empty unless asked for."""

    dataset: str
    name: str
    scores: Scores
    strips: tuple[Strip, ...] = ()


@dataclass(frozen=True)
class Summary:
    """The means over one set; a metric is averaged over the cases that have it."""

    dataset: str
    count: int
    means: Mapping[str, float]
    cases: tuple[Scored, ...] = field(repr=False)

    def worst_first(self) -> list[Scored]:
        """The cases, worst first, by the metric that suits the set."""
        key = next(name for name in WORST_BY if name in self.means)
        sign = 1 if metric(key).better == "high" else -1
        scored = [case for case in self.cases if case.scores.get(key) is not None]
        return sorted(scored, key=lambda case: sign * float(case.scores[key] or 0))


def metric(name: str) -> Metric:
    """The metric of that name. Raises TrainerError."""
    for known in METRICS:
        if known.name == name:
            return known
    raise TrainerError(f"no metric is called {name!r}; there are {', '.join(m.name for m in METRICS)}")


def score_picture(alpha: np.ndarray, picture: Picture) -> dict[str, float | None]:
    """Every metric that the picture's truth allows. ``alpha`` (H, W) is float in [0, 1] or uint8."""
    if picture.known is not None:
        alpha = np.where(picture.known, metrics.as_alpha(alpha), picture.truth / 255)
    scores: dict[str, float | None] = {}
    if picture.alpha is not None:
        scores |= {
            "sad": metrics.sad(alpha, picture.alpha),
            "mad": metrics.mad(alpha, picture.alpha),
            "mse": metrics.mse(alpha, picture.alpha),
            "grad": metrics.gradient_error(alpha, picture.alpha),
            "conn": metrics.connectivity_error(alpha, picture.alpha),
        }
    if picture.person_object is not None:
        mask, known = picture.person_object, picture.known
        scores |= {"iou": metrics.iou(alpha, mask), "leak": metrics.leak(alpha, mask, known)}
        if picture.alpha is None:
            scores["mad_outside_border"] = metrics.mad_outside_border(alpha, mask, known)
        if picture.person is not None:
            scores["object_recall"] = metrics.object_recall(alpha, picture.person_object, picture.person)
    if picture.person is not None:
        scores["person_recall"] = metrics.recall(alpha, picture.person)
    return scores


def score_clip(alphas: Iterable[np.ndarray], truths: Iterable[np.ndarray]) -> dict[str, float | None]:
    """SAD, MAD and MSE averaged over the frames, and dtSSD. Holds two frames at a time."""
    per_frame: dict[str, list[float | None]] = {"sad": [], "mad": [], "mse": [], "dtssd": []}
    previous: tuple[np.ndarray, np.ndarray] | None = None
    for index, (alpha, truth) in enumerate(zip_longest(alphas, truths)):
        if alpha is None or truth is None:
            missing = "matte" if alpha is None else "true alpha"
            raise TrainerError(f"frame {index} has no {missing}; the clip and its true alpha must be of one length")
        per_frame["sad"].append(metrics.sad(alpha, truth))
        per_frame["mad"].append(metrics.mad(alpha, truth))
        per_frame["mse"].append(metrics.mse(alpha, truth))
        if previous is not None:
            per_frame["dtssd"].append(metrics.dtssd_pair(previous[0], alpha, previous[1], truth))
        previous = alpha, truth
    return {name: metrics.mean_of(values) for name, values in per_frame.items()}


def summarise(cases: Iterable[Scored]) -> list[Summary]:
    """One summary per dataset, in order of first appearance; ``a/b`` and ``a/c`` are also summed up as ``a``."""
    groups: dict[str, list[Scored]] = {}
    for case in cases:
        family = case.dataset.partition("/")[0]
        for dataset in dict.fromkeys((family, case.dataset)):
            groups.setdefault(dataset, []).append(case)
    return [_summary(dataset, members) for dataset, members in groups.items()]


def _summary(dataset: str, cases: list[Scored]) -> Summary:
    means = {m.name: metrics.mean_of(case.scores.get(m.name) for case in cases) for m in METRICS}
    return Summary(dataset, len(cases), {k: v for k, v in means.items() if v is not None}, tuple(cases))
