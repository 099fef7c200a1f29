"""What a run leaves to look at: `log.jsonl`, a line a report, and the same with pictures for TensorBoard."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from vmfm.trainer.files import writing
from vmfm.trainer.images import encode
from vmfm.trainer.stages import Stage

LOOK_STEPS = 200  # from one picture to the next


@dataclass(frozen=True)
class Progress:
    """What is told of a training every few steps."""

    stage: Stage
    stage_index: int
    step: int  # of this stage, from 1
    run_step: int  # of the whole run, from 1
    pictures_per_second: float  # of all processes together
    composing: float  # the share of the time that making batches took; the nets had the rest
    seconds_left: float  # of this stage
    terms: dict[str, float]


class Records:
    """The two logs in the run's folder: `with Records(folder, step, look) as records`.

    step: how many the run has taken. Those that an interrupted run recorded beyond, TensorBoard leaves out.
    look: makes a picture, uint8 (H, W, 3), of how the nets do; asked for every LOOK_STEPS.
    Both are written at once and from this thread: a full disk is told, as a TrainerError, when it is met.
    """

    def __init__(self, folder: Path, step: int, look: Callable[[], np.ndarray]) -> None:
        self.look, self.next_look = look, step
        self.log, events = folder / "log.jsonl", folder / "tensorboard"
        with writing(events):
            events.mkdir(parents=True, exist_ok=True)
            self.events = EventsWriter(str(events / "events"), f".{step}")
        self._write(step + 1, session_log=SessionLog(status=SessionLog.START))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self.log.parent / "tensorboard"):
            self.events.close()

    def report(self, news: Progress) -> None:
        """Writes down every number of it."""
        numbers = {
            "speed": round(news.pictures_per_second, 1),
            "composing": round(news.composing, 3),
            "seconds_left": round(news.seconds_left),
        }
        line = {"stage": news.stage.name, "step": news.step} | numbers | news.terms
        with writing(self.log), self.log.open("a") as log:
            log.write(json.dumps(line) + "\n")
        tagged = {f"training/{name}": value for name, value in numbers.items()}
        tagged |= {f"{news.stage.name}/{name}": value for name, value in news.terms.items()}
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in tagged.items()]
        if news.run_step >= self.next_look:
            self.next_look = news.run_step + LOOK_STEPS
            values.append(Summary.Value(tag="mattes", image=_image(self.look())))
        self._write(news.run_step, summary=Summary(value=values))

    def _write(self, step: int, **content: Any) -> None:
        with writing(self.log.parent / "tensorboard"):
            self.events.write_event(Event(step=step, wall_time=time.time(), **content))
            self.events.flush()


def _image(picture: np.ndarray) -> Summary.Image:
    height, width, _ = picture.shape
    return Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encode(picture, ".jpg"))
