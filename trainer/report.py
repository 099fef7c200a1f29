"""Pictures of results: contact sheets, and a report page with everything inside one HTML file."""

import base64
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer import metrics
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.evaluate_scores import METRICS, Scored, Strip, Summary, metric
from vmfm.trainer.evaluate_sets import Clip
from vmfm.trainer.files import write_whole
from vmfm.trainer.images import encode

GREEN = (0, 177, 64)  # RGB
THUMBNAIL_PX = 192
WORST_SHOWN = 12
FRAMES_SHOWN = 4  # of a clip
STRETCH = 12  # frames: neighbours are wrong in the same way, so one of them is enough
GAP_PX = 4
CAPTIONS = ("input", "truth", "matte", "difference", "on green")  # of a strip's pictures


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], path: str | Path, cell_px: int = 256) -> Path:
    """Write pictures as a grid of cells, one inner sequence per row, to ``path`` (``.jpg`` or ``.png``).

    A picture is (H, W) or (H, W, 3) RGB: uint8, bool or float in [0, 1]. Each is scaled to fit its square cell.
    Returns the path. Raises TrainerError for no picture, or one of another shape or type.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise TrainerError("a contact sheet of no picture")
    pitch = cell_px + GAP_PX
    sheet = np.full((len(rows) * pitch + GAP_PX, columns * pitch + GAP_PX, 3), 32, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            cell = fit(as_rgb(picture), cell_px)
            top = GAP_PX + i * pitch + (cell_px - cell.shape[0]) // 2
            left = GAP_PX + j * pitch + (cell_px - cell.shape[1]) // 2
            sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    path = Path(path)
    write_whole(path, encode(sheet, path.suffix))
    return path


def as_rgb(picture: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3), uint8, bool or float in [0, 1], as uint8 RGB (H, W, 3)."""
    picture = np.asarray(picture)
    if picture.size == 0 or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)):
        raise TrainerError(f"cannot show an array of shape {picture.shape}; give (H, W) or (H, W, 3)")
    if picture.dtype == bool or np.issubdtype(picture.dtype, np.floating):
        picture = np.round(np.nan_to_num(picture.astype(np.float32)).clip(0, 1) * 255).astype(np.uint8)
    if picture.dtype != np.uint8:
        raise TrainerError(f"cannot show an array of {picture.dtype}; give uint8, bool or float in [0, 1]")
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else picture


