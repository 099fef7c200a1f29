"""What results are stored as: every codec with its alpha, its depth, its tags, and the command's options for them."""

import av
import cv2
import numpy as np
import pytest
from vmfm.apps.media.codecs import working
from vmfm.apps.media.encodings import CODECS, Storing, choose_encoding
from vmfm.apps.media.reader import open_reader

SIZE, FRAMES = (96, 64), 6
INSIDE, EDGE, OUTSIDE = (32, 26), (32, 40), (60, 90)  # of the disc in soft()


def soft(width, height, number):
    """A red disc that fades towards its border, on black: the tiny bundle's alpha is its red."""
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.rint(250 * np.clip((24 - np.hypot(y - height / 2, x - width / 4)) / 16, 0, 1))
    return image


@pytest.fixture
def source(make_video, tmp_path):
    return make_video(tmp_path / "in.mkv", size=SIZE, pts=range(FRAMES), codec="ffv1", pixel_format="bgr0", draw=soft)


def decode(path, pixel_format):
    """The stored frames, with alpha where there is one, and the stream's codec context."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        # FFmpeg's own VP9 decoder drops alpha, the one of libvpx keeps it.
        vp9 = stream.codec_context.name == "vp9"
        decoder = av.CodecContext.create("libvpx-vp9", "r") if vp9 else stream.codec_context
        frames = [f for p in container.demux(stream) for f in decoder.decode(p if p.size else None)]
        return [frame.to_ndarray(format=pixel_format) for frame in frames], stream.codec_context, frames[0]


@pytest.mark.parametrize(
    ("name", "options", "codec", "pixels", "tolerance"),
    [
        ("o.mov", [], "prores", "yuva444p12le", 0.002),
        ("o.webm", [], "vp9", "yuva420p", 0.03),
        ("o.mkv", [], "ffv1", "bgra", 0.0021),
        ("o.mkv", ["--depth", 16], "ffv1", "gbrap16le", 0.0003),
        ("o.mkv", ["--codec", "vp9"], "vp9", "yuva420p", 0.03),
    ],
)
def test_cut_outs_keep_alpha_in_every_codec(vmfm, source, tmp_path, name, options, codec, pixels, tolerance):
    assert vmfm("recomposite", source, "-o", name, "--alpha", "a/%03d.exr", *options)[0] == 0
    stored, context, first = decode(tmp_path / name, "rgba64le")
    assert (context.codec.canonical_name, first.format.name, len(stored)) == (codec, pixels, FRAMES)
    with av.open(str(tmp_path / "a" / "000.exr")) as exr:
        truth = exr_values(next(exr.decode(video=0)))[0]
    alpha = stored[0][..., 3] / 65535
    assert np.abs(alpha - truth).mean() <= tolerance
    assert 0.1 < truth[EDGE] < 0.9
    assert alpha[INSIDE] > 0.95 and alpha[OUTSIDE] < 0.02
    red = stored[0][..., 0].astype(float) / 65535
    assert red[EDGE] > truth[EDGE] + 0.1  # straight: the foreground's own red, less dimmed than by alpha


def exr_values(frame):
    """Planes of half floats as (H, W) each: grey, or green, blue, red and alpha."""
    return [
        np.frombuffer(plane, np.float16).reshape(plane.height, -1)[:, : plane.width].astype(np.float32)
        for plane in frame.planes
    ]


@pytest.mark.parametrize("name", ["o.mov", "o.mkv", "o/%04d.png", "o/%04d.tif"])
def test_premultiplied_cut_outs_hold_colours_times_alpha(vmfm, source, tmp_path, name):
    def look(folder):
        path = tmp_path / folder / name
        if "%" not in name:
            return decode(path, "rgba64le")[0][0] / 65535
        stored = cv2.imread(str(path.with_name(path.name % 0)), cv2.IMREAD_UNCHANGED)
        return stored[..., [2, 1, 0, 3]] / np.iinfo(stored.dtype).max

    assert vmfm("recomposite", source, "-o", f"straight/{name}", "--depth", 16)[0] == 0
    assert vmfm("recomposite", source, "-o", f"product/{name}", "--depth", 16, "--premultiplied")[0] == 0
    straight, product = look("straight"), look("product")
    np.testing.assert_allclose(product[..., 3], straight[..., 3], atol=0.002)
    np.testing.assert_allclose(product[..., :3], straight[..., :3] * straight[..., 3:], atol=0.02)


def test_exr_holds_light_times_alpha(vmfm, source, tmp_path):
    assert vmfm("recomposite", source, "-o", "o/%04d.exr", "--alpha", "a/%04d.png", "--depth", 16)[0] == 0
    assert len(list((tmp_path / "o").iterdir())) == FRAMES
    with av.open(str(tmp_path / "o" / "0003.exr")) as exr:
        _, _, red, alpha = exr_values(next(exr.decode(video=0)))
    png = cv2.imread(str(tmp_path / "a" / "0003.png"), cv2.IMREAD_UNCHANGED) / 65535
    np.testing.assert_allclose(alpha, png, atol=0.001)
    assert red[INSIDE] == pytest.approx(((250 / 255 + 0.055) / 1.055) ** 2.4 * alpha[INSIDE], abs=0.03)


@pytest.mark.parametrize(
    ("name", "options", "pixels", "tolerance"),
    [
        ("a.mkv", [], "gray", 0.5 / 255),
        ("a.mkv", ["--depth", 16], "gray16le", 0.5 / 65535),
        ("a.mov", [], "yuv422p10le", 2 / 1023),
        ("a.mp4", ["--depth", 10], "yuv420p10le", 0.01),
        ("a.mp4", [], "yuv420p", 0.01),
        ("a.webm", [], "yuv420p", 0.02),
    ],
)
def test_mattes_are_grey_with_white_for_one(vmfm, source, tmp_path, name, options, pixels, tolerance):
    assert vmfm("recomposite", source, "--alpha", name, *options)[0] == 0
    assert vmfm("recomposite", source, "--alpha", "png", "--depth", 16)[0] == 0
    truth = cv2.imread(str(tmp_path / "png" / "000002.png"), cv2.IMREAD_UNCHANGED) / 65535
    _, context, first = decode(tmp_path / name, "gray16le")
    assert first.format.name == pixels
    with av.open(str(tmp_path / name)) as container:
        frame = list(container.decode(video=0))[2]
    plane, ten = frame.planes[0], "10" in pixels
    values = np.frombuffer(plane, np.uint8 if pixels in ("gray", "yuv420p") else np.uint16)
    values = values.reshape(plane.height, -1)[:, : plane.width].astype(float)
    zero, one = (64, 940) if ten else (16, 235) if pixels == "yuv420p" else (0, 255 if pixels == "gray" else 65535)
    stored = (values - zero) / (one - zero)
    assert np.abs(stored - truth).mean() <= tolerance
    assert context.color_range == (2 if "gray" in pixels else 1)


@pytest.mark.parametrize(
    ("codec", "suffix", "depth", "pixels"),
    [
        ("h264", ".mkv", 10, "yuv420p10le"), ("hevc", ".mp4", 8, "yuv420p"), ("hevc", ".mkv", 10, "yuv420p10le"),
        ("av1", ".webm", 10, "yuv420p10le"), ("vp9", ".mkv", 8, "yuv420p"), ("prores", ".mov", 8, "yuv422p10le"),
        ("ffv1", ".mkv", 8, "bgr0"),
    ],
)  # fmt: skip
def test_pictures_in_every_codec(vmfm, make_video, look, tmp_path, codec, suffix, depth, pixels):
    source = make_video(tmp_path / "in.mp4", size=(128, 96), pts=range(FRAMES))
    options = ["--codec", codec, "--depth", depth, "--background", "#00FF00"]
    assert vmfm("recomposite", source, "-o", f"o{suffix}", *options)[0] == 0
    with open_reader(tmp_path / f"o{suffix}") as reader:
        frames = list(reader)
    assert len(frames) == FRAMES
    assert np.abs(frames[2].image[48, 36].astype(int) - (250, 0, 0)).max() < 30
    assert np.abs(frames[2].image[90, 120].astype(int) - (0, 255, 0)).max() < 12
    _, context, first = decode(tmp_path / f"o{suffix}", "rgb24")
    assert (context.codec.canonical_name, first.format.name) == (codec, pixels)
    assert context.codec_tag == "hvc1" or (codec, suffix) != ("hevc", ".mp4")


def test_a_lower_quality_makes_a_smaller_file(vmfm, make_video, tmp_path):
    source = make_video(tmp_path / "in.mp4", size=(160, 96))
    for quality in (10, 45):
        args = ["-o", f"{quality}.mp4", "--background", "blur", "--quality", quality]
        assert vmfm("recomposite", source, *args)[0] == 0
    assert (tmp_path / "45.mp4").stat().st_size < (tmp_path / "10.mp4").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "o.mp4", "--codec", "prores", "--background", "blur"], "hold no prores here: name the output .mov"),
        (["-o", "o.mov", "--codec", "h264"], "h264 holds no transparency"),
        (["-o", "o.mp4", "--codec", "mp3", "--background", "blur"], "codec 'mp3' is not known"),
    ],
)
def test_what_does_not_go_together_is_told(vmfm, source, tmp_path, arguments, words):
    status, _, err = vmfm("recomposite", source, *arguments)
    assert status == 1
    assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


@pytest.mark.parametrize("arguments", [["--depth", 12], ["--quality", 60]])
def test_numbers_out_of_range_are_usage_errors(vmfm, source, arguments):
    assert vmfm("recomposite", source, "--alpha", "a", *arguments)[0] == 2


@pytest.mark.parametrize(("suffix", "depth"), [(".mp4", 8), (".mov", 10), (".mkv", 10), (".webm", 8)])
def test_ten_bits_full_range_and_matrix_come_out_right(vmfm, make_video, tmp_path, suffix, depth):
    """A grey ramp of a 10-bit full-range BT.709 file, at a size for which players assume BT.601."""
    from av.video.reformatter import ColorRange

    def ramp(width, height, number):
        image = np.zeros((height, width, 3), np.uint8)
        image[..., 0], image[..., 2] = 250, np.linspace(0, 255, width).astype(np.uint8)
        return image

    def full(image):
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        return frame.reformat(format="yuv444p10le", dst_colorspace=1, dst_color_range=ColorRange.JPEG)

    def tag(stream):
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, ColorRange.JPEG

    source = make_video(
        tmp_path / "in.mp4",
        size=(256, 64),
        pts=range(3),
        pixel_format="yuv444p10le",
        draw=ramp,
        convert=full,
        prepare=tag,
    )
    with open_reader(source) as reader:
        before = next(iter(reader)).image
    assert np.abs(before.astype(int) - ramp(256, 64, 0)).mean() < 2
    args = ["--background", "#FA0000", "--depth", depth]
    assert vmfm("recomposite", source, "-o", f"o{suffix}", *args)[0] == 0
    with open_reader(tmp_path / f"o{suffix}") as reader:
        after = next(iter(reader)).image
        assert reader.info.colour.matrix == 1
    assert np.abs(after[..., 0].astype(int) - 250).mean() < 4


def pq(nits):
    """SMPTE ST 2084 code values in [0, 1]."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = (nits / 10000) ** m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


