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
