"""The model card of a bundle: a text written by hand, with the figures of the manifest put in, so that they cannot drift."""

from importlib import resources
from pathlib import Path
from string import Template

from vmfm.engine_build.errors import ExportError
from vmfm.runtime.bundle import SHIPPED, Bundle
from vmfm.trainer.evaluate_scores import METRICS
from vmfm.trainer.files import write_whole
from vmfm.trainer.report import arrow, markdown_table, number

CARD = "README.md"  # in the bundle's folder


def write_card(bundle: Bundle, text: Path | None = None) -> Path:
    """Writes the bundle's card and returns where; `text` as for `card`. Raises ExportError."""
    path = bundle.path / CARD
    write_whole(path, card(bundle, text).encode())
    return path


def card(bundle: Bundle, text: Path | None = None) -> str:
    """The card as Markdown. text: a file with $name and such where figures belong, as in card.txt beside.

    Bundles that come with VMFM have a text already; nobody but who trained another one knows what it was trained on.
    Raises ExportError where there is no text, or one with another placeholder.
    """
    template = Template(_text(bundle, text))
    figures = {
        "name": bundle.name,
        "megabytes": f"{sum(bundle.net_path(net).stat().st_size for net in bundle.nets) / 1e6:.1f}",
        "nets": str(len(bundle.nets)),
        "pixel_budget": f"{bundle.pixel_budget:,}",
        "patches": str(bundle.patches),
        "training": _training(bundle),
        "scores": _scores(bundle),
    }
    try:
        return template.substitute(figures)
    except (KeyError, ValueError) as error:
        raise ExportError(f"the card's text has {error}; it may have ${', $'.join(figures)}, and $$ for $") from error


def _text(bundle: Bundle, text: Path | None) -> str:
    if text is None and bundle.path.parent != SHIPPED:
        raise ExportError(f"{bundle.path} did not come with VMFM, so nothing is known of its data; give a --text FILE")
    source = text or resources.files(__package__) / "card.txt"
    try:
        return source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"cannot read the card's text {source}: {error}") from error


def _training(bundle: Bundle) -> str:
    """The trainings that made it, the last one first: each began from the weights of the next."""
    runs, facts = [], bundle.trained
    while facts:
        told = [f"recipe `{facts['recipe']}`"] if "recipe" in facts else []
        told += [f"{facts['pictures']:,} pictures seen"] if "pictures" in facts else []
        told += [f"stages {', '.join(facts['stages'])}"] if facts.get("stages") else []
        runs.append("; ".join(told))
        facts = facts.get("start", {})
    text = ". It began from weights of: ".join(filter(None, runs)) or "not on record"
    return text[0].upper() + text[1:]


def _scores(bundle: Bundle) -> str:
    """The metrics that any set has as rows, the sets as columns."""
    if not bundle.scores:
        return "Not scored yet."
    sets = list(bundle.scores)
    rows = [["", *sets], ["cases", *(str(bundle.scores[name]["cases"]) for name in sets)]]
    meanings = []
    for metric in METRICS:
        values = [bundle.scores[name].get(metric.name) for name in sets]
        if any(value is not None for value in values):
            rows.append([f"{metric.title} {arrow(metric.better)}", *map(number, values)])
            meanings.append(f"{metric.title}: {metric.meaning}")
    return markdown_table(rows) + "\n\n" + "; ".join(meanings) + "."
