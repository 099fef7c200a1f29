import os
from fractions import Fraction

import av
import numpy as np
import pytest
from vmfm.apps.media.atomic import filling
from vmfm.apps.media.encodings import Storing, choose_encoding
from vmfm.apps.media.errors import WriteError
from vmfm.apps.media.frames import Frame, MediaInfo
from vmfm.apps.media.images import write_image
from vmfm.apps.media.reader import open_reader
from vmfm.apps.media.writer import FolderWriter, open_joiner_into, open_part, open_writer, reserve


def copy(source, target, **options):
    with open_reader(source) as reader, open_writer(target, reader.info, **options) as writer:
        for frame in reader:
            writer.write(frame.image, frame)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".m4v"])
def test_times_survive(make_video, look, tmp_path, suffix):
    source = make_video(tmp_path / "in.mkv", pts=[0, 40, 45, 120, 121, 300, 900], time_base=Fraction(1, 1000))
    target = tmp_path / f"out{suffix}"
    copy(source, target)
    np.testing.assert_allclose(look.times(target), look.times(source), atol=1e-3)


def test_a_late_start_survives(make_video, look, tmp_path):
    source = make_video(tmp_path / "in.mp4", pts=range(24, 36), sound="aac")
    copy(source, tmp_path / "out.mp4", tracks_from=source)
    assert look.times(tmp_path / "out.mp4") == look.times(source)


@pytest.mark.parametrize(
    ("sound", "source", "target"),
    [("aac", ".mp4", ".mp4"), ("aac", ".mp4", ".mkv"), ("libopus", ".mkv", ".webm"), ("libmp3lame", ".mov", ".mp4"),
     ("pcm_s16le", ".mov", ".mov"), ("flac", ".mkv", ".mkv")],
)  # fmt: skip
def test_sound_is_copied_packet_by_packet(make_video, look, tmp_path, sound, source, target):
    source = make_video(tmp_path / f"in{source}", pts=range(48), sound=sound)
    target = tmp_path / f"out{target}"
    copy(source, target, tracks_from=source)
    before, after = look.sound_packets(source), look.sound_packets(target)
    assert len(before) > 20
    assert b"".join(data for _, data in after) == b"".join(data for _, data in before)
    # Matroska has no times below zero: sound that starts before the pictures moves everything by that.
    shift = look.times(target)[0] - look.times(source)[0]
    if target.suffix in (".mp4", ".mov"):
        assert shift == 0
    if sound != "pcm_s16le":  # raw samples are handed out in packets of the reader's choice
        assert [at - shift for at, _ in after] == pytest.approx([at for at, _ in before], abs=2e-3)


def test_sound_that_the_container_cannot_hold_is_refused(make_video, tmp_path):
    source = make_video(tmp_path / "in.mp4", sound="aac")
    with pytest.raises(WriteError, match="webm files cannot hold the aac sound.*--no-audio"):
        copy(source, tmp_path / "out.webm", tracks_from=source)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("size", [(320, 180), (1280, 720)])
def test_colours_survive_and_are_tagged(tmp_path, size):
    info = MediaInfo(*size, is_video=True)
    colours = [(200, 40, 90), (255, 0, 0), (16, 240, 30), (255, 255, 255), (0, 0, 0), (128, 128, 128)]
    path = tmp_path / "out.mp4"
    with open_writer(path, info) as writer:
        for index, colour in enumerate(colours):
            writer.write(np.full((size[1], size[0], 3), colour, np.uint8), Frame(np.empty(0), index, index, 1))
    with open_reader(path) as reader:
        for frame, colour in zip(reader, colours, strict=True):
            assert np.abs(frame.image.astype(int) - colour).max() <= 4
        assert reader.info.colour.matrix == (1 if size[1] >= 720 else 6)


