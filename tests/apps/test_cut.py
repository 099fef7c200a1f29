"""--start and --duration: which frames come out, when they are shown, and what of the sound goes with them."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.apps.media.cut import Cut, parse_fps, parse_seconds
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.frames import Mark
from vmfm.apps.media.reader import open_reader

VFR = [0, 40, 45, 120, 121, 300, 301, 302, 900, 1000, 1400, 1500]


@given(seconds=st.integers(0, 10**7).map(lambda ms: Fraction(ms, 1000)))
def test_a_time_may_be_written_in_several_ways(seconds):
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    for text in (f"{float(seconds):.3f}", f"{hours}:{minutes:02d}:{float(rest):06.3f}"):
        assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1:2:3:4", "1e3", "1:", "nan", "1,5"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(ReadError, match="HH:MM:SS"):
        parse_seconds(text)


def test_a_frame_rate_with_many_decimals_is_the_usual_one():
    assert parse_fps("23.976023976") == parse_fps("24000/1001") == Fraction(24000, 1001)


@pytest.mark.parametrize("text", ["", "x", "0", "-25", "1/0", "inf", "2000"])
def test_what_is_no_frame_rate_is_told(text):
    with pytest.raises(ReadError, match="frame rate"):
        parse_fps(text)


def in_groups(stream):
    """Of pictures that lean on one another, also on later ones where the codec knows such."""
    stream.codec_context.gop_size = 4
    if stream.codec_context.name == "mpeg4":
        stream.codec_context.max_b_frames = 2


def make(make_video, look, tmp_path, name, codec, times, **options):
    """A clip with several key frames, and all its frames as a reader gives them."""
    path = make_video(
        tmp_path / name, size=(64, 48), pts=times, time_base=Fraction(1, 1000), codec=codec,
        prepare=in_groups, **options,
    )  # fmt: skip
    with open_reader(path) as reader:
        return path, list(reader)


CLIPS = [
    ("in.mp4", "libx264"),
    ("in.mkv", "libx264"),
    ("in.webm", "libvpx-vp9"),
    ("in.ts", "libx264"),
    ("in.mov", "mpeg4"),
]


@pytest.mark.parametrize(("name", "codec"), CLIPS)
@pytest.mark.parametrize("late", [0, 2000])
def test_a_cut_holds_exactly_the_frames_of_its_time(make_video, look, tmp_path, name, codec, late):
    path, whole = make(make_video, look, tmp_path, name, codec, [late + 40 * n for n in range(40)])
    for first, count in ((0, 40), (1, 1), (7, 9), (8, 8), (23, 40), (39, 1)):
        cut = Cut(Fraction(40 * first, 1000), Fraction(40 * count, 1000))
        with open_reader(path, cut=cut) as reader:
            frames = list(reader)
            assert late or abs(reader.info.frames - len(frames)) <= 2  # an estimate
        wanted = whole[first : first + count]
        np.testing.assert_array_equal([f.image for f in frames], [f.image for f in wanted])
        shift = wanted[0].pts if first else 0
        assert [f.pts for f in frames] == [f.pts - shift for f in wanted]
        assert [f.index for f in frames] == list(range(len(wanted)))
        assert frames[0].seconds == 0


def test_a_cut_of_an_avi_holds_exactly_the_frames_of_its_time(make_video, tmp_path):
    """Its packets tell in which order they are decoded, not when they are shown."""
    path = make_video(tmp_path / "in.avi", pts=range(40), time_base=Fraction(1, 25), codec="mpeg4", prepare=in_groups)
    with open_reader(path) as reader:
        whole = list(reader)
    for first in range(1, 40, 5):
        with open_reader(path, cut=Cut(Fraction(first, 25))) as reader:
            frames = list(reader)
        np.testing.assert_array_equal([f.image for f in frames], [f.image for f in whole[first:]])


@pytest.mark.parametrize(("name", "codec"), CLIPS)
def test_a_reader_finds_its_place_again(make_video, look, tmp_path, name, codec):
    path, whole = make(make_video, look, tmp_path, name, codec, [40 * n for n in range(40)])
    for cut in (Cut(), Cut(Fraction(1, 2))):
        with open_reader(path, cut=cut) as reader:
            frames = list(reader)
        for at in (0, 1, 11, 12, len(frames) - 1):
            with open_reader(path, cut=cut) as reader:
                rest = list(reader.frames_from(Mark.of(frames[at])))
            assert [(f.index, f.pts) for f in rest] == [(f.index, f.pts) for f in frames[at:]]
            np.testing.assert_array_equal([f.image for f in rest], [f.image for f in frames[at:]])
    with open_reader(path) as reader, pytest.raises(ReadError, match="not what it was"):
        list(reader.frames_from(Mark(5, whole[5].pts, 0)))


def test_a_place_is_found_where_nothing_can_be_searched(make_video, look, tmp_path):
    """A raw stream has no times to search by."""
    path, frames = make(make_video, look, tmp_path, "in.h264", "libx264", [40 * n for n in range(20)])
    with open_reader(path) as reader:
        rest = list(reader.frames_from(Mark.of(frames[13])))
    np.testing.assert_array_equal([f.image for f in rest], [f.image for f in frames[13:]])


@pytest.mark.parametrize(("start", "duration", "kept"), [
    ("0.04", None, VFR[1:]), ("0.3", "0.6", [300, 301, 302]), ("0:00:00.9", "00:00:10", VFR[8:]), (None, "0.12", VFR[:3]),
])  # fmt: skip
def test_frames_of_any_rate_are_cut_with_their_sound(vmfm, make_video, look, tmp_path, start, duration, kept):
    source = make_video(tmp_path / "in.mp4", pts=VFR, time_base=Fraction(1, 1000), sound="aac")
    options = [*(["--start", start] if start else []), *(["--duration", duration] if duration else [])]
    assert vmfm("recomposite", source, "-o", "o.mp4", "--background", "#00FF00", *options)[0] == 0
    np.testing.assert_allclose(look.times(tmp_path / "o.mp4"), [(at - kept[0]) / 1000 for at in kept], atol=1e-6)
    for picture, at in zip(look.pictures(tmp_path / "o.mp4"), kept, strict=True):
        disc = 16 + 2 * VFR.index(at)
        assert np.abs(picture[24, disc].astype(int) - (250, 0, 0)).max() < 60
    begin = kept[0] / 1000
    end = None if duration is None else (float(parse_seconds(start or "0") + parse_seconds(duration)))
    wanted = [
        data for at, data in look.sound_packets(source)
        if (start is None or at >= begin - 1e-3) and (end is None or at < end - 1e-3)
    ]  # fmt: skip
    packets = look.sound_packets(tmp_path / "o.mp4")
    assert [data for _, data in packets] == wanted
    source_times = {data: at for at, data in look.sound_packets(source)}
    for at, data in packets:
        assert at == pytest.approx(source_times[data] - (begin if start else 0), abs=2e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--start", "9"], "no frame from 9 s on"),
        (["--start", "soon"], "'soon' is no time"),
        (["--duration", "0"], "holds no frame"),
    ],
)
def test_a_cut_that_holds_nothing_is_told(vmfm, make_video, tmp_path, options, words):
    source = make_video(tmp_path / "in.mp4")
    status, _, err = vmfm("recomposite", source, "--alpha", "a.mp4", *options)
    assert status == 1
    assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_subtitle_ends_where_the_cut_does(vmfm, make_video, tmp_path):
    source = make_video(tmp_path / "in.mkv", pts=range(12), subtitles=["subrip"])  # lines from 0.1 and 0.25 s, of 0.1 s
    status, _, err = vmfm(
        "recomposite", source, "-o", tmp_path / "o.mkv", "--duration", "0.3", "--background", "#000000"
    )
    assert status == 0, err
    with av.open(str(tmp_path / "o.mkv")) as container:
        packets = [packet for packet in container.demux(container.streams.subtitles) if packet.size]
        ends = [float((packet.pts + packet.duration) * packet.time_base) for packet in packets]
    assert ends == pytest.approx([0.2, 0.3], abs=0.002)
