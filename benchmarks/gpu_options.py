"""What the sections of gpu_check.py share: options, and frames to run on."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

SIZES = {"720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}
SLOTS = 3  # frames in flight
DEMO = Path(__file__).parent.parent / "apps" / "demo" / "woman_with_mug.mp4"


@dataclass(frozen=True)
class Options:
    """sizes: (H, W) of frames, by name. seconds: of each timed run. pictures: a folder, or None for the demo clip."""

    bundles: tuple[str, ...]
    sizes: dict[str, tuple[int, int]]
    seconds: float
    pictures: Path | None
    on_gpu: bool


def demo_frames(size: tuple[int, int], count: int) -> list[np.ndarray]:
    """Frames of the demo clip, (H, W, 3) uint8 RGB, resized; or pictures, where it cannot be read."""
    video = cv2.VideoCapture(str(DEMO))
    frames: list[np.ndarray] = []
    while len(frames) < count:
        read, frame = video.read()
        frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if read else smooth_picture(size, len(frames))
        frames.append(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_LINEAR))
    return frames


def smooth_picture(size: tuple[int, int], seed: int) -> np.ndarray:
    """Smooth noise, (H, W, 3) uint8."""
    noise = np.random.default_rng(seed).random((7, 9, 3), np.float32)
    smooth = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth * 255, 0, 255).astype(np.uint8)


def for_seconds(frames: list[np.ndarray], seconds: float) -> Iterator[np.ndarray]:
    """The frames over and over, until the time is over; at least two."""
    ends = time.perf_counter() + seconds
    for count, frame in enumerate(itertools.cycle(frames)):
        if count >= 2 and time.perf_counter() > ends:
            return
        yield frame
