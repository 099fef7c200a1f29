"""The verbs that trainer adds to the one command. Nothing heavy is imported before a verb runs."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    target: Annotated[str, typer.Argument(help="A bundle (lite, full or a folder), or a folder of alpha PNGs.")],
    data: Annotated[Path, typer.Argument(help="The data folder: holds real/ and rendered/.", exists=True)],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every score here.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with the worst cases here.")] = None,
    split: Annotated[str, typer.Option(help="dev or train.")] = "dev",
    clips: Annotated[Path | None, typer.Option(help="Folder of NAME.mp4 with NAME_alpha.mkv.", exists=True)] = None,
    only: Annotated[list[str] | None, typer.Option(help="Keep this set; may be repeated.")] = None,
    backend: Annotated[str, typer.Option(help="auto, cpu, ...")] = "auto",
    output: Annotated[str, typer.Option(help="complementary, or one branch alone: s or d.")] = "complementary",
    refinement: Annotated[bool, typer.Option(help="Run the refinement net.")] = True,
    temporal: Annotated[bool, typer.Option(help="Smooth clips over time, as users see them.")] = True,
) -> None:
    """Score mattes against the truth: SAD, MSE, Grad, Conn, dtSSD, IoU, object recall and leak."""
    from rich.console import Console
    from rich.progress import Progress
    from vmfm.trainer import evaluate as evaluation
    from vmfm.trainer.evaluate_table import table_of

    console = Console()
    settings = evaluation.Settings(backend, output, refinement, temporal)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scoring")
        result = evaluation.evaluate(
            target,
            data,
            split=split,
            clips=clips,
            only=only or (),
            settings=settings,
            pictures=html_file is not None,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.print(table_of(f"{result.target} on {data.name}, {split} split", result.summaries))
    if json_file is not None:
        result.write_json(json_file)
    if html_file is not None:
        result.write_html(html_file)
