"""The verbs that engine_build adds to the one command. Nothing heavy is imported before a verb runs."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[Path, typer.Argument(help="The folder that `vmfm train` wrote.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The bundle to write; an older one is replaced.")],
    name: Annotated[
        str | None, typer.Option(help="The name in its manifest; by default its folder's.", show_default=False)
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="What `vmfm evaluate --json` wrote: keep it on record.", show_default=False)
    ] = None,
) -> None:
    """Turn trained weights into a bundle, and check that it computes what torch does."""
    from rich.console import Console
    from rich.table import Table
    from vmfm.engine_build.export import export_model, read_scores
    from vmfm.trainer.checkpoint import load_model

    console = Console()
    kept_scores = read_scores(scores) if scores else {}
    model, trained = load_model(checkpoint)
    with console.status("exporting") as status:
        result = export_model(
            model,
            out,
            name=name or out.resolve().name,
            trained=trained,
            scores=kept_scores,
            on_net=lambda net: status.update(f"exporting {net}"),
        )
    table = Table("net", "engine against torch", "rounding to fp16", title="difference of outputs in [0, 1], max / mean")
    for net in result.parity:
        table.add_row(net.net, str(net.engine), str(net.rounding))
    console.print(table)
    megabytes = sum(file.stat().st_size for file in result.bundle.path.iterdir()) / 1e6
    console.print(f"wrote {out} ({megabytes:.1f} MB)")
