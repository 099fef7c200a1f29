"""The frames of a clip, there and back, and at any time: the same as from its start on."""

from fractions import Fraction

import numpy as np
import pytest
from vmfm.apps.studio.clip import Clip


def with_key_frames(stream):
    stream.codec_context.gop_size = 30


@pytest.fixture(params=["even", "uneven", "long, and its sound begins earlier"])
def clip(request, make_video, tmp_path):
    options = {
        "even": {},
        "uneven": {"pts": (0, 40, 45, 120, 121, 300, 900, 1500), "time_base": Fraction(1, 1000)},
    }.get(request.param, {"pts": range(12, 132), "sound": "aac", "prepare": with_key_frames})
    clip = Clip(make_video(tmp_path / "c.mkv", **options))
    yield clip
    clip.close()


def test_there_and_back(clip):
    forward = [clip.frame]
    while (frame := clip.step()) is not None:
        forward.append(frame)
    for frame in reversed(forward[:-1]):
        back = clip.step_back()
        assert back.seconds == pytest.approx(frame.seconds)
        assert np.array_equal(back.image, frame.image)
    assert clip.step_back().seconds == 0


def test_the_frame_shown_at_a_time(clip):
    times = [clip.frame.seconds]
    while (frame := clip.step()) is not None:
        times.append(frame.seconds)
    for at in (times[-1], times[3] + 0.0005, times[0], times[-2] + 1e-4, times[5], times[2]):
        assert clip.go_to(at).seconds == pytest.approx(max(t for t in times if t <= at + 1e-6))
