"""Scores a bundle, or a folder of alphas, on a data folder.

A bundle runs through the very stream that users run: still pictures one by one with nothing kept between them, clips
in order and, by default, with the stream's temporal smoothing, as users see them.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from vmfm.trainer import report
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.evaluate_groups import Group, check_names, group
from vmfm.trainer.evaluate_scores import Scored, Summary, score_clip, score_picture, summarise
from vmfm.trainer.evaluate_sets import Case, Clip, list_cases, list_clips
from vmfm.trainer.files import write_whole
from vmfm.trainer.images import encode, read_grey

Output = Literal["complementary", "s", "d"]
Detail = Literal["fast", "balanced", "fine"]


class Predictor(Protocol):
    """Whatever gives mattes: alphas are (H, W) of the frame's size, float in [0, 1] or uint8."""

    def picture(self, case: Case, frame: np.ndarray) -> np.ndarray: ...

    def clip(self, clip: Clip) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True)
class Settings:
    """What of the stream to score. Raises TrainerError for an output or a detail that does not exist."""

    backend: str = "auto"
    output: Output = "complementary"  # or the foreground net of one branch alone
    refine: bool = True  # the refinement net on the least sure patches
    temporal: bool = True  # smoothing over time; on clips only
    detail: Detail = "fine"  # at how many pixels the nets look

    def __post_init__(self) -> None:
        if self.output not in get_args(Output):
            raise TrainerError(f"no output is called {self.output!r}; there are {', '.join(get_args(Output))}")
        if self.detail not in get_args(Detail):
            raise TrainerError(f"no detail is called {self.detail!r}; there are {', '.join(get_args(Detail))}")


class FunctionPredictor:
    """Scores any function from a frame (H, W, 3) uint8 RGB to an alpha (H, W): a model in training, say."""

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray]):
        self._predict = predict

    def picture(self, case: Case, frame: np.ndarray) -> np.ndarray:
        return self._predict(frame)

    def clip(self, clip: Clip) -> Iterator[np.ndarray]:
        return map(self._predict, clip.frames())


class StreamPredictor:
    """Scores what a `MattingStream` gives. Pictures need a stream opened with ``temporal=False``."""

    def __init__(self, stream):
        self._stream = stream

    def picture(self, case: Case, frame: np.ndarray) -> np.ndarray:
        self._stream.reset()
        return self._stream.step(frame).alpha

    def clip(self, clip: Clip) -> Iterator[np.ndarray]:
        self._stream.reset()
        for frame in clip.frames():
            yield self._stream.step(frame).alpha


def _by_number(file: Path) -> list[tuple[int, str]]:
    """frame_9 comes before frame_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.stem)]


class FolderPredictor:
    """Scores saved alphas: ``FOLDER/<set>/<name>.png`` or ``FOLDER/<name>.png``; a clip's are ``FOLDER/<clip>/*.png``.

    <set> is the dataset's name up to its slash: person_object, person, rendered.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def has(self, case: Case) -> bool:
        return self._file(case) is not None

    def has_clip(self, clip: Clip) -> bool:
        return (self.folder / clip.name).is_dir()

    def picture(self, case: Case, frame: np.ndarray) -> np.ndarray:
        file = self._file(case)
        if file is None:
            raise TrainerError(f"{self.folder} holds no alpha for {case.dataset} {case.name} (wanted {case.name}.png)")
        return read_grey(file)

    def clip(self, clip: Clip) -> Iterator[np.ndarray]:
        for file in sorted((self.folder / clip.name).glob("*.png"), key=_by_number):
            yield read_grey(file)

    def _file(self, case: Case) -> Path | None:
        family = case.dataset.partition("/")[0]
        candidates = [self.folder / family / f"{case.name}.png"]
        if family != "sharp":  # what else is called so is of another picture: of "rendered"
            candidates.append(self.folder / f"{case.name}.png")
        return next((file for file in candidates if file.exists()), None)


@dataclass(frozen=True)
class Evaluation:
    """The result: facts about the run, a summary per set, and the groups of people that were asked for."""

    target: str
    facts: Mapping[str, object]
    summaries: tuple[Summary, ...]
    groups: tuple[Group, ...] = ()

    def as_json(self) -> dict[str, object]:
        cases = [
            {"set": case.dataset, "name": case.name, **case.scores}
            for summary in self.summaries
            if "/" not in summary.dataset
            for case in summary.cases
        ]
        summary = {s.dataset: {"cases": s.count, **s.means} for s in self.summaries}
        groups = {"groups": [found.as_json() for found in self.groups]} if self.groups else {}
        return {"target": self.target, **self.facts, "summary": summary, **groups, "cases": cases}

    def write_json(self, path: Path) -> None:
        write_whole(path, (json.dumps(self.as_json(), indent=1) + "\n").encode())

    def write_html(self, path: Path) -> None:
        page = report.html_report(f"Evaluation of {self.target}", self.facts, self.summaries)
        write_whole(path, page.encode())


