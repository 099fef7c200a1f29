import gc
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from vmfm.apps.media import backgrounds
from vmfm.apps.media.backgrounds import cover_fit, looped, open_background
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.frames import Frame
from vmfm.runtime import Over


def frame_at(seconds, size=(48, 64)):
    return Frame(np.full((*size, 3), 100, np.uint8), seconds=seconds)


def behind(text, *frames):
    with open_background(text) as background:
        return [background.behind(frame).copy() for frame in frames]


def write_levels(path, fps, levels):
    """A video of one grey frame per level."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        stream.time_base = stream.codec_context.time_base = 1 / fps
        for number, level in enumerate(levels):
            picture = av.VideoFrame.from_ndarray(np.full((24, 32, 3), level, np.uint8), "rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def test_a_colour_fills_frames_of_any_size():
    small, large = behind("#FF8000", frame_at(0, (1, 1)), frame_at(1, (30, 20)))
    assert small.tolist() == [[[255, 128, 0]]]
    assert large.shape == (30, 20, 3)
    assert (large == (255, 128, 0)).all()


def test_an_image_covers_and_is_cropped_around_its_centre():
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 200
    np.testing.assert_array_equal(cover_fit(image, 100, 100), np.full((100, 100, 3), 200, np.uint8))
    assert cover_fit(image, 50, 150).shape == (50, 150, 3)
    assert cover_fit(image[:1, :1], 70, 31).shape == (70, 31, 3)
    assert cover_fit(image, 1, 8000).shape == (1, 8000, 3)


def test_an_image_file_is_read_once_and_fitted(tmp_path):
    path = tmp_path / "sea.png"
    cv2.imwrite(str(path), np.full((10, 10, 3), (0, 0, 255), np.uint8))
    (fitted,) = behind(str(path), frame_at(0))
    assert fitted.shape == (48, 64, 3)
    assert (fitted == (255, 0, 0)).all()


@pytest.fixture
def clock(tmp_path):
    """A video of 5 frames, 0.2 s each; frame n is grey of level 40 n."""
    return write_levels(tmp_path / "clock.mkv", Fraction(5), range(0, 200, 40))


def test_a_video_is_chosen_by_time_and_loops(clock):
    asked = [0, 0.1, 0.21, 0.35, 0.85, 0.99, 1.01, 1.45, 3.3]
    levels = [int(picture[0, 0, 0]) for picture in behind(str(clock), *map(frame_at, asked))]
    assert levels == [0, 0, 40, 40, 160, 160, 0, 80, 40]


@pytest.mark.parametrize("seconds", [7.3, 3600.5, 86400.9])
def test_what_is_far_is_searched_not_run_through(clock, monkeypatch, seconds):
    """Another background was shown for hours, or people leap in the studio."""
    passed = []

    class Counted(backgrounds.ImageBackground):
        def __init__(self, image):
            passed.append(image)
            super().__init__(image)

    monkeypatch.setattr(backgrounds, "ImageBackground", Counted)
    levels = [int(picture[0, 0, 0]) for picture in behind(str(clock), *map(frame_at, (0, seconds, 0.3)))]
    assert levels == [0, 40 * int(seconds % 1 / 0.2 + 1e-6), 40]
    assert len(passed) < 12


def test_of_a_long_video_the_place_is_found(make_video, tmp_path):
    film = make_video(
        tmp_path / "film.mp4", pts=range(24 * 20),
        draw=lambda width, height, number: np.full((height, width, 3), number // 2, np.uint8),
    )  # fmt: skip
    for seconds in (0.5, 3.0, 13.77, 19.99, 33.77):
        (picture,) = behind(str(film), frame_at(seconds))
        assert abs(int(picture[0, 0, 0]) - int(seconds % 20 * 24) // 2) <= 1


def test_a_video_that_breaks_off_says_so_until_it_starts_anew(make_video, tmp_path):
    whole = make_video(tmp_path / "whole.mkv", pts=range(200), size=(160, 120)).read_bytes()
    (tmp_path / "half.mkv").write_bytes(whole[: len(whole) // 2])
    with open_background(str(tmp_path / "half.mkv")) as background:
        assert background.behind(frame_at(0)) is not None
        for seconds in (7.5, 7.5, 7.6):
            with pytest.raises(ReadError, match="half.mkv"):
                background.behind(frame_at(seconds))
        assert background.behind(frame_at(0.1)) is not None


def test_a_video_starts_anew_for_the_next_clip(clock):
    levels = [int(picture[0, 0, 0]) for picture in behind(str(clock), frame_at(0.9), frame_at(0), frame_at(0.3))]
    assert levels == [160, 0, 40]


def test_a_video_of_one_frame_is_a_still(make_video, tmp_path):
    path = make_video(tmp_path / "one.mp4", pts=[0])
    first, later = behind(str(path), frame_at(0), frame_at(1e6))
    np.testing.assert_array_equal(first, later)


def test_the_same_picture_is_the_same_array(clock, tmp_path):
    """By which a stream knows that it has it already."""
    cv2.imwrite(str(tmp_path / "sea.png"), np.zeros((10, 10, 3), np.uint8))
    for text, pictures in (("#123456", 1), (str(tmp_path / "sea.png"), 1), (str(clock), 2)):
        with open_background(text) as background:
            shown = [background.behind(frame_at(seconds)) for seconds in (0, 0.05, 0.1, 0.21, 0.3)]
        assert len({id(picture) for picture in shown}) == pictures


@pytest.mark.parametrize(("text", "radius_px"), [("blur", None), ("blur:3", 3), ("blur:0.25", 0.25)])
def test_blur_is_left_to_the_stream(text, radius_px):
    with open_background(text) as background:
        assert background.over == Over(blur=True, radius_px=radius_px)
        assert background.behind(frame_at(0)) is None


@pytest.mark.parametrize(
    "text", ["#12345", "#GGGGGG", "blur:", "blur:x", "blur:-3", "nowhere.jpg", "nowhere.mp4", "red"]
)
def test_what_is_no_background_is_refused(text):
    with pytest.raises(ReadError, match=text.replace("#", ".")), open_background(text):
        pass


def test_a_video_looped_for_hours_keeps_no_frames(make_video, tmp_path):
    frames = looped(make_video(tmp_path / "clip.mp4", pts=range(3)))
    gc.collect()
    gc.disable()  # which comes by after so many objects, not after so many bytes
    try:
        for _ in range(3 * 20):
            next(frames)
        held = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    finally:
        gc.enable()
        frames.close()
    assert held < 10


def test_a_video_whose_sound_is_longer_loops_by_its_pictures_wherever_it_is_entered(make_video, tmp_path):
    """Else a resumed job would go on with another picture than it stopped at."""
    whole = make_video(
        tmp_path / "whole.mkv", pts=range(36), sound="aac", prepare=lambda stream: setattr(stream.codec_context, "max_b_frames", 0)
    )  # fmt: skip
    film = tmp_path / "film.mkv"
    with av.open(str(whole)) as source, av.open(str(film), "w") as target:
        tracks = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size and (packet.stream.type == "audio" or packet.pts * packet.time_base < 1):
                packet.stream = tracks[packet.stream]
                target.mux(packet)
    times = [0.5 * n for n in range(60)]
    run_through = behind(str(film), *map(frame_at, times))
    for place in (7, 31, 58):
        (entered,) = behind(str(film), frame_at(times[place]))
        assert np.array_equal(entered, run_through[place])


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(30)])
def test_behind_a_clip_of_its_rate_every_frame_is_shown_once(tmp_path, fps):
    """Matroska rounds its times to milliseconds, up for some."""
    path = write_levels(tmp_path / "numbers.mkv", fps, range(30))
    shown = behind(str(path), *(frame_at(float(number / fps), (2, 2)) for number in range(30)))
    assert [int(picture[0, 0, 0]) for picture in shown] == list(range(30))