def fit(picture: np.ndarray, side_px: int) -> np.ndarray:
    """The picture scaled so that its longer side is ``side_px``."""
    scale = side_px / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def over_green(frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The frame (H, W, 3) uint8 blended over green by alpha (H, W), float in [0, 1] or uint8: what is left of it."""
    opacity = as_rgb(alpha)[..., :1].astype(np.float32) / 255
    return np.round(frame * opacity + np.array(GREEN, np.float32) * (1 - opacity)).astype(np.uint8)


def difference(alpha: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: white where both agree, red where the matte keeps too much, blue where it cuts too much away.

    alpha, truth (H, W): uint8, bool or float in [0, 1].
    """
    excess = as_rgb(alpha).astype(np.int16)[..., 0] - as_rgb(truth)[..., 0]
    more, less = excess.clip(min=0), (-excess).clip(min=0)
    return 255 - np.dstack([less, more + less, more]).astype(np.uint8)


def strip(frame: np.ndarray, alpha: np.ndarray, truth: np.ndarray, caption: str = "") -> Strip:
    """The frame (H, W, 3) and its matte and truth (H, W) in a row of small pictures."""
    pictures = frame, truth, alpha, difference(alpha, truth), over_green(frame, alpha)
    return Strip(caption, tuple(encode(fit(as_rgb(picture), THUMBNAIL_PX), ".jpg") for picture in pictures))


class WorstFrames:
    """Looks on while a clip is scored, and keeps its worst frames: of each stretch of STRETCH frames one at most."""

    def __init__(self) -> None:
        self._worst: dict[int, tuple[float, Strip]] = {}  # by the number of the stretch

    def watch(self, alphas: Iterable[np.ndarray], clip: Clip) -> Iterator[np.ndarray]:
        """The same alphas, (H, W) each."""
        frames, truths = clip.frames(), clip.truths()
        for index, alpha in enumerate(alphas):
            frame, truth = next(frames, None), next(truths, None)
            if frame is not None and truth is not None:
                error, place = metrics.sad(alpha, truth), index // STRETCH
                if place not in self._worst or error > self._worst[place][0]:
                    shown = strip(frame, alpha, truth, f"frame {index}: sad {number(error)}")
                    self._worst[place] = error, shown
            yield alpha

    def strips(self) -> tuple[Strip, ...]:
        """The worst frames seen so far, worst first."""
        ordered = sorted(self._worst.values(), key=lambda seen: -seen[0])
        return tuple(shown for _, shown in ordered[:FRAMES_SHOWN])


def html_report(title: str, facts: Mapping[str, object], summaries: Sequence[Summary]) -> str:
    """A page that needs no other file: the facts, the table of means, the worst cases of every set with pictures."""
    used = [m for m in METRICS if any(m.name in s.means for s in summaries)]
    head = "".join(f'<th title="{html.escape(m.meaning)}">{m.title} {arrow(m.better)}</th>' for m in used)
    table = "".join(
        f"<tr><td>{html.escape(s.dataset)}</td><td>{s.count}</td>"
        + "".join(f"<td>{number(s.means.get(m.name))}</td>" for m in used)
        + "</tr>"
        for s in summaries
    )
    facts_list = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd>" for k, v in facts.items())
    # a set that is one part of another shows its pictures there
    families = [s for s in summaries if "/" not in s.dataset]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
<h1>{html.escape(title)}</h1>
<dl>{facts_list}</dl>
<table><thead><tr><th>set</th><th>cases</th>{head}</tr></thead><tbody>{table}</tbody></table>
<p>The worst cases of every set first. Difference: <b class="more">red</b> is kept though it should go,
<b class="less">blue</b> is cut away though it should stay.</p>
{"".join(_worst(family) for family in families)}
</html>
"""


def _worst(summary: Summary) -> str:
    shown = [case for case in summary.worst_first() if case.strips][:WORST_SHOWN]
    if not shown:
        return ""
    name = html.escape(summary.dataset)
    return f"<h2>{name}: the worst {len(shown)} of {summary.count}</h2>" + "".join(map(_case, shown))


def _case(case: Scored) -> str:
    scores = " · ".join(f"{metric(k).title} {number(v)}" for k, v in case.scores.items() if v is not None)
    strips = "".join(_strip(shown, case.name) for shown in case.strips)
    return f"<section><h3>{html.escape(case.name)}</h3><p>{scores}</p>{strips}</section>"


def _strip(shown: Strip, name: str) -> str:
    images = "".join(
        f'<figure><img alt="{caption} of {html.escape(name)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
        f"<figcaption>{caption}</figcaption></figure>"
        for caption, jpeg in zip(CAPTIONS, shown.pictures, strict=True)
    )
    return (f"<p>{html.escape(shown.caption)}</p>" if shown.caption else "") + f"<div>{images}</div>"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the header first, as a Markdown table that also reads well as it is. No newline at the end."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], ruler, *lines[1:]))


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def arrow(better: str) -> str:
    return "↑" if better == "high" else "↓"


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: bottom }
td { white-space: nowrap }
th:first-child, td:first-child { text-align: left }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem } dd { margin: 0 }
section { margin: 1.2rem 0 } h3, section p { margin: 0; font-size: .9rem; color: #555 }
section div + p { margin-top: .8rem } section div { display: flex; flex-wrap: wrap; gap: .5rem } figure { margin: 0 }
figcaption { font-size: .75rem; color: #777 } figure img { border: 1px solid #ddd; max-width: 100% }
.more { color: #c00 } .less { color: #00c }
"""