@pytest.mark.parametrize(
    ("transfer", "codes", "wanted"),
    [
        (16, [pq(n) for n in (0.0, 20, 100, 1000)], [0, 97, 190, 255]),
        (18, [0, 0.25, 0.5, 0.75], [0, 72, 143, 245]),
    ],
    ids=["PQ", "HLG"],
)
def test_hdr_is_mapped_to_an_ordinary_screen_and_told(vmfm, make_video, tmp_path, transfer, codes, wanted):
    """Greys in four columns; wanted: as BT.1886 shows that light, with 203 cd/m2 near its white."""

    def tag(stream):
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 9, 9, transfer

    def columns(image):
        frame = av.VideoFrame(128, 64, "yuv420p10le")
        levels = np.rint(64 + 876 * np.repeat(codes, 32)).astype(np.uint16)
        for plane, value in zip(frame.planes, (levels, 512, 512), strict=True):
            np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width] = value
        return frame

    source = make_video(
        tmp_path / "in.mkv", size=(128, 64), pts=range(4), pixel_format="yuv420p10le", codec="libx265",
        prepare=tag, convert=columns,
    )  # fmt: skip
    with open_reader(source) as reader:
        image = next(iter(reader)).image[32, 16::32].astype(int)
    assert np.abs(image - np.array(wanted)[:, None]).max() <= 4
    status, _, err = vmfm("recomposite", source, "-o", "o.mp4", "--background", "#FFFFFF")
    assert status == 0
    assert "HDR, mapped to the colours of an ordinary screen" in err
    with open_reader(tmp_path / "o.mp4") as reader:
        assert (reader.info.colour.transfer, reader.info.colour.primaries, reader.info.was_hdr) == (1, 1, False)


def test_without_a_gpu_hardware_falls_back_with_a_word(vmfm, source, tmp_path, look):
    encoding, note = working(choose_encoding(".mp4", "picture", Storing(hardware=True)), *SIZE)
    status, _, err = vmfm("recomposite", source, "-o", "o.mp4", "--background", "blur", "--hardware")
    assert status == 0
    assert "decoded " in err and f"o.mp4 is {note}" in err
    if encoding.encoder == CODECS["h264"].encoder.name:
        assert "encoded on the CPU by libx264" in note
    assert len(look.times(tmp_path / "o.mp4")) == FRAMES
