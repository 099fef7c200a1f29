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
    """Turn trained weights into a bundle, and check that it computes what torch does.

    Example: vmfm export runs/lite -o bundles/mine
    """
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
    table = Table(
        "net", "engine against torch", "rounding to fp16", title="difference of outputs in [0, 1], max / mean"
    )
    for net in result.parity:
        table.add_row(net.net, str(net.engine), str(net.rounding))
    console.print(table)
    megabytes = sum(file.stat().st_size for file in result.bundle.path.iterdir()) / 1e6
    console.print(f"wrote {out} ({megabytes:.1f} MB)")


def quantise(
    bundle: Annotated[str, typer.Argument(help="lite, full, or the folder of a bundle.")],
    data: Annotated[Path, typer.Argument(help="The data folder: holds real/ and rendered/.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The bundle to write; an older one is replaced.")],
    pictures: Annotated[int, typer.Option(min=1, help="How many training pictures to look at.")] = 80,
    scores: Annotated[
        Path | None, typer.Option(help="What `vmfm evaluate --json` wrote: keep it on record.", show_default=False)
    ] = None,
) -> None:
    """Give a bundle the ranges that CPUs need to compute it in int8; float32 stays at hand as --backend cpu-f32.

    Example: vmfm quantise bundles/mine data -o bundles/mine
    """
    from rich.console import Console
    from rich.table import Table
    from vmfm.engine_build.quantise import quantise_bundle
    from vmfm.runtime.bundle import Bundle

    console = Console()
    kept_scores = None
    if scores:
        from vmfm.engine_build.export import read_scores

        kept_scores = read_scores(scores)
    with console.status("running the nets") as status:
        result = quantise_bundle(
            Bundle.open(bundle),
            data,
            out,
            pictures=pictures,
            scores=kept_scores,
            on_net=lambda net: status.update(f"quantising {net}"),
        )
    table = Table("net", "int8 against float32", "computes in", title="difference of outputs in [0, 1], max / mean")
    for net in result.nets:
        table.add_row(net.net, str(net.change), "int8" if net.holds else "float32")
    console.print(table)
    console.print(f"wrote {out}")


def card(
    bundle: Annotated[str, typer.Argument(help="lite, full, or the folder of a bundle.")],
    text: Annotated[
        Path | None,
        typer.Option(help="The text, with $scores and such; bundles that come with VMFM have one.", show_default=False),
    ] = None,
) -> None:
    """Write a bundle's model card, its README.md: what it scores, from its manifest, and a text about the rest.

    Example: vmfm card bundles/mine --text card.txt
    """
    from rich.console import Console
    from vmfm.engine_build.card import write_card
    from vmfm.runtime.bundle import Bundle

    Console().print(f"wrote {write_card(Bundle.open(bundle), text)}")


def build(
    bundle: Annotated[str, typer.Option(help="lite, full, or the folder of a bundle.")] = "lite",
    flavor: Annotated[
        str, typer.Option(help="rtx (GeForce RTX), tensorrt (any NVIDIA GPU), or the one that is there.")
    ] = "auto",
    gpu: Annotated[
        str, typer.Option(help="auto (those here; all if there is none), all, or a list like sm86,sm89.")
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the engines; by default where VMFM looks.", show_default=False)
    ] = None,
    converter: Annotated[str, typer.Option(help="onnx, or torch2trt (needs --checkpoint).")] = "onnx",
    checkpoint: Annotated[
        Path | None, typer.Option(help="For torch2trt: the checkpoint the bundle came from.", show_default=False)
    ] = None,
) -> None:
    """Compile a bundle into FP16 TensorRT engines for this GPU, or for others.

    Example: vmfm build --bundle lite --gpu sm86,sm89
    """
    from vmfm.engine_build.build import build_and_tell

    build_and_tell(bundle, flavor, gpu, out, converter, checkpoint)