@pytest.mark.parametrize("size", [(63, 47), (1, 1), (64, 47)])
def test_odd_sizes_repeat_the_last_row_or_column(make_video, look, tmp_path, size):
    source = make_video(tmp_path / "in.mkv", size=size, codec="ffv1", pixel_format="bgr0")
    copy(source, tmp_path / "out.mp4")
    picture = look.pictures(tmp_path / "out.mp4")[0]
    assert picture.shape[:2] == (size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert np.abs(picture[: size[1], : size[0]].astype(int) - look.draw(*size, 0)).mean() < 15


def test_anamorphic_pixels_stay_anamorphic(make_video, tmp_path):
    def squeeze(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    copy(make_video(tmp_path / "in.mp4", prepare=squeeze), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize("suffix", [".mov", ".webm", ".mkv"])
def test_transparent_videos_keep_alpha(tmp_path, suffix):
    rgba = np.zeros((48, 64, 4), np.uint8)
    rgba[..., 0], rgba[:, 32:, 3], rgba[:24, 32:, 3] = 200, 255, 128
    path = tmp_path / f"out{suffix}"
    with open_writer(path, MediaInfo(64, 48, is_video=True), choose_encoding(suffix, "cut-out", Storing())) as writer:
        for index in range(5):
            writer.write(rgba, Frame(rgba, index, index, 1))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        # FFmpeg's own VP9 decoder drops alpha, the one of libvpx keeps it.
        decoder = av.CodecContext.create("libvpx-vp9", "r") if suffix == ".webm" else stream.codec_context
        frames = [
            frame for packet in container.demux(stream) for frame in decoder.decode(packet if packet.size else None)
        ]
    alpha = frames[2].to_ndarray(format="rgba")[..., 3]
    assert len(frames) == 5
    assert np.abs(alpha.astype(int) - rgba[..., 3]).mean() < 4


def test_the_index_of_an_mp4_comes_first(make_video, tmp_path):
    copy(make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "mattes"])
def test_nothing_is_left_when_the_work_breaks_off(make_video, tmp_path, name):
    source = make_video(tmp_path / "in.mp4")

    def break_off():
        with open_reader(source) as reader, open_writer(tmp_path / name, reader.info) as writer:
            for frame in reader:
                writer.write(frame.image, frame)
                if frame.index == 5:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_an_older_result_stays_when_the_work_breaks_off(tmp_path):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"older")
    with pytest.raises(ZeroDivisionError), open_writer(target, MediaInfo(64, 48, is_video=True)):
        raise ZeroDivisionError
    assert target.read_bytes() == b"older"


def test_a_folder_gets_numbered_pngs_and_keeps_what_it_has(make_video, tmp_path):
    folder = tmp_path / "mattes"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    copy(make_video(tmp_path / "in.mp4"), folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"{index:06d}.png" for index in range(12)] + ["notes.txt"]


def test_a_target_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot write"), open_writer(tmp_path / "file" / "out.mp4", MediaInfo(2, 2)):
        pass


def test_a_folder_that_is_there_is_filled_from_within(make_video, vmfm, tmp_path, monkeypatch):
    """It may be a disk of its own, which a file cannot be moved to in one go; and the folder around it may be locked."""
    source, mattes = make_video(tmp_path / "in.mp4", pts=range(3)), tmp_path / "mattes"
    mattes.mkdir()
    seen, write = [], FolderWriter.write

    def spy(self, image, frame):
        seen.extend(path for path in tmp_path.iterdir() if path not in (source, mattes))
        write(self, image, frame)

    monkeypatch.setattr(FolderWriter, "write", spy)
    for more in ([], ["--overwrite", "--resume"]):
        status, _, err = vmfm("recomposite", source, "--alpha", "mattes/", *more)
        assert status == 0, err
        assert not seen
        assert sorted(path.name for path in mattes.iterdir()) == [f"{number:06}.png" for number in range(3)]


def test_an_image_that_its_format_cannot_hold_is_told(tmp_path):
    with pytest.raises(WriteError, match="17000x4 .webp"):
        write_image(tmp_path / "wide.webp", np.zeros((4, 17000, 4), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", [False, True])
def test_what_a_killed_process_of_the_same_number_left_is_no_obstacle(make_video, vmfm, tmp_path, there):
    source, mattes = make_video(tmp_path / "in.mp4", pts=range(3)), tmp_path / "mattes"
    left = (mattes / f".frames.partial-{os.getpid()}") if there else tmp_path / f".mattes.partial-{os.getpid()}"
    left.mkdir(parents=True)
    (left / "000009.png").touch()
    status, _, err = vmfm("recomposite", source, "--alpha", "mattes")
    assert status == 0, err
    assert sorted(path.name for path in mattes.iterdir()) == [f"{number:06}.png" for number in range(3)]


@pytest.mark.parametrize(
    ("suffix", "content", "codec"),
    [
        (".mp4", "picture", None),
        (".mp4", "picture", "av1"),
        (".webm", "picture", None),
        (".webm", "cut-out", None),
        (".mov", "cut-out", None),
        (".mov", "matte", None),
        (".mkv", "matte", None),
    ],
)
def test_parts_that_are_joined_are_what_is_written_at_once(tmp_path, suffix, content, codec):
    info = MediaInfo(64, 48, is_video=True, time_base=Fraction(1, 24), fps=Fraction(24), sample_aspect=Fraction(4, 3))
    encoding = choose_encoding(suffix, content, Storing(codec=codec))
    channels = {"picture": (3,), "cut-out": (4,), "matte": ()}[content]
    frames = [Frame(np.full((48, 64, *channels), 20 * n, np.uint8), n, n, 1) for n in range(9)]

    def write(writer, some):
        for frame in some:
            writer.write(frame.image, frame)

    once, joined = tmp_path / f"once{suffix}", tmp_path / f"joined{suffix}"
    with open_writer(once, info, encoding) as writer:
        write(writer, frames)
    with reserve(joined, info) as partial, open_joiner_into(partial, joined, info) as joiner:
        for first in (0, 4):
            part = tmp_path / f"part{first}{suffix}"
            with open_part(part, joined, info, encoding, first) as writer:
                write(writer, frames[first : first + 4] if first == 0 else frames[first:])
            joiner.append(part, first)
    facts = []
    for path in (once, joined):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            words = {key.lower(): word for key, word in stream.metadata.items()}
            facts.append(
                (
                    stream.codec_context.name, stream.codec_context.codec_tag, stream.sample_aspect_ratio,
                    words.get("alpha_mode"), [round(frame.time, 3) for frame in container.decode(stream)],
                )
            )  # fmt: skip
    assert facts[0] == facts[1]
    assert len(facts[0][-1]) == 9 and (facts[0][-2] == "1") == (suffix == ".webm" and content == "cut-out")


def test_a_new_folder_is_there_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    def interrupted(*paths):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), filling(tmp_path / "mattes") as folder:
        (folder / "0.png").write_bytes(b"")
        monkeypatch.setattr("vmfm.apps.media.atomic.os.replace", interrupted)
    assert not list(tmp_path.iterdir())


def test_fewer_images_stand_instead_of_more_and_nothing_else_goes(tmp_path):
    info = MediaInfo(8, 6, is_video=True)

    def write(path, count):
        with open_writer(path, info) as writer:
            for number in range(count):
                writer.write(np.zeros((6, 8, 3), np.uint8), Frame(np.zeros((6, 8, 3), np.uint8), number))

    for other in ("notes.txt", "other_0003.png", "o_3.png", "o_00003.png"):
        (tmp_path / other).write_bytes(b"mine")
    kept = {path.name for path in tmp_path.iterdir()}
    write(tmp_path / "o_%04d.png", 5)
    write(tmp_path / "o_%04d.png", 2)
    assert {path.name for path in tmp_path.iterdir()} == kept | {"o_0000.png", "o_0001.png"}
    write(tmp_path / "mattes", 5)
    (tmp_path / "mattes" / "readme.txt").write_bytes(b"mine")
    write(tmp_path / "mattes", 2)
    assert {path.name for path in (tmp_path / "mattes").iterdir()} == {"000000.png", "000001.png", "readme.txt"}
