"""Real encoded files to read."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from vmfm.apps.main import run


def draw(width: int, height: int, number: int) -> np.ndarray:
    """(height, width, 3) uint8 RGB: a red disc that moves right over dark blue, a white mark in the top left corner."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 2] = 90
    cv2.circle(image, (width // 4 + 2 * number, height // 2), max(1, height // 4), (250, 0, 0), -1)
    image[: max(1, height // 8), : max(1, width // 8)] = 255
    return image


def make_video(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    pts: Sequence[int] = range(12),
    time_base: Fraction = Fraction(1, 24),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    sound: str | Sequence[str] = (),
    subtitles: Sequence[str] = (),
    label: Callable[[av.container.OutputContainer], None] = lambda container: None,
    prepare: Callable[[av.VideoStream], None] = lambda stream: None,
    options: dict[str, str] | None = None,
    draw: Callable[[int, int, int], np.ndarray] = draw,
    convert: Callable[[np.ndarray], av.VideoFrame] = lambda image: av.VideoFrame.from_ndarray(image, "rgb24"),
) -> Path:
    """A video of drawn frames shown at `pts`, with a tone per codec in `sound` and two lines per codec in `subtitles`.

    The first track of a kind is in English, the second in German.
    label: called on the open file, prepare on its stream of pictures. convert: makes what the encoder is given of what was drawn, RGB.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.time_base = stream.codec_context.time_base = time_base
        prepare(stream)
        label(container)
        codecs = [sound] if isinstance(sound, str) else sound
        tones = [container.add_stream(codec, rate=48000, layout="mono") for codec in codecs]
        texts = [container.add_mux_stream(codec, time_base=Fraction(1, 1000)) for codec in subtitles]
        for tracks in (tones, texts):
            for track, language in zip(tracks, ("eng", "deu"), strict=False):
                track.metadata["language"] = language
        for number, at in enumerate(pts):
            frame = convert(draw(*size, number))
            frame.pts, frame.time_base = at, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        for tone in tones:
            container.mux(_tone(tone, float(pts[-1] * time_base)))
        for text, kind in zip(texts, subtitles, strict=True):
            container.mux(_lines(text, kind))
    return path


def _tone(stream: av.AudioStream, seconds: float) -> list[av.Packet]:
    packets, count = [], 960
    layout = stream.codec_context.format.name
    for start in range(0, int(48000 * seconds), count):
        wave = np.sin(np.arange(start, start + count) / 17)[None]
        kind, peak = {"s16": (np.int16, 2**14), "s32": (np.int32, 2**30), "flt": (np.float32, 1)}[layout[:3]]
        samples = (wave * peak).astype(kind)
        frame = av.AudioFrame.from_ndarray(samples, format=layout, layout="mono")
        frame.rate, frame.pts = 48000, start
        packets += stream.encode(frame)
    return packets + stream.encode()


def _lines(stream: av.stream.Stream, codec: str) -> list[av.Packet]:
    packets = []
    for number in range(2):
        line = f"line {number} of {stream.metadata['language']}".encode()
        packet = av.Packet(len(line).to_bytes(2, "big") + line if codec == "mov_text" else line)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = 100 + 150 * number
        packet.duration = 100
        packets.append(packet)
    return packets


def times(path: Path) -> list[float]:
    """When the frames of a video are shown, in seconds."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def pictures(path: Path) -> list[np.ndarray]:
    """The frames of a video as (H, W, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """(seconds, bytes) of all audio packets."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio)
        return [(round(float(p.pts * p.time_base), 4), bytes(p)) for p in packets if p.size]


@pytest.fixture(name="make_video")
def make_video_fixture() -> Callable[..., Path]:
    return make_video


@pytest.fixture(name="look")
def look_fixture() -> type:
    """Ways to look at a written file."""

    class Look:
        times = staticmethod(times)
        pictures = staticmethod(pictures)
        sound_packets = staticmethod(sound_packets)
        draw = staticmethod(draw)

    return Look


@pytest.fixture
def vmfm(tiny_bundle, capsys, tmp_path, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """Runs a verb in tmp_path; gives its status, what it printed and what it complained about."""
    monkeypatch.chdir(tmp_path)

    def call(verb, *arguments):
        status = run([verb, *map(str, arguments), "--bundle", str(tiny_bundle.path)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call
