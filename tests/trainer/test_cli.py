"""The verbs for data and scores, as typed."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from vmfm.apps.main import run

SIZE = 48


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def data(tmp_path):
    """One rendered scene of the dev split, and one photo to lay it over."""
    root = tmp_path / "data"
    both = np.zeros((SIZE, SIZE), np.uint8)
    both[10:40, 10:30] = 255
    write(root / "real" / "backgrounds" / "sky.jpg", np.full((SIZE, SIZE, 3), 200, np.uint8))
    write(root / "rendered" / "train" / "000010_fg.webp", np.dstack([both, both, both, both]))
    write(root / "rendered" / "train" / "000010_person.png", both)
    write(root / "rendered" / "train" / "000010_depth.png", both)
    (root / "rendered" / "train" / "000010.json").write_text("{}")
    return root


def test_from_pictures_to_scores(data, tmp_path, capsys):
    assert run(["data", "pictures", str(data), "-o", str(tmp_path / "pictures")]) == 0
    frame = cv2.imread(str(tmp_path / "pictures" / "rendered" / "000010.png"))
    assert frame.shape == (SIZE, SIZE, 3)
    # white people on a grey sky: a threshold mattes them
    write(tmp_path / "alphas" / "rendered" / "000010.png", (frame[..., 1] > 230).astype(np.uint8) * 255)
    page = tmp_path / "scores.html"
    assert run(["evaluate", str(tmp_path / "alphas"), str(data), "--html", str(page)]) == 0
    assert "sad" in capsys.readouterr().out
    assert page.exists()


def test_check_tells_the_problems_and_fails(data, capsys):
    assert run(["data", "check", str(data)]) == 0
    assert "0 problems" in capsys.readouterr().out
    (data / "rendered" / "train" / "000010_depth.png").unlink()
    assert run(["data", "check", str(data)]) == 1
    assert "000010_fg.webp: has no 000010_depth.png" in capsys.readouterr().out


def test_trimaps(data, tmp_path):
    people = tmp_path / "people"
    write(people / "a.png", np.full((8, 8), 255, np.uint8))
    assert run(["trimap", str(people), "-o", str(tmp_path / "trimaps")]) == 0
    assert cv2.imread(str(tmp_path / "trimaps" / "a.png")).min() == 255


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "no-such-bundle", "{data}"],
        ["evaluate", "{data}", "{data}", "--only", "dogs"],
        ["evaluate", "{data}", "{data}", "--output", "alpha"],
        ["data", "check", "{data}/nowhere"],
        ["trimap", "{data}/nowhere", "-o", "{data}/out"],
    ],
)
def test_mistakes_end_in_one_sentence(data, arguments, capsys):
    assert run([argument.format(data=data) for argument in arguments]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("vmfm: ")


def test_each_making_of_data_has_its_own_options(data, capsys):
    assert run(["data", "vouch", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--mattes" in told and "--annotations" not in told
    assert run(["data", "pictures", str(data)]) == 2
    assert "--out" in capsys.readouterr().err


def test_help_waits_for_nothing_heavy():
    code = "import sys, vmfm.trainer.cli, vmfm.trainer.data.cli; sys.exit(bool({'torch', 'cv2', 'numpy', 'openvino'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
