"""What the studies of flicker and of edges measure, on clips and pictures worked out by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from vmfm.runtime.bundle import Bundle

GREY = np.full((20, 30, 3), 128, np.uint8)


def test_flicker_is_change_where_colour_stays(scripts) -> None:
    """The right third of the picture changes its colour, so what its alpha does there is no flicker."""
    moved = GREY.copy()
    moved[:, 20:] = 200
    clip = scripts.true_clips.TrueClip("by hand", [GREY, moved], [])
    before, after = np.zeros((20, 30), np.float32), np.full((20, 30), 0.1, np.float32)
    after[:, 22:] = 1
    found = scripts.steadiness.score(clip, [[before, before], [after, before]])
    assert found.flicker == (pytest.approx(100), 0) and found.late == (None, None)


def test_a_mask_that_is_late_is_wrong_around_moving_edges(scripts) -> None:
    """A bar moves by two pixels. Its old mask is wrong in four columns of the ten around its two edges."""
    truths = [np.zeros((20, 30), np.uint8) for _ in range(2)]
    truths[0][:, 8:18] = truths[1][:, 10:20] = 255
    clip = scripts.true_clips.TrueClip("by hand", [GREY, GREY], truths)
    old, new = (truth.astype(np.float32) / 255 for truth in truths)
    found = scripts.steadiness.score(clip, [[old, old], [new, old]])
    columns = 2 * (2 + 2 * scripts.steadiness.AROUND_PX)
    assert found.late == (0, pytest.approx(1000 * 4 / columns))
    assert found.error == (0, pytest.approx(1000 * 4 / 30))


def test_what_clips_cannot_tell_stays_empty(scripts) -> None:
    steadiness = scripts.steadiness
    none = (None, None)
    found = [
        steadiness.Steadiness("a", (10.0, 2.0), none, none),
        steadiness.Steadiness("b", (4.0, 4.0), (3.0, 6.0), none),
    ]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in steadiness.table(found).splitlines()]
    assert rows[2] == ["a", "10", "2", "0.2", "", "", "", "", "", ""]
    assert rows[4] == ["mean", "7", "3", "0.429", "3", "6", "2", "", "", ""]
    assert rows[5] == ["mean of ratios", "", "", "0.6", "", "", "2", "", "", ""]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one rendered disc of the dev split and one photo."""
    disc = np.zeros((128, 128, 4), np.uint8)
    cv2.circle(disc, (64, 64), 30, (40, 90, 220, 255), -1, cv2.LINE_AA)
    files = {
        "rendered/train/000010_fg.webp": disc,
        "rendered/train/000010_person.png": disc[..., 3],
        "real/backgrounds/grey.jpg": np.full((90, 160, 3), 70, np.uint8),
    }
    for name, picture in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        quality = [cv2.IMWRITE_WEBP_QUALITY, 101] if name.endswith("webp") else []
        assert cv2.imwrite(str(tmp_path / name), picture, quality)
    return tmp_path


def test_cutouts_move_at_their_speed(scripts, data: Path) -> None:
    true_clips = scripts.true_clips
    clips = list(true_clips.moving_cutouts(data))
    assert len(clips) == len(true_clips.SPEEDS_PX)
    for clip, speed in zip(clips, true_clips.SPEEDS_PX, strict=True):
        assert len(clip.frames) == len(clip.truths) == true_clips.FRAMES
        at = [float(truth.sum(0) @ np.arange(truth.shape[1]) / truth.sum()) for truth in clip.truths]
        assert at[20] - at[0] == pytest.approx(20 * speed, abs=10 * (speed > 0))  # it sways, too
        frame, alpha = clip.frames[0].astype(float), clip.truths[0] / 255
        seen = np.full_like(frame, 70) + alpha[..., None] * (np.array([220, 90, 40.0]) - 70)
        assert np.abs(frame - seen).mean() < 2 * true_clips.NOISE


def test_rendered_clips_are_laid_over_photos(scripts, data: Path) -> None:
    (data / "clips" / "000010").mkdir(parents=True)
    cutout = (data / "rendered/train/000010_fg.webp").read_bytes()
    for number in range(3):
        (data / "clips/000010" / f"{number:04d}_fg.webp").write_bytes(cutout)
    (clip,) = scripts.true_clips.rendered_clips(data / "clips", data)
    assert clip.name == "render 000010" and len(clip.frames) == 3
    assert clip.truths[0].max() == 255 and clip.frames[0][0, 0].mean() == pytest.approx(70, abs=6)


def test_a_bundle_is_measured_on_a_clip(scripts, tiny_bundle: Bundle, disc) -> None:
    """The tiny bundle takes brightness for alpha; under a lamp that flickers the stabiliser has work to do."""
    frames = [disc() // 2 + np.uint8(60 + amount) for amount in (0, 3, 0, 3, 0, 3, 0)]
    clip = scripts.true_clips.TrueClip("disc", frames, [frames[0][..., 0]] * len(frames))
    found = scripts.steadiness.measure(clip, str(tiny_bundle.path), "cpu", "fine", 60)
    assert 0 < found.flicker[1] < 0.5 * found.flicker[0]
    assert found.late == (None, None) and found.error[0] > 0  # the truth stands still


def test_edges_are_those_of_the_enlarged_matte(scripts, tiny_bundle: Bundle, disc) -> None:
    """At nets' size the disc's edge is two pixels wide, on the frame twelve; bicubic enlarging cannot know that."""
    edges = scripts.edges_4k
    frame = disc((360, 576), (180, 288), 120)
    found = {
        name: edges.score(alpha, frame[..., 0])
        for name, alpha in edges.mattes(frame, str(tiny_bundle.path), "cpu", "fine")
    }
    bicubic, ours = found["the nets' alpha, bicubic"], found["along the frame's edges"]
    assert ours["Grad"] < bicubic["Grad"] and ours["SAD at edges"] < bicubic["SAD at edges"]
    assert all(score["SAD at edges"] <= score["SAD"] + 1e-9 for score in found.values())
    assert edges.table({name: [score] for name, score in found.items()}).startswith("| 1 pictures")


def test_every_row_is_timed(scripts, tiny_bundle: Bundle) -> None:
    rows = scripts.host_rows
    columns = [rows.measure(tiny_bundle, size, "fine") for size in ((48, 64), (96, 128))]
    assert {"copy in", "upsample", "refinement", "composite", "deliver"} < set(columns[0])
    lines = rows.table(["64x48", "128x96"], columns).splitlines()
    assert len(lines) == 2 + len(columns[0]) + 1 and lines[-1].startswith("| all")
