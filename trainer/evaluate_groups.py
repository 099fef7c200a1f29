"""Scores by group of people: does the matte serve everybody as well? On renders, since only there is known who is in them.

Views of one scene show the same person, so scenes are what counts: intervals are drawn over scenes (bootstrap).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from vmfm.trainer import report
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.evaluate_labels import facts_of
from vmfm.trainer.evaluate_scores import Scored
from vmfm.trainer.evaluate_sets import Case

HAIR = {  # as renders name it
    "bald": ("bald",),
    "short": ("crop", "side", "back", "messy", "short01", "short02", "short03", "short04"),
    "long": ("long", "long01", "bob", "bob01", "bob02", "braid01", "ponytail01"),
    "curly": ("curly", "afro", "afro01"),
}
DRAWS, INTERVAL = 2000, (2.5, 97.5)  # of the bootstrap; percentiles
SHOWN = ("sad", "sad_share", "person_recall", "object_recall", "leak")


def _hair(person: Mapping[str, Any]) -> str:
    worn = (person["hair"], *person.get("wear", ()))  # "mesh" is named by what is worn
    return next((kind for name in worn for kind, names in HAIR.items() if name in names), "other")


GROUPINGS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "skin": lambda person: "dark" if "darkskinned" in person["skin"] else "light",
    "race": lambda person: person["race"],
    "hair": _hair,
    "gender": lambda person: person["gender"],
    "age": lambda person: str(person["age"]),
}


@dataclass(frozen=True)
class Mean:
    """A score's mean over the cases of a group, and where it lies with 95 % if other scenes had been drawn."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{report.number(self.value)} [{report.number(self.low)}, {report.number(self.high)}]"


@dataclass(frozen=True)
class Group:
    """The renders of one kind of person. means: by the names in SHOWN; sad_share is SAD in percent of the true matte's area."""

    by: str
    name: str
    scenes: int
    cases: int
    means: Mapping[str, Mean]

    def as_json(self) -> dict[str, object]:
        return {**vars(self), "means": {name: vars(mean) for name, mean in self.means.items()}}


def check_names(by: Iterable[str]) -> None:
    """Raises TrainerError for a name that is not in GROUPINGS."""
    if unknown := [name for name in by if name not in GROUPINGS]:
        raise TrainerError(f"people are not grouped by {unknown[0]!r}; there are {', '.join(GROUPINGS)}")


def group(scored: Iterable[Scored], cases: Iterable[Case], by: Iterable[str]) -> list[Group]:
    """Groups of the scored renders, by each of the names in GROUPINGS. Raises TrainerError where there is no render."""
    facts = {case.name: facts_of(case) for case in cases if case.dataset == "rendered"}
    known = [case for case in scored if case.dataset == "rendered" and facts.get(case.name)]
    if not known:
        raise TrainerError("there is no render with its NAME.json to tell who is in it; score the set rendered")
    groups = []
    for name in by:
        of = {case.name: GROUPINGS[name](facts[case.name]["person"]) for case in known}
        for kind in sorted(set(of.values())):
            members = [case for case in known if of[case.name] == kind]
            groups.append(_summed(name, kind, members, facts))
    return groups


def table(groups: Iterable[Group]) -> str:
    """Markdown, one line per group."""
    lines = [["", "scenes", "renders", *(name.replace("_", " ") for name in SHOWN)]]
    for found in groups:
        means = (str(found.means[name]) if name in found.means else report.number(None) for name in SHOWN)
        lines.append([f"{found.by}: {found.name}", str(found.scenes), str(found.cases), *means])
    return report.markdown_table(lines)


def _summed(by: str, name: str, members: list[Scored], facts: Mapping[str, Mapping[str, Any]]) -> Group:
    scenes = np.array([case.name[:-1] for case in members])  # the last digit is the view
    columns: dict[str, list[float | None]] = {key: [case.scores.get(key) for case in members] for key in SHOWN}
    areas = [facts[case.name].get("alpha_area_px") for case in members]
    columns["sad_share"] = [1e5 * sad / area if sad and area else None for sad, area in zip(columns["sad"], areas)]
    means = {key: mean for key, values in columns.items() if (mean := _mean(values, scenes)) is not None}
    return Group(by, name, len(set(scenes)), len(members), means)


def _mean(values: list[float | None], scenes: np.ndarray) -> Mean | None:
    there = np.array([value is not None for value in values])
    if not there.any():
        return None
    numbers, scenes = np.array([value for value in values if value is not None], float), scenes[there]
    names = np.unique(scenes)
    sums = np.array([numbers[scenes == name].sum() for name in names])
    counts = np.array([(scenes == name).sum() for name in names])
    drawn = np.random.default_rng(0).integers(len(names), size=(DRAWS, len(names)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), INTERVAL)
    return Mean(float(numbers.mean()), float(low), float(high))
