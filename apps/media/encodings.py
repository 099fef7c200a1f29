"""How results are stored: which codec a file gets, with which pixels and at which quality."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from vmfm.apps.media.errors import WriteError

Content = Literal["picture", "cut-out", "matte"]  # RGB, RGBA, grey
Options = dict[str, str]

_ISO = (".mp4", ".m4v", ".mov")


@dataclass(frozen=True)
class Storing:
    """What people may choose beyond a name; what is None follows from the name.

    codec: of the result, a key of CODECS; mattes go by their names alone. quality: of codecs that lose something, 0 (best)
    to 51, as x264's CRF counts. depth: bits per channel, 8, 10 or 16, or the next lower that the format has.
    premultiplied: cut-outs hold colours times alpha. hardware: encode on the GPU
    where one can.
    """

    codec: str | None = None
    quality: int | None = None
    depth: int | None = None
    premultiplied: bool = False
    hardware: bool = False


@dataclass(frozen=True)
class Encoder:
    """One of FFmpeg's: its name, how it is told a quality, and what else it is told."""

    name: str
    quality: Callable[[int], Options]
    options: Options = field(default_factory=dict)
    formats: dict[str, str] = field(default_factory=dict)  # pixel formats it knows by another name


@dataclass(frozen=True)
class Codec:
    """One way of storing a video. pixels: FFmpeg's pixel format by content and depth, the default depth first."""

    suffixes: tuple[str, ...]
    pixels: dict[Content, dict[int, str]]
    encoder: Encoder
    hardware: tuple[Encoder, ...] = ()
    usual_quality: int | None = None  # None where nothing is lost, or as little as makes no difference
    cut_out_options: Options = field(default_factory=dict)
    tag: str | None = None  # in .mp4 and .mov


def _crf(quality: int) -> Options:
    return {"crf": str(quality)}


def _hardware(codec: str) -> tuple[Encoder, ...]:
    """Encoders of NVIDIA, Intel, AMD and Apple; those that this FFmpeg lacks, or that find no device, are passed over."""
    return (
        Encoder(f"{codec}_nvenc", lambda q: {"rc": "vbr", "cq": str(q), "b": "0"}, {}, {"yuv420p10le": "p010le"}),
        Encoder(f"{codec}_qsv", lambda q: {"global_quality": str(q)}, {}, {"yuv420p": "nv12", "yuv420p10le": "p010le"}),
        Encoder(f"{codec}_amf", lambda q: {"rc": "cqp", "qp_i": str(q), "qp_p": str(q)}, {}, {"yuv420p": "nv12"}),
        Encoder(f"{codec}_videotoolbox", lambda q: {"global_quality": str((100 - 2 * q) * 118), "flags": "+qscale"}),
    )


