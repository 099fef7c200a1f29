"""Shows a training on the terminal: a bar where one looks on, a line now and then where a log is kept."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from vmfm.trainer.recipe import Recipe
from vmfm.trainer.records import Progress as Step

LOG_SECONDS = 15.0


class TrainingProgress:
    """`with TrainingProgress(recipe, console) as progress: train(..., report=progress.report)`."""

    def __init__(self, recipe: Recipe, console: Console) -> None:
        self.console = console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bars = Progress(
            *columns, TextColumn("{task.fields[note]}"), console=console, disable=not console.is_terminal
        )
        self.tasks = [
            self.bars.add_task(stage.name, total=stage.steps or None, start=False, note="") for stage in recipe.stages
        ]
        self.told = 0.0

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def report(self, step: Step) -> None:
        """Takes the news of one step."""
        terms = "  ".join(f"{name} {value:.4f}" for name, value in step.terms.items())
        note = f"{step.pictures_per_second:.1f} pictures/s, {step.composing:.0%} of the time composing  {terms}"
        task = self.tasks[step.stage_index]
        self.bars.start_task(task)
        self.bars.update(task, completed=step.step, total=step.stage.steps, note=note)
        if not self.console.is_terminal and time.monotonic() - self.told > LOG_SECONDS:
            self.told = time.monotonic()
            self.console.print(f"{step.stage.name} {step.step}/{step.stage.steps}  {note}", soft_wrap=True)
