"""The verbs that trainer adds to the one command. Nothing heavy is imported before a verb runs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from vmfm.trainer.bar import bar
from vmfm.trainer.errors import TrainerError


def evaluate(
    target: Annotated[str, typer.Argument(help="A bundle (lite, full or a folder), or a folder of alpha PNGs.")],
    data: Annotated[Path, typer.Argument(help="The data folder: holds real/ and rendered/.", exists=True)],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every score here.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page with the worst cases here.")] = None,
    split: Annotated[str, typer.Option(help="dev or train.")] = "dev",
    clips: Annotated[Path | None, typer.Option(help="Folder of NAME.mp4 with NAME_alpha.mkv.", exists=True)] = None,
    only: Annotated[list[str] | None, typer.Option(help="Keep this set; may be repeated.")] = None,
    backend: Annotated[str, typer.Option(help="auto, tensorrt, torch, cpu or cpu-f32.")] = "auto",
    output: Annotated[str, typer.Option(help="complementary, or one branch alone: s or d.")] = "complementary",
    refinement: Annotated[bool, typer.Option(help="Run the refinement net.")] = True,
    temporal: Annotated[bool, typer.Option(help="Smooth clips over time, as users see them.")] = True,
    detail: Annotated[str, typer.Option(help="At how many pixels the nets look: fast, balanced or fine.")] = "fine",
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Score the bundle in variants: one branch, no refinement, no modality.")
    ] = False,
    learnt: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=BUNDLE", help="Ablation: also TARGET after stage cl; CLcs, CLdc, CL. Repeatable."),
    ] = None,
    modalities: Annotated[
        bool, typer.Option("--modalities", help="Score what S-Net, D-Net and I-Net say, instead of the matte.")
    ] = False,
    by: Annotated[
        list[str] | None, typer.Option(help="Also sum up renders by skin, race, hair, gender or age; may be repeated.")
    ] = None,
) -> None:
    """Score mattes against the truth: SAD, MSE, Grad, Conn, dtSSD, IoU, object recall and leak.

    Example: vmfm evaluate lite DATA --html report.html
    """
    if (ablation or modalities) and (html_file is not None or by or (ablation and modalities)):
        raise TrainerError(
            "--ablation and --modalities each make a table and JSON; leave out --html, --by and the other"
        )
    if ablation:
        named = dict(part.partition("=")[::2] for part in learnt or ())
        if not all(named.values()):
            raise TrainerError(f"--learnt wants NAME=BUNDLE, such as CLcs=runs/cs; got {' '.join(learnt or ())}")
        options = {"clips": clips, "backend": backend, "temporal": temporal, "detail": detail, "learnt": named}
        _ablate(target, data, json_file, split=split, only=only or (), **options)
        return
    if modalities:
        _score_modalities(target, data, json_file, split=split, only=only or ())
        return
    from rich.console import Console
    from vmfm.trainer import evaluate as evaluation
    from vmfm.trainer.evaluate_groups import table
    from vmfm.trainer.evaluate_table import table_of

    console = Console()
    settings = evaluation.Settings(
        backend, cast(evaluation.Output, output), refinement, temporal, cast(evaluation.Detail, detail)
    )
    with bar("scoring") as progress:
        result = evaluation.evaluate(
            target,
            data,
            split=split,
            clips=clips,
            only=only or (),
            settings=settings,
            pictures=html_file is not None,
            by=by or (),
            progress=progress,
        )
    console.print(table_of(f"{result.target} on {data.name}, {split} split", result.summaries))
    if result.groups:
        Console(soft_wrap=True, highlight=False, markup=False).print(table(result.groups))
    if json_file is not None:
        result.write_json(json_file)
    if html_file is not None:
        result.write_html(html_file)


def _ablate(target: str, data: Path, json_file: Path | None, **options: Any) -> None:
    from rich.console import Console
    from vmfm.trainer.ablation import ablate

    with bar("scoring") as progress:
        result = ablate(target, data, **options, progress=lambda name, done, total: progress(done, total, name))
    Console(soft_wrap=True, highlight=False, markup=False).print(result.table())
    if json_file is not None:
        result.write_json(json_file)


def _score_modalities(target: str, data: Path, json_file: Path | None, *, split: str, only: Iterable[str]) -> None:
    from rich.console import Console
    from vmfm.trainer.evaluate_modalities import evaluate_modalities
    from vmfm.trainer.evaluate_table import table_of

    with bar("scoring") as progress:
        result = evaluate_modalities(target, data, split=split, only=only, progress=progress)
    Console().print(table_of(f"modality nets of {result.target} on {data.name}, {split} split", result.summaries))
    if json_file is not None:
        result.write_json(json_file)


def study(
    paths: Annotated[
        list[Path], typer.Argument(metavar="CLIPS A B", help="Folders: clips as filmed, and two of composites of them.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The page, with everything inside it.")] = None,
    tabulate: Annotated[
        bool,
        typer.Option("--tabulate", help="Sum up the results (files or folders of them) given instead of CLIPS A B."),
    ] = False,
) -> None:
    """Ask people which of two composites is better, on one HTML page; sum up what they said.

    Example: vmfm study clips ours theirs -o page.html
    """
    from rich.console import Console
    from vmfm.trainer import study as user_study

    console = Console(soft_wrap=True, highlight=False, markup=False)
    if tabulate:
        opinions = [user_study.read_opinion(file) for file in user_study.result_files(paths)]
        console.print(user_study.tabulate(opinions))
        return
    if len(paths) != 3 or out is None:
        raise TrainerError("`vmfm study` needs three folders and a page to write: CLIPS A B -o PAGE.html")
    clips, a, b = paths
    count = user_study.write_study(clips, a, b, out)
    size = out.stat().st_size / 1e6
    console.print(f"{out}: {count} clips, {size:.1f} MB; send it to raters, then: vmfm study --tabulate RESULTS...")


def train(
    recipe: Annotated[str, typer.Argument(help="lite, full, paper, smoke or a .toml file.")],
    data: Annotated[Path, typer.Option(help="The data folder that the recipe's paths start from.")] = Path("data"),
    out: Annotated[Path | None, typer.Option(help="The run's folder (default: runs/RECIPE).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ... (default: a GPU if there is one).")] = None,
) -> None:
    """Train the nets by a recipe; can be interrupted and resumed at any time.

    On many GPUs: torchrun --nproc-per-node GPUS --no-python vmfm train ... They share every batch. On many machines,
    --out has to be a folder that all of them see. Losses and sample mattes: tensorboard --logdir runs

    Example: vmfm train lite --data DATA --resume
    """
    from rich.console import Console
    from vmfm.trainer import processes
    from vmfm.trainer.progress import TrainingProgress
    from vmfm.trainer.recipe import load_recipe
    from vmfm.trainer.train import train as run

    chosen = load_recipe(recipe)
    with processes.joined(device) as own_device:
        console = Console(stderr=True, quiet=processes.rank() > 0)
        with TrainingProgress(chosen, console) as progress:
            weights = run(
                chosen,
                data,
                out or Path("runs") / chosen.name,
                resume=resume,
                device=own_device,
                report=progress.report,
            )
    console.print(f"weights are in {weights}; make a bundle of them with: vmfm export {weights.parent} -o BUNDLE")


def trimap(
    pictures: Annotated[Path, typer.Argument(help="Folder of person probability maps; of photos with --checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the trimaps, NAME.png.")],
    objects: Annotated[Path | None, typer.Option(help="Folder of NAME.png: the objects circled by hand.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Training run whose segmentation net finds the person.")
    ] = None,
) -> None:
    """Make pseudo-trimaps: the person found by a net, the objects circled by hand.

    Example: vmfm trimap photos --checkpoint runs/lite -o trimaps
    """
    from rich.console import Console
    from rich.progress import track
    from vmfm.trainer.trimap import images_of, segmenter, write_trimaps

    segment = segmenter(checkpoint) if checkpoint is not None else None
    total = len(images_of(pictures))
    console = Console(stderr=True)
    for _ in track(write_trimaps(pictures, out, objects=objects, segment=segment), "trimaps", total, console=console):
        pass
    console.print(f"{total} trimaps are in {out}")


def render(
    out: Annotated[
        Path | None, typer.Option(help="Where the samples go; what lies there is not rendered again.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Samples from --seed on that are to lie there in the end.")] = 100,
    seed: Annotated[
        int, typer.Option(min=0, max=99_999, help="Of the first scene; the same seed gives the same scenes.")
    ] = 0,
    assets: Annotated[Path, typer.Option(help="Bodies, clothes, things and light.")] = Path("assets"),
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each process.")] = 1,
    size: Annotated[int, typer.Option(min=64, help="Pixels of the square picture.")] = 512,
    samples: Annotated[int, typer.Option(min=4, help="Rays per pixel at most: the steps of alpha.")] = 16,
    views: Annotated[int, typer.Option(min=1, max=10, help="Pictures of the same people in other scenes.")] = 4,
    clip: Annotated[int, typer.Option(min=0, help="Frames: animated clips instead of single pictures.")] = 0,
    furniture: Annotated[
        bool, typer.Option("--furniture", help="Furniture with nobody in the picture instead.")
    ] = False,
    python: Annotated[str | None, typer.Option(help="A Python that has bpy.")] = None,
    setup: Annotated[bool, typer.Option("--setup", help="Only install Blender into the user's cache.")] = False,
) -> None:
    """Render people with the things they use: exact alpha, depth and interaction points. Can be interrupted.

    Example: vmfm render --out renders --count 500 --seed 1
    """
    from rich.console import Console
    from vmfm.trainer.render import environment
    from vmfm.trainer.render.run import run

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if setup:
        console.print(f"Blender is in {environment.setup(console.print)}")
        return
    if out is None:
        raise TrainerError("`vmfm render` needs a folder to write to: --out DIR")
    if furniture and clip:
        raise TrainerError("furniture stands still: got both --furniture and --clip, wanted one of them")
    tally = run(
        out, assets, count=count, seed=seed, views=views, workers=workers, clip=clip, furniture=furniture,
        size=size, samples=samples, threads=threads, python=python or environment.find_python(), console=console,
    )  # fmt: skip
    told = ", ".join(f"{number} {state}" for state, number in sorted(tally.items()))
    console.print(f"{out}: {told or 'nothing left to do'}")
