"""How fast a bundle is on this computer, for frames of several sizes."""

import hashlib
import itertools
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from vmfm.apps.media.atomic import replacing
from vmfm.apps.media.errors import write_errors
from vmfm.apps.media.logs import silence_codecs
from vmfm.apps.media.reader import open_reader
from vmfm.apps.session import FRAMES_IN_FLIGHT
from vmfm.apps.sizes import parse_size
from vmfm.apps.speed import Speed, time_in_flight, time_steps, warm_up
from vmfm.runtime import Bundle, Detail, MattingStream
from vmfm.runtime.graph import Result

MATTE: tuple[Result, ...] = ("alpha", "deviation")
PICTURE: tuple[Result, ...] = ("picture",)
_STANDARD = (720, 1280)
_WARM_UP_FRAMES = 5
_MADE_UP_FRAMES = 12
_KEPT_BYTES = 256 << 20  # frames that are kept decoded, so that decoding is not timed
_LIBRARIES = ("numpy", "opencv-python", "openvino")


@dataclass(frozen=True)
class Workload:
    """What is timed. sizes: (H, W) of the frames; empty for a source's own. source: a video, or None for made-up frames."""

    sizes: tuple[tuple[int, int], ...]
    frames: int
    source: Path | None = None
    details: tuple[Detail, ...] = ("fine",)

    @classmethod
    def parse(
        cls, sizes: Sequence[str], frames: int, source: Path | None, details: Iterable[Detail] = ("fine",)
    ) -> "Workload":
        """sizes: each WIDTHxHEIGHT. Raises FrameError."""
        parsed = tuple(dict.fromkeys(parse_size(text) for text in sizes))
        return cls(parsed or (() if source else (_STANDARD,)), frames, source, tuple(details))


@dataclass(frozen=True)
class Case:
    """The speed for frames of one size, which the nets see at another."""

    detail: Detail
    width: int
    height: int
    net_width: int
    net_height: int
    lanes: Speed
    one_lane: Speed | None  # the same with nothing side by side, where that was asked for


@dataclass(frozen=True)
class Report:
    """What `vmfm bench` found out."""

    versions: Mapping[str, str]
    computer: str
    backend: str
    backend_note: str
    bundle: str
    bundle_sha256: str  # of the manifest, which names the sha256 of every net
    nets: tuple[str, ...]
    frames: int
    source: str
    delivers: tuple[str, ...]  # what is taken from the stream for each frame
    cases: tuple[Case, ...]


def measure(bundle: str, backend: str, workload: Workload, *, picture: bool = False, one_lane: bool = False) -> Report:
    """Times both modes for every size. Raises BundleError, BackendError, FrameError or ReadError.

    picture: finished pictures over a still background, in place of mattes. one_lane: again with nothing side by side.
    """
    silence_codecs()
    ways = list(itertools.product(workload.details, _clips(workload)))
    delivers = PICTURE if picture else MATTE
    with MattingStream(bundle, backend=backend, deliver=delivers, slots=FRAMES_IN_FLIGHT) as stream:
        lanes = [_time(stream, *way, frames=workload.frames, picture=picture) for way in ways]
        opened, name, note = stream.bundle, stream.backend_name, stream.backend_note
    alone: list[Speed | None] = [None] * len(ways)
    if one_lane:
        with MattingStream(opened, backend=backend, deliver=delivers, slots=FRAMES_IN_FLIGHT, one_lane=True) as stream:
            alone = [_time(stream, *way, frames=workload.frames, picture=picture) for way in ways]
    return Report(
        versions={name: version(name) for name in ("vmfm", *_LIBRARIES)} | {"python": platform.python_version()},
        computer=f"{_processor()}, {platform.system()} {platform.machine()}",
        backend=name,
        backend_note=note,
        bundle=opened.name,
        bundle_sha256=hashlib.sha256((opened.path / "manifest.json").read_bytes()).hexdigest(),
        nets=tuple(name for name in lanes[0].low_latency.nodes_ms if name in opened.nets),
        frames=workload.frames,
        source=str(workload.source or "made up"),
        delivers=delivers,
        cases=tuple(_case(opened, *way, *speeds) for way, *speeds in zip(ways, lanes, alone, strict=True)),
    )


def write_report(report: Report, path: Path) -> None:
    """The report as JSON. Raises WriteError."""
    with write_errors(path), replacing(path) as partial:
        partial.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")


def _case(bundle: Bundle, detail: Detail, clip: list[np.ndarray], lanes: Speed, alone: Speed | None) -> Case:
    height, width = clip[0].shape[:2]
    net_height, net_width = bundle.net_size(height, width, detail)
    return Case(detail, width, height, net_width, net_height, lanes, alone)


def _time(stream: MattingStream, detail: Detail, clip: list[np.ndarray], *, frames: int, picture: bool) -> Speed:
    stream.detail = detail
    background = clip[0][::-1].copy() if picture else None
    warm_up(stream, _take(clip, max(_WARM_UP_FRAMES, 2 * stream.slots)), background)
    return Speed(
        time_steps(stream, _take(clip, frames), background), time_in_flight(stream, _take(clip, frames), background)
    )


def _take(clip: list[np.ndarray], count: int) -> Iterator[np.ndarray]:
    return itertools.islice(itertools.cycle(clip), count)


def _clips(workload: Workload) -> Iterator[list[np.ndarray]]:
    """Per size the frames to cycle through, (H, W, 3) uint8."""
    if workload.source is None:
        yield from (made_up(height, width) for height, width in workload.sizes)
        return
    with open_reader(workload.source) as reader:
        pixels = max(height * width for height, width in (*workload.sizes, (reader.info.height, reader.info.width)))
        kept = max(1, _KEPT_BYTES // (pixels * 3))
        frames = [frame.image for frame in itertools.islice(reader, min(workload.frames, kept))]
    for height, width in workload.sizes or (frames[0].shape[:2],):
        yield [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]


def made_up(height: int, width: int) -> list[np.ndarray]:
    """A bright blob that moves over smooth noise: pictures with edges, the same in every run."""
    noise = np.random.default_rng(0).integers(0, 160, (9, 16, 3), np.uint8)
    still = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    radii = max(1, width // 8), max(1, height // 3)
    count = max(2, min(_MADE_UP_FRAMES, _KEPT_BYTES // still.nbytes))
    centres = ((width * (2 * number + count) // (4 * count), height * 3 // 5) for number in range(count))
    return [cv2.ellipse(still.copy(), centre, radii, 0, 0, 360, (230, 190, 170), -1) for centre in centres]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