_420: dict[Content, dict[int, str]] = {content: {8: "yuv420p", 10: "yuv420p10le"} for content in ("picture", "matte")}
CODECS: dict[str, Codec] = {
    "h264": Codec(
        (*_ISO, ".mkv"), _420, Encoder("libx264", _crf, {"preset": "veryfast"}), _hardware("h264"), usual_quality=18
    ),
    "hevc": Codec(
        (*_ISO, ".mkv"),
        _420,
        Encoder("libx265", _crf, {"preset": "fast", "x265-params": "log-level=none"}),
        _hardware("hevc"),
        usual_quality=20,
        tag="hvc1",  # the one that Apple's players take
    ),
    "av1": Codec(
        (".mp4", ".m4v", ".mkv", ".webm"),
        _420,
        Encoder("libsvtav1", _crf, {"preset": "8"}),
        _hardware("av1"),
        usual_quality=28,
    ),
    "vp9": Codec(
        (".webm", ".mkv"),
        {"picture": {8: "yuv420p"}, "cut-out": {8: "yuva420p"}, "matte": {8: "yuv420p"}},
        Encoder("libvpx-vp9", _crf, {"b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}),
        usual_quality=24,
        cut_out_options={"auto-alt-ref": "0"},
    ),
    "prores": Codec(
        (".mov",),
        {"picture": {10: "yuv422p10le"}, "cut-out": {10: "yuva444p10le"}, "matte": {10: "yuv422p10le"}},
        Encoder("prores_ks", lambda quality: {}, {"profile": "hq", "vendor": "apl0"}),
        cut_out_options={"profile": "4444"},
    ),
    "ffv1": Codec(
        (".mkv",),
        {
            "picture": {8: "bgr0"},
            "cut-out": {8: "bgra", 16: "rgba64le"},
            "matte": {8: "gray", 16: "gray16le"},
        },
        Encoder("ffv1", lambda quality: {}, {"level": "3", "slicecrc": "1"}),
    ),
}
_USUAL: dict[Content, dict[str, str]] = {
    "picture": {".mp4": "h264", ".m4v": "h264", ".mov": "h264", ".mkv": "h264", ".webm": "vp9"},
    "cut-out": {".mov": "prores", ".mkv": "ffv1", ".webm": "vp9"},
    "matte": {".mp4": "h264", ".m4v": "h264", ".mov": "prores", ".mkv": "ffv1", ".webm": "vp9"},
}


@dataclass(frozen=True)
class Encoding:
    """What a video writer has to know. pixel_format: FFmpeg's name. tag: the container's name for the codec."""

    encoder: str
    pixel_format: str
    options: Options
    tag: str | None = None
    alternatives: tuple["Encoding", ...] = ()  # to be tried before this one, on the GPU

    @property
    def deep(self) -> bool:
        """Whether its pixels have more than 8 bits."""
        return self.pixel_format.endswith(("10le", "16le", "64le", "p010le"))

    @property
    def is_rgb(self) -> bool:
        return self.pixel_format.startswith(("bgr", "rgb"))

    @property
    def is_grey(self) -> bool:
        return self.pixel_format.startswith("gray")


def choose_encoding(suffix: str, content: Content, storing: Storing) -> Encoding:
    """For a video with this extension. Raises WriteError where the three do not go together."""
    suffix = suffix.lower()
    name = storing.codec if storing.codec and content != "matte" else _USUAL[content].get(suffix)
    if name is None:
        raise WriteError(
            f"{suffix} videos hold no transparency: give --background, or name the output {_or(_USUAL[content])}"
        )
    codec = CODECS.get(name)
    if codec is None:
        raise WriteError(f"codec {name!r} is not known: wanted {_or(CODECS)}")
    if suffix not in codec.suffixes:
        raise WriteError(f"{suffix} files hold no {name} here: name the output {_or(codec.suffixes)}")
    formats = codec.pixels.get(content)
    if formats is None:
        able = [other for other, row in CODECS.items() if content in row.pixels]
        raise WriteError(f"{name} holds no transparency: give --background, or --codec {_or(able)}")
    fitting = [depth for depth in formats if storing.depth is None or depth <= storing.depth] or [min(formats)]
    pixel_format = formats[fitting[0] if storing.depth is None else max(fitting)]
    quality = codec.usual_quality if storing.quality is None else storing.quality

    def told(encoder: Encoder) -> Encoding:
        options = {**encoder.options, **(codec.cut_out_options if content == "cut-out" else {})}
        options |= {} if quality is None else encoder.quality(quality)
        tag = codec.tag if suffix in _ISO else None
        return Encoding(encoder.name, encoder.formats.get(pixel_format, pixel_format), options, tag)

    software = told(codec.encoder)
    if not storing.hardware:
        return software
    return Encoding(
        software.encoder, software.pixel_format, software.options, software.tag, tuple(map(told, codec.hardware))
    )


def _or(names: object) -> str:
    """a, b or c."""
    *most, last = map(str, names)  # type: ignore[call-overload]
    return f"{', '.join(most)} or {last}" if most else last
