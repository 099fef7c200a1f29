"""Check a data folder, make training data, or write out the pictures that mattes are scored on.

The verbs of `vmfm data`. Nothing heavy is imported before a verb runs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from vmfm.trainer.bar import bar

verbs = typer.Typer(help=(__doc__ or "").partition("\n")[0], rich_markup_mode=None, no_args_is_help=True)

_Data = Annotated[Path, typer.Argument(help="The data folder: holds real/ and rendered/.")]
_Photos = Annotated[Path, typer.Argument(help="One folder of photos in a data folder, such as DATA/real/unlabelled.")]
_Out = Annotated[Path, typer.Option("--out", "-o", help="The folder to write to.", show_default=False)]


@verbs.command()
def check(data: _Data) -> None:
    """Tell what is wrong with a data folder, file by file.

    Example: vmfm data check DATA
    """
    from rich.console import Console
    from vmfm.trainer.data.check import check as examine

    with Console(stderr=True).status("") as status:
        checked = examine(data, lambda images: status.update(f"{images} images"))
    for finding in checked.findings:
        _tell(str(finding))
    _tell(f"{checked.images} images looked at, {len(checked.findings)} problems")
    raise typer.Exit(1 if checked.findings else 0)


@verbs.command()
def pictures(
    data: _Data, out: _Out, split: Annotated[str, typer.Option(help="Whose pictures: dev or train.")] = "dev"
) -> None:
    """Write out the pictures that `vmfm evaluate` scores mattes of, for other programs.

    Example: vmfm data pictures DATA -o pictures
    """
    from vmfm.trainer.evaluate import save_inputs

    count = save_inputs(data, out, split=split)
    _tell(f"{count} pictures are in {out}; matte them to ALPHAS/SET/NAME.png, then: vmfm evaluate ALPHAS {data}")


@verbs.command("import-coco")
def import_coco(
    photos: Annotated[Path, typer.Argument(help="The folder of photos.")],
    annotations: Annotated[Path, typer.Option(help="COCO's JSON file.", exists=True, dir_okay=False)],
    out: _Out,
    thing: Annotated[
        list[str] | None,
        typer.Option(help="A category that people use; may be repeated. By default all but furniture."),
    ] = None,
) -> None:
    """Photos with COCO's annotations into a data folder, each where its labels suffice for.

    Example: vmfm data import-coco PHOTOS --annotations instances.json -o DATA/real
    """
    from vmfm.trainer.data.coco import import_coco as bring

    with bar("import-coco") as progress:
        _count(out, bring(annotations, photos, out, things=thing or (), progress=progress))


@verbs.command()
def soften(
    photos: _Photos,
    out: _Out,
    pattern: Annotated[str, typer.Option(help="Names of the photos, with * and ?.")] = "*",
    skip: Annotated[Path | None, typer.Option(help="A text file with names to leave out.", exists=True)] = None,
) -> None:
    """Cut people, and what they hold, out of labelled photos, with soft mattes.

    Example: vmfm data soften DATA/real/person_object_labelled -o DATA/soft
    """
    from vmfm.trainer.data.cutouts import soften_folder

    skipped = skip.read_text(encoding="utf-8").split() if skip else ()
    with bar("soften") as progress:
        _count(out, soften_folder(photos, out, pattern=pattern, skip=skipped, progress=progress))


@verbs.command()
def objects(photos: _Photos, out: _Out) -> None:
    """Pseudo-masks of held things that only have boxes.

    Example: vmfm data objects DATA/real/unlabelled -o DATA/weak/unlabelled
    """
    from vmfm.trainer.data.weak_objects import weak_folder

    with bar("objects") as progress:
        _count(out, weak_folder(photos, out, progress=progress))


@verbs.command()
def teach(
    photos: _Photos,
    out: _Out,
    checkpoint: Annotated[Path, typer.Option(help="The run whose model teaches.", exists=True)],
) -> None:
    """Labels from an earlier model, where it is sure.

    Example: vmfm data teach DATA/real/unlabelled --checkpoint runs/lite -o DATA/taught/unlabelled
    """
    from vmfm.trainer.checkpoint import load_model
    from vmfm.trainer.data.teach import teach_folder

    with bar("teach") as progress:
        _count(out, teach_folder(load_model(checkpoint)[0], photos, out, progress=progress))


@verbs.command()
def vouch(
    photos: _Photos,
    out: _Out,
    mattes: Annotated[Path, typer.Option(help="That program's mattes, NAME.png.", exists=True, file_okay=False)],
) -> None:
    """Labels and cut-outs from another program's mattes, where masks or boxes of people vouch for them.

    Example: vmfm data vouch DATA/real/unlabelled --mattes MATTES -o DATA/vouched/unlabelled
    """
    from vmfm.trainer.data.vouch import vouch_folder

    with bar("vouch") as progress:
        _count(out, vouch_folder(photos, mattes, out, progress=progress))


def _count(out: Path, counts: Mapping[str, int]) -> None:
    _tell(f"{out}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))


def _tell(text: str) -> None:
    from rich.console import Console

    Console(soft_wrap=True, highlight=False, markup=False).print(text)
