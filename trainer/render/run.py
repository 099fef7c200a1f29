"""A rendering run as the command line shows it: progress, pace, what went wrong."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.render import files
from vmfm.trainer.render.driver import Plan, last_line, render, worker_command
from vmfm.trainer.render.worker import Settings, settings_json


def run(
    out: Path, assets: Path, *, count: int, seed: int, views: int, workers: int, clip: int, furniture: bool, size: int,
    samples: int, threads: int, python: str, console: Console,
) -> Counter[str]:  # fmt: skip
    """Renders until `count` samples of scenes from `seed` on lie in `out`; returns how many pictures ended in each state.

    Raises TrainerError as `driver.render` does, and where there are not so many scenes.
    """
    settings = Settings(str(out.resolve()), str(assets.resolve()), size, samples, threads, clip, furniture)
    plan = Plan(out, count, seed, views, clip > 0)
    tally: Counter[str] = Counter()
    seconds = 0.0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("rendering", total=count)
        # What lies there from before is not counted twice: the driver yields only what it renders.
        before = _present(out, seed, clip > 0)
        bar.update(task, completed=min(before, count))
        for picture in render(plan, worker_command(python, settings_json(settings)), workers):
            tally[picture.state] += 1
            seconds += picture.seconds
            if picture.state == "failed":
                console.print(f"scene {picture.seed}, view {picture.view}: {last_line(picture.why)}", markup=False)
            pace = seconds / max(1, tally["done"])
            bar.update(
                task, completed=min(count, before + tally["done"]), description=f"{pace:.1f} s a sample and worker"
            )
    if before + tally["done"] < count:
        raise TrainerError(
            f"{out} holds {before + tally['done']} of the {count} samples that were wanted, and there are no more scenes; "
            "begin at a lower --seed"
        )
    return tally


def _present(out: Path, seed: int, clip: bool) -> int:
    """How many samples of scenes from `seed` on lie there."""
    names = [path.parent.name for path in out.glob(f"*/{files.CLIP}")] if clip else [p.stem for p in out.glob("*.json")]
    return sum(name.isdigit() and int(name[:-1]) >= seed for name in names)
