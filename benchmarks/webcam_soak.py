"""Does `vmfm webcam` stay as it is over minutes? A clip stands for the camera, a recording device for the virtual one.

python benchmarks/webcam_soak.py --seconds 300

Per part of the run: pictures per second, the time from capture to send, and the memory of the process.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pyvirtualcam
from vmfm.apps.webcam import Settings, run_webcam
from vmfm.runtime.bundle import DETAILS

CLIP = Path(__file__).parents[1] / "apps/demo/woman_with_mug.mp4"


class Nowhere:
    """A virtual camera that nobody looks at."""

    def __init__(self, **options: object) -> None:
        pass

    def send(self, frame: np.ndarray) -> None:
        pass

    def close(self) -> None:
        pass

    def device(self) -> str:
        return "nowhere"

    def native_fourcc(self) -> None:
        return None


class Log:
    """Prints a row of the table whenever a part is over; ends the run, as Ctrl-C does, when all are."""

    def __init__(self, seconds: float, parts: int) -> None:
        self._part_seconds, self._parts = seconds / parts, parts
        self._latencies: list[float] = []
        self._part = 0
        self._started: float | None = None  # by the first picture: the nets are ready then
        print("| minute | fps | latency, median ms | 95 % | resident MB |\n|---|---|---|---|---|")

    def add(self, latency_seconds: float) -> None:
        if self._started is None:
            self._started = time.perf_counter()
        self._latencies.append(1000 * latency_seconds)
        elapsed = time.perf_counter() - self._started
        if elapsed < (self._part + 1) * self._part_seconds:
            return
        median, late = np.percentile(self._latencies, (50, 95))
        fps = len(self._latencies) / self._part_seconds
        print(
            f"| {elapsed / 60:.1f} | {fps:.1f} | {median:.0f} | {late:.0f} | {_resident_bytes() / 1e6:.0f} |",
            flush=True,
        )
        self._latencies.clear()
        self._part += 1
        if self._part == self._parts:
            raise KeyboardInterrupt


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--parts", type=int, default=10, help="rows of the table")
    parser.add_argument("--camera", type=Path, default=CLIP, help="a video")
    parser.add_argument("--background", default="blur")
    parser.add_argument("--bundle", default="lite")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--detail", choices=DETAILS, default="fast")
    given = parser.parse_args()
    pyvirtualcam.camera.BACKENDS.clear()
    pyvirtualcam.register_backend("nowhere", Nowhere)
    settings = Settings(
        str(given.camera),
        backgrounds=(given.background,),
        bundle=given.bundle,
        backend=given.backend,
        detail=given.detail,
    )
    print(run_webcam(settings, print, Log(given.seconds, given.parts).add))


if __name__ == "__main__":
    main()
