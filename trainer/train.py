"""The training loop: for every stage, for every step, draw a batch, weigh its losses, take a step."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from vmfm.trainer import processes
from vmfm.trainer.checkpoint import SPOILED, STATE, WEIGHTS, save_batch
from vmfm.trainer.contact_sheet import contact_sheet
from vmfm.trainer.data.compose import Batch, Composer
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.pictures import Pictures
from vmfm.trainer.recipe import Recipe
from vmfm.trainer.records import Progress, Records
from vmfm.trainer.run import Run
from vmfm.trainer.stages import Stage
from vmfm.trainer.stopwatch import Stopwatch

SAVE_SECONDS = 60.0
SHEET_PICTURES = 4  # that the nets show what they make of, always the same


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    device: torch.device | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    report_every: int = 20,
) -> Path:
    """Trains by the recipe and returns the file of weights, written every minute and at the end of each stage.

    data: the folder that the recipe's source paths start from. out: the run's folder; with `resume` an interrupted
    run in it goes on where it was saved, else it must not hold one. Raises TrainerError, also when a loss is NaN.
    Processes that are `joined` all call it with the same; they share every batch, and the first one writes.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not resume and (out / STATE).exists():
        raise TrainerError(f"{out} already holds a run; add --resume to go on with it or choose another --out")
    _refuse_uneven_shares(recipe.stages)
    torch.manual_seed(recipe.seed)
    pictures = Pictures(recipe, data, device)
    recipe = replace(recipe, stages=tuple(pictures.sized(stage) for stage in recipe.stages))
    run = Run.resumed(recipe, out, device) if resume else Run.begun(recipe, out, device)
    shown = pictures.composer(replace(recipe.stages[0], kinds=())).batch(SHEET_PICTURES, *recipe.stages[0].sizes[0], 0)
    first = processes.rank() == 0
    with Records(out, run.run_step, lambda: contact_sheet(run.average, shown)) if first else nullcontext() as records:
        listeners = [report, records.report] if records else [report]
        for index in range(run.stage_index, len(recipe.stages)):
            run.enter(index)
            _follow(run, pictures.composer(run.stage), listeners, report_every)
    return out / WEIGHTS


def _refuse_uneven_shares(stages: tuple[Stage, ...]) -> None:
    for stage in stages:
        if stage.batch % processes.count():
            raise TrainerError(
                f"stage {stage.name} has batches of {stage.batch} pictures, which {processes.count()} processes cannot "
                "share evenly; start another number of them or change the batch"
            )


def _follow(run: Run, composer: Composer, listeners: list[Callable[[Progress], None]], report_every: int) -> None:
    """The rest of the present stage."""
    stage, first, composing = run.stage, run.step, Stopwatch(run.device)
    share = stage.batch // processes.count()
    mine = range(processes.rank() * share, (processes.rank() + 1) * share)
    began = told = saved = time.monotonic()
    while run.step < stage.steps:
        with composing.running():
            batch = _batch(run, composer, run.step, mine)
        run.take(batch)
        if run.step % report_every == 0 or run.step == stage.steps:
            _stop_if_spoiled(run, composer)
            now = time.monotonic()
            pace = (run.step - first) / (now - began)
            news = Progress(
                stage,
                run.stage_index,
                run.step,
                run.run_step,
                pictures_per_second=pace * stage.batch,
                composing=composing.read() / (now - told),
                seconds_left=(stage.steps - run.step) / pace,
                terms={name: float(value) for name, value in run.terms.items()},
            )
            told = now
            for listen in listeners:
                listen(news)
            if now - saved > SAVE_SECONDS:
                run.save()
                saved = now
    run.leave()
    run.save()


def _batch(run: Run, composer: Composer, step: int, rows: range | None = None) -> Batch:
    # everything random in a step comes from these two numbers, so a resumed run draws what an unbroken one would
    key, sizes = run.recipe.seed * 64 + run.stage_index, run.stage.sizes
    turn = (step + 40503 * key) * 2654435761 % 2**32  # of the golden ratio: all sizes equally often, in no order
    height, width = sizes[turn * len(sizes) >> 32]
    seed = (key << 32) + step
    return composer.batch(run.stage.batch, height, width, seed, fine=run.stage.name == "refine", rows=rows)


def _stop_if_spoiled(run: Run, composer: Composer) -> None:
    """Raises TrainerError, and leaves the batch behind, where a loss has ceased to be a number."""
    if (step := int(processes.largest(run.spoiled))) < 0:
        return
    if processes.rank() == 0:
        save_batch(run.out, vars(_batch(run, composer, step)))
    raise TrainerError(
        f"stage {run.stage.name} step {step + 1}: a loss is no longer a number; that batch is in {run.out / SPOILED} and "
        f"the last good state in {run.out}: look at the batch, lower the learning rate and --resume"
    )
