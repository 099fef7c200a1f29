"""Numbered images as videos, in and out."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from vmfm.apps.media.errors import ReadError
from vmfm.apps.media.reader import open_reader


@pytest.fixture
def shots(look, tmp_path):
    """shots/walk_0007.png ... walk_0018.png, and something else beside them."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for n in range(12):
        cv2.imwrite(str(folder / f"walk_{n + 7:04d}.png"), look.draw(64, 48, n)[..., ::-1])
    (folder / "walk_notes.txt").write_text("mine")
    (folder / "walk_99.jpg").write_bytes(b"another one")
    return folder


@pytest.mark.parametrize("source", ["shots/walk_%04d.png", "shots"])
def test_a_sequence_becomes_a_video(vmfm, look, shots, tmp_path, source):
    (shots / "walk_99.jpg").unlink()
    options = ["--sequence"] if source == "shots" else []
    status, out, err = vmfm(
        "recomposite", source, "-o", "o/", "--background", "#00FF00", "--fps", "24000/1001", *options
    )
    assert status == 0, err
    name = "o/shots.mp4" if source == "shots" else "o/walk.mp4"
    assert f"{name}: 12 frames" in out
    np.testing.assert_allclose(look.times(tmp_path / name), np.arange(12) * 1001 / 24000, atol=1e-4)
    for number, picture in enumerate(look.pictures(tmp_path / name)):
        assert np.abs(picture[24, 16 + 2 * number].astype(int) - (250, 0, 0)).max() < 60


def test_numbers_stay_and_two_results_share_a_folder(vmfm, shots, tmp_path):
    targets = ["-o", "o/cut_%05d.png", "--alpha", "o/alpha_%d.tif", "--deviation", "d"]
    assert vmfm("recomposite", "shots/walk_%04d.png", *targets)[0] == 0
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == sorted(
        [f"cut_{n:05d}.png" for n in range(7, 19)] + [f"alpha_{n}.tif" for n in range(7, 19)]
    )
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == [f"{n:06d}.png" for n in range(7, 19)]
    assert cv2.imread(str(tmp_path / "o" / "cut_00007.png"), cv2.IMREAD_UNCHANGED).shape == (48, 64, 4)
    status, _, err = vmfm("recomposite", "shots/walk_%04d.png", *targets)
    assert status == 1
    assert "exists: choose another name, or pass --overwrite" in err


def test_a_cut_of_a_sequence(vmfm, shots, tmp_path):
    options = ["--start", "0.2", "--duration", "0.3", "--fps", 10]
    assert vmfm("recomposite", "shots/walk_%04d.png", "--alpha", "a_%d.png", *options)[0] == 0
    assert sorted(p.name for p in tmp_path.glob("a_*")) == ["a_10.png", "a_11.png", "a_9.png"]


def test_the_pictures_of_a_folder_come_in_the_order_of_their_numbers(tmp_path):
    for n in (1, 2, 9, 10, 100):
        cv2.imwrite(str(tmp_path / f"IMG_{n}.jpg"), np.full((8, 8, 3), 2 * n, np.uint8))
    with open_reader(tmp_path, sequence=True, fps=Fraction(5)) as reader:
        frames = list(reader)
    assert [int(f.image[0, 0, 0]) for f in frames] == [2, 4, 18, 20, 200]
    assert [f.seconds for f in frames] == [0, 0.2, 0.4, 0.6, 0.8]


def test_what_a_sequence_lacks_is_told_and_can_be_passed_over(vmfm, shots, look, tmp_path):
    (shots / "walk_0010.png").unlink()
    (shots / "walk_0012.png").write_bytes(b"no picture")
    cv2.imwrite(str(shots / "walk_0014.png"), look.draw(32, 48, 0))
    status, _, err = vmfm("recomposite", "shots/walk_%04d.png", "--alpha", "a")
    assert (status, (tmp_path / "a").exists()) == (1, False)
    assert "number 10 is missing from shots/walk_%04d.png" in err
    status, out, _ = vmfm("recomposite", "shots/walk_%04d.png", "--alpha", "a", "--salvage")
    assert status == 0
    assert "9 frames" in out and "number 10 is missing" in out
    assert len(list((tmp_path / "a").iterdir())) == 9


@pytest.mark.parametrize("pattern", ["shots/run_%04d.png", "gone/%d.png"])
def test_a_pattern_of_nothing_is_told(vmfm, shots, pattern):
    status, _, err = vmfm("recomposite", pattern, "--alpha", "a")
    assert status == 1
    assert f"{pattern} holds no picture" in err


def test_a_file_that_is_called_like_a_pattern_is_itself(look, tmp_path):
    cv2.imwrite(str(tmp_path / "100%d.png"), look.draw(20, 10, 0))
    with open_reader(tmp_path / "100%d.png") as reader:
        assert not reader.info.is_video
    with pytest.raises(ReadError, match="holds no picture"), open_reader(tmp_path / "200%d.png"):
        pass
