"""The scores as a table for the terminal."""

from collections.abc import Sequence

from rich.table import Table
from vmfm.trainer.evaluate_scores import METRICS, Summary
from vmfm.trainer.report import arrow, number


def table_of(title: str, summaries: Sequence[Summary]) -> Table:
    """One row per metric that any set has, one column per set; parts of a set follow it as ``/part``."""
    table = Table("", title=title)
    for summary in summaries:
        family, slash, part = summary.dataset.partition("/")
        table.add_column(f"{slash}{part}" if part else family, justify="right")
    table.add_row("cases", *(str(summary.count) for summary in summaries), end_section=True)
    for metric in METRICS:
        values = [summary.means.get(metric.name) for summary in summaries]
        if any(value is not None for value in values):
            table.add_row(f"{metric.title} {arrow(metric.better)}", *map(number, values))
    return table
