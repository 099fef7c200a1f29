"""The paper's user study (section 4.4): a page on which people compare two composites, and the table of what they said."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from vmfm.trainer import report
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.files import write_whole

FORMAT = "vmfm-study"
TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}  # what every browser plays
RATINGS = {5: "much better", 4: "better", 3: "similar", 2: "worse", 1: "much worse"}  # of A against B


def write_study(clips: Path, a: Path, b: Path, page: Path) -> int:
    """Write one HTML file with the raw ``clips`` and the composites of them in folders ``a`` and ``b``, all inside it.

    A composite has its clip's name, as `vmfm recomposite CLIPS --background '#00b140' -o A` makes it. Clips that
    neither folder has are left out. Returns how many are in the study. Raises TrainerError.
    """
    raw, of_a, of_b = (_videos(folder) for folder in (clips, a, b))
    if a.resolve() == b.resolve():
        raise TrainerError(f"{a} cannot be compared with itself; give two folders of composites")
    for folder, composites, others in ((b, of_b, of_a), (a, of_a, of_b)):
        if missing := sorted(set(raw) & set(others) - set(composites)):
            raise TrainerError(f"{folder} has no composite of {', '.join(missing)}; make it, or take the other one out")
    names = sorted(set(raw) & set(of_a))
    if not names:
        raise TrainerError(
            f"{a} and {b} hold no composite of a clip in {clips}; "
            f"make them with: vmfm recomposite {clips} --background '#00b140' -o {a}"
        )
    entries = [
        {"name": name, "raw": _embedded(raw[name]), "a": _embedded(of_a[name]), "b": _embedded(of_b[name])}
        for name in names
    ]
    identity = hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]
    study = {"id": identity, "a": _label(a), "b": _label(b), "clips": entries}
    template = (resources.files("vmfm.trainer") / "study.html").read_text(encoding="utf-8")
    # a name may hold what would end the script
    text = json.dumps(study).replace("<", "\\u003c")
    write_whole(page, template.replace("STUDY", text, 1).encode())
    return len(names)


@dataclass(frozen=True)
class Opinion:
    """What one person saved: ratings of A against B, 1 much worse to 5 much better, by clip."""

    study: str
    a: str
    b: str
    rater: str
    ratings: dict[str, int]


def read_opinion(file: Path) -> Opinion:
    """One saved file. Raises TrainerError for anything else."""
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainerError(f"cannot read {file}: {error}") from error
    if not isinstance(saved, dict) or saved.pop("format", None) != FORMAT:
        raise TrainerError(f"{file} is not what the page of `vmfm study` saves")
    try:
        opinion = Opinion(**saved)
        fine = bool(opinion.ratings) and all(type(r) is int and r in RATINGS for r in opinion.ratings.values())
    except (TypeError, AttributeError) as error:
        raise TrainerError(f"{file} is damaged ({error}); ask for it again") from error
    if not fine:
        raise TrainerError(f"{file} has no ratings from 1 to 5; ask for it again")
    return opinion


def tabulate(opinions: Iterable[Opinion]) -> str:
    """The paper's Table 4 in Markdown, a line per study: the share of every rating, the mean, the share better, the raters.

    Raises TrainerError if one person's opinion is there twice.
    """
    studies: dict[str, list[Opinion]] = {}
    for opinion in opinions:
        studies.setdefault(opinion.study, []).append(opinion)
    lines = [["", *RATINGS.values(), "mean", "share better", "clips", "raters"]]
    for members in studies.values():
        raters = [opinion.rater for opinion in members]
        if twice := {rater for rater in raters if raters.count(rater) > 1}:
            raise TrainerError(f"rater {', '.join(sorted(twice))} is there twice; give each result once")
        ratings = [rating for opinion in members for rating in opinion.ratings.values()]
        shares = [ratings.count(rating) / len(ratings) for rating in RATINGS]
        lines.append(
            [
                f"{members[0].a} vs. {members[0].b}",
                *(f"{share:.1%}" for share in shares),
                f"{sum(ratings) / len(ratings):.2f}",
                f"{shares[0] + shares[1]:.1%}",
                str(len({name for opinion in members for name in opinion.ratings})),
                str(len(members)),
            ]
        )
    return report.markdown_table(lines)


def result_files(paths: Sequence[Path]) -> list[Path]:
    """The files given, and those in the folders given. Raises TrainerError if there is none."""
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise TrainerError("no saved result: give the files, or a folder of them")
    return files


def _videos(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise TrainerError(f"{folder} is no folder; wanted one of .mp4 or .webm files")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in TYPES}


def _embedded(video: Path) -> str:
    try:
        return f"data:{TYPES[video.suffix.lower()]};base64,{base64.b64encode(video.read_bytes()).decode()}"
    except OSError as error:
        raise TrainerError(f"cannot read {video}: {error.strerror}") from error


def _label(folder: Path) -> str:
    return folder.resolve().name