def evaluate(
    target: str,
    data: Path,
    *,
    split: str = "dev",
    clips: Path | None = None,
    only: Iterable[str] = (),
    settings: Settings = Settings(),
    pictures: bool = False,
    by: Iterable[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Score ``target`` (a bundle's name or folder, or a folder of alpha PNGs) on one split of ``data``.

    ``clips`` is a folder of videos with their true alphas; ``data/clips`` is used where it is there. ``only`` keeps the
    named sets. ``pictures`` keeps small pictures for the HTML report. ``by`` names groups of people to sum renders up by. Raises TrainerError, or the runtime's errors.
    """
    _refuse_checkpoint(target)
    check_names(by)
    cases = keep(list_cases(data, split), only)
    if clips is None and (data / "clips").is_dir():
        clips = data / "clips"
    videos = list_clips(clips) if clips is not None and _wanted("clip", only) else []
    if not cases and not videos:
        raise TrainerError(f"nothing to score: {data} has no set {' or '.join(only)} in its {split} split")

    folder = _alpha_folder(target)
    if folder is not None:
        cases, videos = _present(folder, cases), [clip for clip in videos if folder.has_clip(clip)]
        if not cases and not videos:
            raise TrainerError(f"{target} holds no alpha named after a picture (NAME.png) or a clip (CLIP/*.png)")
        facts: dict[str, object] = {"split": split, "kind": "saved alphas"}
    else:
        facts = {"split": split, "kind": "bundle", **vars(settings)}

    def predictor(temporal: bool) -> AbstractContextManager[Predictor]:
        return nullcontext(folder) if folder is not None else _stream_predictor(target, settings, temporal)

    scored: list[Scored] = []
    total = len(cases) + len(videos)
    started = time.perf_counter()
    if cases:
        with predictor(temporal=False) as still:
            for case in cases:
                scored.append(score_case(still, case, pictures))
                progress(len(scored), total)
    if videos:
        with predictor(temporal=settings.temporal) as moving:
            for clip in videos:
                scored.append(score_video(moving, clip, pictures))
                progress(len(scored), total)
    facts["seconds"] = round(time.perf_counter() - started, 1)
    groups = tuple(group(scored, cases, by)) if by else ()
    return Evaluation(Path(target).name, facts, tuple(summarise(scored)), groups)


def score_case(predictor: Predictor, case: Case, pictures: bool = False) -> Scored:
    """Load one case, matte it and score it."""
    picture = case.load()
    alpha = predictor.picture(case, picture.frame)
    if alpha.shape != picture.frame.shape[:2]:
        raise TrainerError(
            f"the alpha of {case.name} is {alpha.shape} and its image {picture.frame.shape[:2]}; they must match"
        )
    shown = (report.strip(picture.frame, alpha, picture.truth),) if pictures else ()
    return Scored(case.dataset, case.name, score_picture(alpha, picture), shown)


def score_video(predictor: Predictor, clip: Clip, pictures: bool = False) -> Scored:
    """Matte one clip and score it; with its worst frames, if ``pictures``."""
    alphas, worst = predictor.clip(clip), report.WorstFrames()
    if pictures:
        alphas = worst.watch(alphas, clip)
    return Scored("clip", clip.name, score_clip(alphas, clip.truths()), worst.strips())


def save_inputs(data: Path, folder: Path, *, split: str = "dev", only: Iterable[str] = ()) -> int:
    """Write the frames of a split as ``folder/<set>/<name>.png`` for other matting programs; returns how many."""
    cases = keep(list_cases(data, split), only)
    for case in cases:
        target = folder / case.dataset.partition("/")[0] / f"{case.name}.png"
        write_whole(target, encode(case.load().frame, ".png"))
    return len(cases)


def _wanted(dataset: str, only: Iterable[str]) -> bool:
    wanted = tuple(only)
    return not wanted or dataset in wanted or dataset.partition("/")[0] in wanted


def keep(cases: list[Case], only: Iterable[str]) -> list[Case]:
    """The cases of the named sets; all, where none is named. Raises TrainerError for a set that is not there."""
    only = tuple(only)
    known = {"clip", *(name for case in cases for name in (case.dataset, case.dataset.partition("/")[0]))}
    if unknown := set(only) - known:
        raise TrainerError(f"no set is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return [case for case in cases if _wanted(case.dataset, only)]


def _alpha_folder(target: str) -> FolderPredictor | None:
    """The target as a folder of alphas, if it is one: it holds PNGs, and no manifest."""
    folder = Path(target)
    if not folder.is_dir() or (folder / "manifest.json").exists() or next(folder.rglob("*.png"), None) is None:
        return None
    return FolderPredictor(folder)


def _present(folder: FolderPredictor, cases: list[Case]) -> list[Case]:
    """The cases of the sets that the folder covers. A set half covered is refused: its mean would flatter."""
    datasets: dict[str, list[Case]] = {}
    for case in cases:
        datasets.setdefault(case.dataset, []).append(case)
    present: list[Case] = []
    for dataset, members in datasets.items():
        missing = [case.name for case in members if not folder.has(case)]
        if missing and len(missing) < len(members):
            raise TrainerError(
                f"{folder.folder} lacks {len(missing)} of the {len(members)} alphas of {dataset} "
                f"({missing[0]}.png ...); add them, or leave the set out with --only"
            )
        present += [] if missing else members
    return present


def _refuse_checkpoint(target: str) -> None:
    folder = Path(target)
    if folder.suffix == ".safetensors" or (folder / "weights.safetensors").exists():
        checkpoint = folder.parent if folder.suffix == ".safetensors" else folder
        raise TrainerError(
            f"{target} is a training checkpoint; make a bundle of it first: vmfm export {checkpoint} -o BUNDLE"
        )


@contextmanager
def _stream_predictor(target: str, settings: Settings, temporal: bool) -> Iterator[Predictor]:
    # imported here, so that scoring saved alphas needs no inference library
    from vmfm.runtime import MattingStream

    patches = None if settings.refine else 0
    with MattingStream(
        target,
        detail=settings.detail,
        backend=settings.backend,
        output=settings.output,
        patches=patches,
        temporal=temporal,
    ) as stream:
        yield StreamPredictor(stream)
