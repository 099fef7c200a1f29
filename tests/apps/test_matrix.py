"""What editors get back, over containers, codecs and all that the files of real cameras have in them.

In every clip a disc of foreground moves right, and so tells which frame is which, and a white mark in the top left
corner tells which way is up. The tiny bundle's foreground is what is red.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange

WIDTH, HEIGHT, FRAMES = 96, 64, 8
DISC, MARK, ROOM, BACKGROUND = (255, 120, 40), (255, 255, 255), (0, 0, 90), (0, 200, 60)
VFR = (0, 40, 45, 120, 121, 300, 900, 1500)
MILLISECONDS = Fraction(1, 1000)
BT601, BT709 = 5, 1
EMPTY_LINE = b"\0\0"  # what MP4 shows between the lines of subtitles


@dataclass(frozen=True)
class Clip:
    """A file of one picture track. size: (width, height) upright. range, matrix: as the file's tags say; None: no tag."""

    name: str
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    target: str = "o.mp4"
    size: tuple[int, int] = (WIDTH, HEIGHT)
    pts: Sequence[int] = range(FRAMES)
    time_base: Fraction = Fraction(1, 24)
    degrees: int = 0
    mirrored: bool = False
    pixel_aspect: Fraction = Fraction(1)
    full_range: bool = False
    matrix: int | None = None
    encoder: dict[str, str] = field(default_factory=dict)
    tolerance: int = 12

    @property
    def seconds(self) -> list[float]:
        """When the frames are shown, from the first one on."""
        return [float((pts - self.pts[0]) * self.time_base) for pts in self.pts]

    def make(self, make_video, path):
        turns = self.degrees // 90
        stored = self.size[::-1] if turns % 2 else self.size

        def prepare(stream):
            stream.codec_context.options = self.encoder
            stream.codec_context.sample_aspect_ratio = 1 / self.pixel_aspect if turns % 2 else self.pixel_aspect
            if turns or self.mirrored:
                stream.set_display_rotation(self.degrees, hflip=self.mirrored)
            if self.matrix is not None:
                stream.codec_context.colorspace = self.matrix
            if self.full_range:
                stream.codec_context.color_range = ColorRange.JPEG

        def lying(width, height, number):
            upright = draw(*self.size, number)
            return np.rot90(upright[:, ::-1] if self.mirrored else upright, -turns)

        def convert(image):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            if self.matrix is None and not self.full_range:
                return frame
            return frame.reformat(
                format=self.pixel_format,
                dst_colorspace=self.matrix or BT601,
                dst_color_range=ColorRange.JPEG if self.full_range else ColorRange.MPEG,
            )

        return make_video(
            path, size=stored, pts=self.pts, time_base=self.time_base, codec=self.codec,
            pixel_format=self.pixel_format, prepare=prepare, draw=lying, convert=convert,
        )  # fmt: skip


