"""Does `vmfm recomposite --resume` keep its memory flat over a long clip, and is a job that was killed again and again as good?

python benchmarks/recomposite_soak.py --minutes 20 --kills 5

Makes a clip with sound, runs it through once while watching the memory of the process, and once more killing the command
(kill -9) at random moments and starting it again; then compares the two results frame for frame. By default the nets are
the tests' own, which take next to no time.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
FPS, SIZE = 25, (128, 96)
RESULTS = ("out.mp4", "alpha.mkv")


def make_clip(path: Path, minutes: float) -> None:
    """Half-bright discs that move on and flicker a little, so that the nets are unsure and each matte leans on the last."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        video.width, video.height = SIZE
        sound = container.add_stream("aac", rate=48000, layout="mono")
        rng = np.random.default_rng(0)
        for number in range(round(minutes * 60 * FPS)):
            image = np.zeros((*SIZE[::-1], 3), np.uint8)
            colour = (120 + int(rng.integers(4)), number % 200, number // 200 % 200)
            cv2.circle(image, (20 + number // 10 % 88, 48), 30, colour, -1)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
            tone = np.sin(np.arange(48000 // FPS) * (number % 50 + 50) / 2000).astype(np.float32)[None]
            wave = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
            wave.rate, wave.pts, wave.time_base = 48000, number * (48000 // FPS), Fraction(1, 48000)
            container.mux(sound.encode(wave))
        container.mux([*video.encode(), *sound.encode()])


def start(clip: Path, folder: Path, bundle: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "vmfm.apps.main", "recomposite", clip, "-o", folder / RESULTS[0]]
    command += ["--alpha", folder / RESULTS[1], "--background", "#20A060", "--resume", "--bundle", bundle]
    return subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def watch(process: subprocess.Popen, folder: Path, parts: int, frames: int) -> float:
    """Prints the resident memory while the work goes on; returns how long it took, in seconds."""
    began, row = time.perf_counter(), 0
    print("| minute of the clip | seconds | resident MB |\n|---|---|---|")
    while process.poll() is None:
        done = 250 * len(list(folder.glob(".*/*[0-9]/segment.json")))
        if done >= (row + 1) * frames / parts:
            row += 1
            resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 / 1e6
            seconds = time.perf_counter() - began
            print(f"| {done / FPS / 60:.1f} | {seconds:.0f} | {resident:.0f} |", flush=True)
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.communicate()[1])
    return time.perf_counter() - began


def pictures(path: Path) -> Iterator[tuple[Fraction, bytes]]:
    """(time, bytes) of all frames."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.pts * frame.time_base, b"".join(bytes(plane) for plane in frame.planes)


def packets(path: Path) -> Iterator[tuple[int, bytes]]:
    """(time, bytes) of all sound."""
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.audio):
            if packet.size:
                yield packet.pts, bytes(packet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--parts", type=int, default=10, help="rows of the table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", help="by default the nets of the tests")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle = given.bundle
        if bundle is None:
            from conftest import NETS, make_bundle, tiny_model

            bundle = make_bundle(folder / "tiny", {node.name: tiny_model(node) for node in NETS}).path
        clip, whole, killed = folder / "clip.mp4", folder / "whole", folder / "killed"
        make_clip(clip, given.minutes)
        whole.mkdir()
        killed.mkdir()
        frames = round(given.minutes * 60 * FPS)
        seconds = watch(start(clip, whole, bundle), whole, given.parts, frames)
        print(f"\n{frames} frames in {seconds:.0f} s; then killed after", end="")
        rng = random.Random(given.seed)
        for _ in range(given.kills):
            process = start(clip, killed, bundle)
            time.sleep(rng.uniform(0.3, 1) * seconds / (given.kills + 1))
            process.kill()
            process.wait()
            print(f" {250 * len(list(killed.glob('.*/*[0-9]/segment.json')))}", end="", flush=True)
        print(" frames, and finished")
        _, err = (process := start(clip, killed, bundle)).communicate()
        if process.returncode:
            raise SystemExit(err)
        for name in RESULTS:
            pairs = list(zip_longest(map(hash, pictures(whole / name)), map(hash, pictures(killed / name))))
            other = sum(a != b for a, b in pairs)
            print(f"{name}: {len(pairs)} frames, {other} of them other than in the result without a kill")
        same = list(packets(whole / RESULTS[0])) == list(packets(killed / RESULTS[0]))
        print(
            f"sound: {'the same' if same else 'other'}; left behind: {len(list(killed.iterdir())) - len(RESULTS)} files"
        )


if __name__ == "__main__":
    main()
