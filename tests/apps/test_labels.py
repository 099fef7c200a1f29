"""What editors find their place by: chapters and timecode."""

from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.apps.media.timecode import Timecode

NTSC = Fraction(30000, 1001)
RATES = [Fraction(24), Fraction(24000, 1001), Fraction(25), NTSC, Fraction(60000, 1001), Fraction(120)]
TITLES = [("before", 0, 250), ("during", 250, 500)]  # in milliseconds


def label(container):
    container.metadata["timecode"] = "01:00:00:10"
    container.set_chapters(
        [
            {"id": n, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
            for n, (title, start, end) in enumerate(TITLES)
        ]
    )


def chapters(path):
    """(title, start, end) in seconds."""
    with av.open(str(path)) as container:
        return [
            (chapter["metadata"]["title"], *(float(chapter[edge] * chapter["time_base"]) for edge in ("start", "end")))
            for chapter in container.chapters()
        ]


def timecode(path):
    with av.open(str(path)) as container:
        told = container.streams.video[0].metadata | {k.lower(): v for k, v in container.metadata.items()}
        return told["timecode"]


@pytest.mark.parametrize("more", [(), ("--resume",)], ids=["at-once", "resumable"])
@pytest.mark.parametrize(
    ("name", "target"), [("in.mov", "o.mp4"), ("in.mp4", "o.mkv"), ("in.mkv", "o.mov"), ("in.mkv", "o.webm")]
)
def test_chapters_and_timecode_are_copied(vmfm, make_video, tmp_path, name, target, more):
    source = make_video(tmp_path / name, label=label)
    status, _, err = vmfm("recomposite", source, "-o", target, "--background", "#00FF00", "--alpha", "matte.mov", *more)
    assert status == 0, err
    assert "without" not in err
    found = chapters(tmp_path / target)
    assert [title for title, *_ in found] == ["before", "during"]
    assert [edge for _, *edges in found for edge in edges] == pytest.approx([0, 0.25, 0.25, 0.5], abs=1e-3)
    assert timecode(tmp_path / target) == timecode(tmp_path / "matte.mov") == "01:00:00:10"
    with av.open(str(tmp_path / target)) as container:
        # MP4 and MOV hold the titles as a track of text, which is not to come twice, nor to be shown
        assert len(container.streams.subtitles) == (target in ("o.mp4", "o.mov"))


def test_of_a_cut_there_are_the_chapters_and_the_timecode_of_its_span(vmfm, make_video, tmp_path):
    source = make_video(tmp_path / "in.mkv", pts=range(24), label=label)
    status, _, err = vmfm("recomposite", source, "-o", "o.mkv", "--background", "#00FF00", "--start", "0.375")
    assert status == 0, err
    assert [title for title, *_ in chapters(tmp_path / "o.mkv")] == ["during"]
    assert chapters(tmp_path / "o.mkv")[0][1:] == pytest.approx((0, 0.125), abs=1e-3)
    assert timecode(tmp_path / "o.mkv") == "01:00:00:19"  # nine frames of 24 a second later


def test_subtitles_beside_chapters_are_copied(vmfm, make_video, tmp_path):
    source = make_video(tmp_path / "in.mp4", label=label, subtitles=["mov_text"])
    status, _, err = vmfm("recomposite", source, "-o", "o.mkv", "--background", "#00FF00")
    assert status == 0
    assert "without its mov_text subtitles" in err
    assert [title for title, *_ in chapters(tmp_path / "o.mkv")] == ["before", "during"]


@pytest.mark.parametrize(
    ("target", "told"), [("o.mkv", ""), ("o.mp4", "without its attached files, which .mkv can hold")]
)
def test_fonts_of_subtitles_are_kept_or_missed(vmfm, make_video, tmp_path, target, told):
    font = b"a font" * 100
    source = make_video(tmp_path / "in.mkv", label=lambda file: file.add_attachment("a.ttf", "font/ttf", font))
    status, _, err = vmfm("recomposite", source, "-o", target, "--background", "#00FF00")
    assert status == 0, err
    assert told in err and ("without" in err) == bool(told)
    with av.open(str(tmp_path / target)) as container:
        assert [file.data for file in container.streams.attachments] == ([] if told else [font])


@given(st.sampled_from(RATES), st.booleans(), st.data())
def test_a_timecode_is_read_as_it_is_written(fps, drop, data):
    drop = drop and round(fps) % 30 == 0 and fps.denominator != 1
    code = Timecode(data.draw(st.integers(0, 24 * 3600 * 20)), round(fps), drop)
    assert Timecode.parse(str(code), fps) == code
    assert Timecode.parse(str(code.later(1)), fps) == code.later(1)


@pytest.mark.parametrize(
    ("text", "fps", "frames", "later"),
    [
        ("00:00:59;29", NTSC, 1, "00:01:00;02"),  # numbers 0 and 1 are left out
        ("00:09:59;29", NTSC, 1, "00:10:00;00"),  # but not in every tenth minute
        ("00:59:59;59", Fraction(60000, 1001), 1, "01:00:00;00"),
        ("00:00:59;59", Fraction(60000, 1001), 1, "00:01:00;04"),
        ("00:00:00;00", NTSC, 107892, "01:00:00;00"),  # an hour of the clock, to 4 ms
        ("00:00:59:29", NTSC, 1, "00:01:00:00"),
        ("23:59:59:24", Fraction(25), 1, "00:00:00:00"),
        ("10:00:00:00", Fraction(25), 25 * 61, "10:01:01:00"),
    ],
)
def test_timecode_goes_on(text, fps, frames, later):
    assert str(Timecode.parse(text, fps).later(frames)) == later


@pytest.mark.parametrize("text", ["", "1:2:3:4", "00:00:00:25", "00:60:00:00", "00:00:61:00", "hello"])
def test_what_is_no_timecode_is_none(text):
    assert Timecode.parse(text, Fraction(25)) is None
