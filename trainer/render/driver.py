"""Keeps worker processes busy until enough samples lie in the output folder."""

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from vmfm.trainer.errors import TrainerError
from vmfm.trainer.render import files

PACKAGE = Path(__file__).parents[2]  # the folder that `vmfm` is
# A worker's environment holds Blender but not this project, so that the package is put together by hand.
BOOT = """\
import sys, types
vmfm = types.ModuleType("vmfm")
vmfm.__path__ = [sys.argv[1]]
sys.modules["vmfm"] = vmfm
from vmfm.trainer.render.worker import main
main(sys.argv[2])
"""
SEEDS_PER_WORKER = 12  # Blender never gives back all of its memory, so its process is replaced now and then
MOST_FAILURES = 3  # of workers in a row, before giving up
MOST_FAILED = 12  # pictures in a row, of all workers: then it is not the scenes


@dataclass(frozen=True)
class Picture:
    """One reply of a worker."""

    seed: int
    view: int
    state: str  # done, rejected, failed
    why: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a run is to give."""

    out: Path
    count: int  # samples of scenes from `seed` on that are to lie there in the end
    seed: int  # of the first scene
    views: int = 4  # pictures of one seed's people
    clip: bool = False


def worker_command(python: str, settings: str) -> list[str]:
    return [python, "-c", BOOT, str(PACKAGE), settings]


def render(plan: Plan, command: Sequence[str], workers: int = 2) -> Iterator[Picture]:
    """Renders what is missing, and yields every picture as it comes.

    Seeds are taken in order from `plan.seed`; what is done or was rejected before is not rendered again. Interrupting
    loses only the pictures at hand. Raises TrainerError when workers keep dying or pictures failing, with the last
    words of one, and where nothing can be written or no worker started.
    """
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainerError(f"cannot make the folder {plan.out}: {error.strerror}; name another one") from error
    queue = _Queue(plan)
    replies: SimpleQueue[Picture | Exception | None] = SimpleQueue()
    crew = [_Crew(command, queue, replies.put) for _ in range(workers)]
    for member in crew:
        member.start()
    try:
        running, failed = len(crew), 0
        while running:
            reply = replies.get()
            if reply is None:
                running -= 1
            elif isinstance(reply, Exception):
                raise reply
            else:
                yield reply
                failed = failed + 1 if reply.state == "failed" else 0
                if failed == MOST_FAILED:
                    raise TrainerError(f"{failed} pictures in a row failed; the last one said: {last_line(reply.why)}")
    finally:
        queue.close()
        for member in crew:
            member.stop()


class _Queue:
    """Hands out seeds while more samples are wanted than are done or at hand."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seeds = files.seeds(plan.seed)
        self.missing = plan.count
        self.at_hand = 0
        self.changed = threading.Condition()
        self.closed = False

    def take(self) -> dict | None:
        """The next job; waits while what is at hand might suffice. None when all is done."""
        with self.changed:
            while not self.closed:
                if self.missing <= 0:
                    return None
                if self.missing > self.at_hand:
                    seed = next(self.seeds, None)
                    if seed is None:
                        return None
                    done, views = files.left(self.plan.out, seed, self.plan.views, clip=self.plan.clip)
                    self.missing -= done
                    views = views[: max(0, self.missing - self.at_hand)]
                    if views:
                        self.at_hand += len(views)
                        return {"seed": seed, "views": views}
                    continue
                self.changed.wait()
            return None

    def report(self, state: str) -> None:
        with self.changed:
            self.at_hand -= 1
            self.missing -= state == "done"
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class _Crew(threading.Thread):
    """One worker process at a time, and the thread that talks to it."""

    def __init__(self, command: Sequence[str], queue: _Queue, reply: Callable) -> None:
        super().__init__(daemon=True)
        self.command, self.queue, self.reply = list(command), queue, reply
        self.process: subprocess.Popen | None = None
        self.failures = 0

    def run(self) -> None:
        try:
            served = 0
            while (job := self.queue.take()) is not None:
                if self.process is None or served >= SEEDS_PER_WORKER:
                    self.stop()
                    self.process, served = self._open(), 0
                served += 1
                if not self._serve(job):
                    self.stop()
                    self.process = None
        except Exception as error:  # noqa: BLE001 - raised again by render()
            self.reply(error)
        finally:
            self.stop()
            self.reply(None)

    def _open(self) -> subprocess.Popen:
        # A file, because a pipe that nobody reads would fill up; stop() closes it.
        self.words = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        try:
            return subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.words, text=True
            )
        except OSError as error:
            self.words.close()
            problem = f"cannot start {self.command[0]}: {error.strerror}; name a Python that has bpy"
            raise TrainerError(problem) from error

    def _serve(self, job: dict) -> bool:
        """Sees one job through; False when the process died over it."""
        assert self.process and self.process.stdin and self.process.stdout
        open_views = set(job["views"])
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its output ends below
        for line in self.process.stdout:
            said = json.loads(line)
            if "end" in said:
                self.failures = 0
                return True
            open_views.discard(said["view"])
            self._answer(Picture(said["seed"], said["view"], said["state"], said["why"], said["seconds"]))
        self.process.wait()
        self.words.seek(0)
        words = self.words.read()
        self.failures += 1
        if self.failures >= MOST_FAILURES and not self.queue.closed:
            raise TrainerError(f"the renderer ended {MOST_FAILURES} times; it last said: {last_line(words)}")
        for view in sorted(open_views):
            self._answer(Picture(job["seed"], view, "failed", last_line(words), 0.0))
        return False

    def _answer(self, picture: Picture) -> None:
        self.queue.report(picture.state)
        self.reply(picture)

    def stop(self) -> None:
        """Ends the process, which has nothing half-written under a final name."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            self.words.close()


def last_line(words: str) -> str:
    """What a traceback, or whatever else was said, ends with."""
    lines = [line for line in words.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"
