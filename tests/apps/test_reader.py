from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.images import read_image
from vmfm.apps.media.reader import open_reader

MAP_YUV = {"bt709": 1, "bt601": 6}


def read(path, **options):
    with open_reader(path, **options) as reader:
        return reader, list(reader)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_frames_keep_their_own_times(make_video, tmp_path, suffix):
    pts = [0, 40, 45, 120, 121, 300, 301, 302, 900]
    path = make_video(tmp_path / f"vfr{suffix}", pts=pts, time_base=Fraction(1, 1000))
    reader, frames = read(path)
    assert [frame.pts * reader.info.time_base * 1000 for frame in frames] == pts
    assert [frame.index for frame in frames] == list(range(len(pts)))
    assert frames[-1].seconds == pytest.approx(0.9)


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (1, 1), (2, 96)])
def test_any_size_is_read(make_video, look, tmp_path, size):
    path = make_video(tmp_path / "any.mkv", size=size, codec="ffv1", pixel_format="bgr0")
    reader, frames = read(path)
    assert (reader.info.width, reader.info.height) == size
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, look.draw(*size, number))


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [("libx264", "yuv444p", ".mp4"), ("libx264", "yuv420p10le", ".mp4"), ("libvpx-vp9", "yuv420p", ".webm"),
     ("mjpeg", "yuvj422p", ".avi"), ("prores_ks", "yuv422p10le", ".mov"), ("mpeg4", "yuv420p", ".mp4")],
)  # fmt: skip
def test_codecs_and_pixel_formats_are_read(make_video, look, tmp_path, codec, pixel_format, suffix):
    path = make_video(tmp_path / f"a{suffix}", size=(160, 96), codec=codec, pixel_format=pixel_format)
    _, frames = read(path)
    assert len(frames) == 12
    difference = np.abs(frames[5].image.astype(int) - look.draw(160, 96, 5))
    assert difference.mean() < 6


def test_grey_video_becomes_rgb(make_video, tmp_path):
    _, frames = read(make_video(tmp_path / "grey.mkv", codec="ffv1", pixel_format="gray"))
    assert frames[0].image.shape == (48, 64, 3)
    assert np.ptp(frames[0].image.astype(int), axis=2).max() <= 1


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", MAP_YUV)
def test_matrix_and_range_of_the_file_are_honoured(tmp_path, matrix, full_range):
    rgb = np.full((64, 64, 3), (200, 40, 90), np.uint8)
    red, blue = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}[matrix]
    r, g, b = (np.array([200, 40, 90]) / 255).tolist()
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    levels = (y * 255, 128 + cb * 255, 128 + cr * 255) if full_range else (16 + y * 219, 128 + cb * 224, 128 + cr * 224)
    planes = np.vstack([np.full((64, 64), round(level), np.uint8) for level in levels])
    path = tmp_path / "tagged.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "1"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv444p"
        stream.codec_context.colorspace = MAP_YUV[matrix]
        stream.codec_context.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
        frame = av.VideoFrame.from_ndarray(planes.reshape(3, 64, 64), "yuv444p")
        frame.colorspace, frame.color_range = MAP_YUV[matrix], stream.codec_context.color_range
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    _, frames = read(path)
    assert np.abs(frames[0].image.astype(int) - rgb).max() <= 3


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_and_mirroring_are_applied(make_video, look, tmp_path, degrees, mirror):
    def turn(stream):
        stream.set_display_rotation(degrees, hflip=mirror)

    plain = look.draw(64, 48, 0)
    reader, frames = read(make_video(tmp_path / "turned.mp4", prepare=turn))
    upright = np.rot90(plain, degrees // 90)
    upright = upright[:, ::-1] if mirror else upright
    assert frames[0].image.shape == (reader.info.height, reader.info.width, 3) == upright.shape
    assert np.abs(frames[0].image.astype(int) - upright).mean() < 12


def test_a_cut_mp4_is_refused_and_can_be_salvaged(make_video, tmp_path):
    whole = make_video(tmp_path / "whole.mp4", size=(320, 240), pts=range(60), options={"movflags": "+faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.raises(ReadError, match="damaged or cut short.*--salvage"):
        read(cut)
    reader, frames = read(cut, salvage=True)
    assert 0 < len(frames) < 60
    assert "cut short" in reader.damage


def test_a_cut_matroska_is_refused_and_can_be_salvaged(make_video, tmp_path):
    whole = make_video(tmp_path / "whole.mkv", size=(320, 240), pts=range(120))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ReadError, match="damaged"):
        read(cut)
    reader, frames = read(cut, salvage=True)
    assert 0 < len(frames) < 120
    assert reader.damage


def test_what_is_no_video_is_refused_in_one_sentence(make_video, tmp_path):
    silent = tmp_path / "sound.m4a"
    with av.open(str(silent), "w", format="mp4") as container:
        container.mux(container.add_stream("aac", rate=48000, layout="mono").encode(None))
    cases = {
        "missing.mp4": None,
        "empty.mp4": b"",
        "noise.mp4": bytes(range(256)) * 40,
        "text.txt": b"hello\n" * 100,
        "empty.png": b"",
        "noise.png": bytes(range(256)),
        "header.mp4": make_video(tmp_path / "whole.mp4").read_bytes()[:200],
    }
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ReadError) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    for path in (tmp_path, silent):
        with pytest.raises(ReadError, match=path.name):
            read(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg", ".bmp"])
@pytest.mark.parametrize("kind", ["grey", "rgba", "rgb", "16 bit"])
def test_images_of_every_depth_become_rgb(tmp_path, suffix, kind):
    rgb = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (33, 21, 3), np.uint8), (0, 0), 4)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    stored = {
        "grey": cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),
        "rgba": np.dstack([bgr, np.full((33, 21), 128, np.uint8)]),
        "rgb": bgr,
        "16 bit": bgr.astype(np.uint16) * 257,
    }[kind]
    if kind == "16 bit" and suffix not in (".png", ".tif"):
        stored = bgr
    path = tmp_path / f"Bild – 写真{suffix}"
    path.write_bytes(cv2.imencode(suffix, stored)[1].tobytes())
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == (33, 21, 3)
    wanted = cv2.cvtColor(stored, cv2.COLOR_GRAY2RGB) if kind == "grey" else rgb
    assert np.abs(image.astype(int) - wanted).mean() < 4


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_cut_image_is_refused(tmp_path, suffix):
    data = cv2.imencode(suffix, np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8))[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data + b"what a phone appends" * 9)
    assert read_image(path).shape == (80, 80, 3)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ReadError, match="cut short|damaged"):
        read_image(path)
