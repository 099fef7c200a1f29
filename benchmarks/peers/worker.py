"""The loop that every contender runs in a process of its own, in an environment that has what it needs and NumPy.

One JSON request a line on stdin, one JSON answer a line on stdout:
    {"do": "time", "frames": FILE.npy, "first": 0, "count": 8}   ->  {"milliseconds": [...]}     one number per frame
    {"do": "alpha", "frame": FILE.npy, "out": FILE.npy}          ->  {}                          out: uint8 (H, W)
Frames are uint8 RGB, (N, H, W, 3) and (H, W, 3).
"""

import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np

Matter = Callable[[np.ndarray], np.ndarray]  # uint8 (H, W, 3) -> alpha (H, W), uint8 or float in [0, 1]


def serve(load: Callable[[], Matter]) -> None:
    """Loads the contender, says {} once it is ready, then answers until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries that chat on stdout must not break the conversation
    matter = load()
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({"time": _time, "alpha": _alpha}[request["do"]](matter, request)), file=answers, flush=True)


def _time(matter: Matter, request: dict) -> dict:
    frames = np.load(request["frames"], mmap_mode="r")
    milliseconds = []
    for number in range(request["first"], request["first"] + request["count"]):
        frame = np.array(frames[number % len(frames)])
        started = time.perf_counter()
        matter(frame)
        milliseconds.append((time.perf_counter() - started) * 1000)
    return {"milliseconds": milliseconds}


def _alpha(matter: Matter, request: dict) -> dict:
    alpha = matter(np.load(request["frame"]))
    if alpha.dtype != np.uint8:
        alpha = np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)
    np.save(request["out"], alpha)
    return {}