def draw(width, height, number):
    image = np.full((height, width, 3), ROOM, np.uint8)
    cv2.circle(image, disc_centre(width, height, number), min(width, height) // 4, DISC, -1)
    image[: height // 8, : width // 8] = MARK
    return image


def disc_centre(width, height, number):
    return width // 3 + 3 * number, height // 2


CLIPS = [
    Clip("h264.mp4", pts=VFR, time_base=MILLISECONDS),
    Clip("h264-444.mov", pixel_format="yuv444p", target="o.mkv", encoder={"crf": "12"}),
    Clip("h264-10bit.mkv", pixel_format="yuv420p10le", target="o.mov"),
    Clip("h264-full.mp4", full_range=True, encoder={"crf": "12"}, tolerance=8),
    Clip("h264-full.mkv", full_range=True, encoder={"crf": "12"}, tolerance=8),
    Clip("h264-709.mp4", matrix=BT709, encoder={"crf": "12"}, tolerance=8),
    Clip("h264.ts", target="o.mkv"),
    Clip("h264.m2ts"),
    Clip("h264.flv"),
    Clip("h264-without-pts.avi"),
    Clip("h264-90.mp4", degrees=90, size=(64, 96)),
    Clip("h264-180.mov", degrees=180, target="o.webm"),
    Clip("h264-270.mkv", degrees=270, size=(64, 96), target="o.mkv"),
    Clip("h264-90-mirrored.mp4", degrees=90, mirrored=True, size=(64, 96)),
    Clip("h264-90-anamorphic.mp4", degrees=90, size=(64, 96), pixel_aspect=Fraction(3, 4)),
    Clip("h264-anamorphic.mkv", pixel_aspect=Fraction(4, 3), target="o.mkv"),
    Clip("h264-one.mp4", pts=[0]),
    Clip("h264-one.mkv", pts=[0], target="o.mkv"),
    Clip("h264-late.mp4", pts=range(24, 24 + FRAMES)),
    Clip("h264-late.mkv", pts=range(24, 24 + FRAMES)),
    Clip("hevc-10bit.mp4", "libx265", "yuv420p10le", encoder={"x265-params": "log-level=none"}),
    Clip("hevc-180.mov", "libx265", degrees=180, encoder={"x265-params": "log-level=none"}),
    Clip("hevc.mkv", "libx265", target="o.mkv", encoder={"x265-params": "log-level=none"}),
    Clip("vp9.webm", "libvpx-vp9", target="o.webm", pts=VFR, time_base=MILLISECONDS),
    Clip("vp9.mkv", "libvpx-vp9", "yuv444p"),
    Clip("vp8.webm", "libvpx"),
    Clip("av1.webm", "libsvtav1", target="o.webm"),
    Clip("av1-10bit.mp4", "libsvtav1", "yuv420p10le"),
    Clip("mpeg4.avi", "mpeg4", encoder={"q": "2"}),
    Clip("mpeg4-dropped.avi", "mpeg4", pts=(0, 1, 2, 5, 6, 7, 10, 11)),
    Clip("mpeg4-bframes.avi", "mpeg4", encoder={"bf": "2"}),
    Clip("mpeg4-bframes.mp4", "mpeg4", encoder={"bf": "2"}),
    Clip("mpeg4-anamorphic.avi", "mpeg4", pixel_aspect=Fraction(4, 3)),
    Clip("mpeg4.3gp", "mpeg4"),
    Clip("mjpeg.avi", "mjpeg", "yuvj422p", full_range=True),
    Clip("mjpeg.mov", "mjpeg", "yuvj420p", full_range=True, pts=VFR, time_base=MILLISECONDS, encoder={"qmax": "2"}),
    Clip("prores.mov", "prores_ks", "yuv422p10le", target="o.mov"),
    Clip("prores-alpha-90.mov", "prores_ks", "yuva444p10le", degrees=90, size=(64, 96)),
    Clip("ffv1-16bit.mkv", "ffv1", "yuv444p16le", target="o.mkv", pts=VFR, time_base=MILLISECONDS),
    Clip("ffv1-odd.mkv", "ffv1", "bgr0", size=(95, 63)),
    Clip("ffv1-odd.avi", "ffv1", "yuv420p", size=(95, 63), target="o.webm"),
    Clip("mpeg2.mpg", "mpeg2video"),
    Clip("mpeg2.ts", "mpeg2video", target="o.mkv"),
    Clip("mpeg2.mxf", "mpeg2video"),
    Clip("mpeg1.mpg", "mpeg1video"),
    Clip("flv1.flv", "flv"),
    Clip("wmv2.wmv", "wmv2"),
    Clip("animation.mov", "qtrle", "rgb24"),
    Clip("png.mov", "png", "rgba"),
    Clip("huffyuv.avi", "huffyuv", "rgb24"),
    Clip("dnxhr.mov", "dnxhd", "yuv422p", size=(256, 128), encoder={"profile": "dnxhr_hq"}),
    Clip("palette.gif", "gif", "rgb8", pts=range(0, 8 * FRAMES, 8), time_base=Fraction(1, 100), tolerance=60),
    Clip("palette-one.gif", "gif", "rgb8", pts=[0], time_base=Fraction(1, 100), tolerance=60),
]  # fmt: skip


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: f"{clip.name}-{clip.target[2:]}")
def test_frames_times_size_and_colours_survive(vmfm, make_video, look, tmp_path, clip):
    source = clip.make(make_video, tmp_path / clip.name)
    status, _, err = vmfm(
        "recomposite", source, "-o", clip.target, "--background", "#{:02X}{:02X}{:02X}".format(*BACKGROUND)
    )
    assert status == 0, err
    result = tmp_path / clip.target
    np.testing.assert_allclose(look.times(result), clip.seconds, atol=1.5e-3)
    assert_lasts(result, clip)
    shown = look.pictures(result)
    (width, height), tolerance = clip.size, clip.tolerance
    for number, picture in enumerate(shown):
        x, y = disc_centre(width, height, number)
        assert picture.shape[:2] == (height + height % 2, width + width % 2)
        for at, colour in {(x, y): DISC, (width // 16, height // 16): MARK, (width - 6, 6): BACKGROUND}.items():
            patch = picture[at[1] - 1 : at[1] + 2, at[0] - 1 : at[0] + 2].mean(axis=(0, 1))
            np.testing.assert_allclose(patch, colour, atol=tolerance, err_msg=f"frame {number} at {at}")
        np.testing.assert_allclose(disc_middle(picture), x, atol=1.5, err_msg=f"frame {number}")
    assert pixel_aspect(result) == clip.pixel_aspect


def disc_middle(picture):
    """The column in the middle of the disc."""
    red = (picture[..., 0] > 160) & (picture[..., 2] < 130)
    return np.nonzero(red)[1].mean()


def assert_lasts(path, clip):
    """It is over a frame after the last one came."""
    with av.open(str(path)) as container:
        seconds = container.duration / av.time_base
    assert seconds == pytest.approx(clip.seconds[-1] + 1 / 24, abs=0.05)


def pixel_aspect(path):
    with av.open(str(path)) as container:
        return container.streams.video[0].sample_aspect_ratio or 1


@dataclass(frozen=True)
class Side:
    """A file with tracks beside its pictures: sound and subtitles by codec. kept: of both, what is to be in the result."""

    name: str
    target: str
    sound: tuple[str, ...] = ()
    subtitles: tuple[str, ...] = ()
    codec: str = "libx264"
    late: int = 0  # frames that the pictures come after the sound
    arguments: tuple[str, ...] = ()
    left_out: str = ""


SIDES = [
    Side("in.mp4", "o.mp4", ("aac", "aac"), ("mov_text", "mov_text")),
    Side("in.mp4", "o.mov", ("aac",), ("mov_text",)),
    Side("in.mp4", "o.mkv", ("aac", "ac3"), ("mov_text",), left_out="mov_text"),
    Side("in.mkv", "o.mkv", ("aac", "libopus"), ("subrip", "webvtt")),
    Side("in.mkv", "o.mp4", ("libopus", "libmp3lame"), ("subrip",), left_out="subrip"),
    Side("in.webm", "o.webm", ("libopus", "libopus"), ("webvtt",), codec="libvpx-vp9"),
    Side("in.ts", "o.mp4", ("aac", "ac3"), codec="mpeg2video"),
    Side("in.m2ts", "o.mkv", ("ac3", "eac3")),
    Side("in.mpg", "o.mkv", ("mp2", "ac3"), codec="mpeg2video"),
    Side("in.avi", "o.mp4", ("libmp3lame", "libmp3lame"), codec="mpeg4"),
    Side("in.avi", "o.mov", ("pcm_s16le",), codec="mjpeg"),
    Side("in.mkv", "o.mkv", ("aac",), ("dvd_subtitle", "hdmv_pgs_subtitle")),
    Side("in.mov", "o.mov", ("pcm_s16le", "alac")),
    Side("in.mkv", "o.mp4", ("flac",)),
    Side("in.flv", "o.mp4", ("aac",)),
    Side("in.wmv", "o.mkv", ("libmp3lame",), codec="wmv2"),
    Side("in.mxf", "o.mkv", ("pcm_s16le", "pcm_s16le"), codec="mpeg2video"),
    Side("late.mp4", "o.mp4", ("aac",), ("mov_text",), late=24),
    Side("late.mkv", "o.mkv", ("libopus",), ("subrip",), late=24),
    Side("late.ts", "o.mp4", ("aac",), late=24),
    Side("in.mkv", "o.webm", ("aac",), ("webvtt",), arguments=("--no-audio",)),
    Side("in.mp4", "o.mp4"),
]  # fmt: skip


@pytest.mark.parametrize(
    "side", SIDES, ids=lambda side: "-".join([side.name, side.target[2:], *side.sound, *side.subtitles])
)
def test_sound_and_subtitles_are_copied_in_step(vmfm, make_video, look, tmp_path, side):
    source = make_video(
        tmp_path / side.name, pts=range(side.late, side.late + 14), codec=side.codec, sound=side.sound,
        subtitles=side.subtitles, pixel_format="yuvj420p" if side.codec == "mjpeg" else "yuv420p",
    )  # fmt: skip
    status, _, err = vmfm("recomposite", source, "-o", side.target, "--background", "#00FF00", *side.arguments)
    assert status == 0, err
    result = tmp_path / side.target
    before, after = side_tracks(look, source), side_tracks(look, result)
    if "--no-audio" in side.arguments:
        before = [track for track in before if track[0] != "audio"]
    if side.left_out:
        before = [track for track in before if track[0] != "subtitle"]
        assert f"{side.target} goes without its {side.left_out} subtitles" in err
    assert [track[:3] for track in after] == [track[:3] for track in before]
    for (*_, seconds, data), (*_, kept_seconds, kept) in zip(before, after, strict=True):
        assert kept == data
        np.testing.assert_allclose(kept_seconds, seconds, atol=3e-3)


def side_tracks(look, path):
    """(type, codec, language, times after the first picture, bytes) of all tracks but the pictures."""
    first_picture, found = look.times(path)[0], []
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type in ("audio", "subtitle")]
        packets = [packet for packet in container.demux(streams) if packet.size > len(EMPTY_LINE)] if streams else []
        for stream in streams:
            own = [packet for packet in packets if packet.stream is stream]
            seconds = [float(packet.pts * packet.time_base) - first_picture for packet in own]
            if stream.type == "audio":  # which may come in packets of any length
                del seconds[1:]
            codec, language = stream.codec_context.codec.canonical_name, stream.metadata.get("language", "und")
            found.append((stream.type, codec, language, seconds, b"".join(without_adts(bytes(p)) for p in own)))
    return found


def without_adts(data):
    """An AAC packet without the header that broadcasts repeat in each."""
    return data[7:] if data[:2] == b"\xff\xf1" else data


def test_what_a_phone_has_trimmed_stays_away(vmfm, make_video, look, tmp_path):
    source = make_video(tmp_path / "in.mp4", pts=range(-3, FRAMES), sound="aac")
    assert vmfm("recomposite", source, "-o", "o.mp4", "--background", "#00FF00")[0] == 0
    assert len(look.times(tmp_path / "o.mp4")) == FRAMES
    np.testing.assert_allclose(look.times(tmp_path / "o.mp4"), look.times(source), atol=1e-3)
    assert side_tracks(look, tmp_path / "o.mp4") == side_tracks(look, source)


def test_recordings_joined_end_to_end_go_on(vmfm, make_video, look, tmp_path):
    """Where the camera was started anew, its clock was, too."""
    one = make_video(tmp_path / "one.ts", pts=range(48), sound="aac")
    (tmp_path / "both.ts").write_bytes(2 * one.read_bytes())
    assert vmfm("recomposite", "both.ts", "-o", "o.mp4", "--background", "#00FF00")[0] == 0
    np.testing.assert_allclose(np.diff(look.times(tmp_path / "o.mp4")), np.full(95, 1 / 24), atol=1e-3)
    sound = [seconds for seconds, _ in look.sound_packets(tmp_path / "o.mp4")]
    np.testing.assert_allclose(np.diff(sound), np.full(len(sound) - 1, 1024 / 48000), atol=1e-3)
    assert sound[-1] == pytest.approx(4, abs=0.1)
