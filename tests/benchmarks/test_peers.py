"""The comparison itself, with contenders that need no installation; the real peers run by hand, they are large."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"


@pytest.fixture(scope="module")
def compare():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PEERS)
        import compare

        yield compare
    for name in ("compare", "contenders", "worker"):
        sys.modules.pop(name, None)


@pytest.fixture
def contender(compare, tmp_path):
    """Makes a contender out of the body of its `load`."""

    def make(name: str, body: str):
        script = tmp_path / f"{name}.py"
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        script.write_text(f"import sys, time\nsys.path.insert(0, {str(PEERS)!r})\nfrom worker import serve\n")
        with script.open("a") as file:
            file.write(f"def load():\n{lines}serve(load)\n")
        return compare.Contender(name, script)

    return make


RED = "print('chatter')\nreturn lambda frame: frame[..., 0] / 255"


def test_contenders_take_turns_on_the_same_frames(compare, contender):
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    quick = contender("quick", RED)
    slow = contender("slow", "return lambda frame: time.sleep(0.03) or frame[..., 0]")
    times = compare.measure((quick, slow), frames, count=11)
    assert [len(milliseconds) for milliseconds in times.values()] == [11, 11]
    first, second = compare.summarise(times)
    assert (first["name"], first["ratio"], second["name"]) == ("quick", 1, "slow")
    assert second["p50_ms"] >= 30 and second["ratio"] > 1 and second["fps"] < 34


def test_speed_is_that_of_frames_of_the_wanted_size(compare, contender, tmp_path, monkeypatch):
    picky = contender("picky", "return lambda frame: {(64, 96, 3): frame[..., 0]}[frame.shape]")
    monkeypatch.setattr(compare, "vmfm", lambda bundle, detail: picky)
    monkeypatch.setattr(compare, "PEERS", ())
    options = ["--size", "96x64", "--frames", "2", "--json", str(tmp_path / "report.json")]
    shown = CliRunner().invoke(compare.app, ["speed", *options], catch_exceptions=False)
    assert shown.exit_code == 0 and "picky" in shown.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["width"], report["height"]) == (96, 64)
    assert [row["name"] for row in report["contenders"]] == ["picky"]


def test_a_peer_that_cannot_start_is_left_out(compare, contender, capsys):
    broken = contender("broken", "raise RuntimeError('no wheel for this Python')")
    times = compare.measure((contender("first", RED), broken), np.zeros((1, 8, 8, 3), np.uint8), count=2)
    assert list(times) == ["first"]
    assert "left out: broken ended: RuntimeError: no wheel for this Python" in capsys.readouterr().err


def test_alphas_lie_where_evaluate_looks_for_them(compare, contender, tmp_path):
    pictures, out = tmp_path / "pictures", tmp_path / "alphas"
    (pictures / "set").mkdir(parents=True)
    image = np.full((10, 14, 3), (0, 0, 200), np.uint8)  # OpenCV writes BGR: red is 200
    cv2.imwrite(str(pictures / "set" / "one.png"), image)
    assert compare.save_alphas(contender("red", RED), pictures, out) == 1
    alpha = cv2.imread(str(out / "set" / "one.png"), cv2.IMREAD_UNCHANGED)
    assert alpha.shape == (10, 14) and (alpha == 200).all()


def test_a_contender_that_fails_is_told_with_its_last_words(compare, contender, tmp_path):
    broken = contender("broken", "raise RuntimeError('no model here')")
    with (
        pytest.raises(Exception, match="broken ended: RuntimeError: no model here") as failure,
        compare.Running(broken),
    ):
        pass
    assert failure.value.user_facing
    dying = contender("dying", "return lambda frame: sys.exit('gave up')")
    with compare.Running(dying) as running, pytest.raises(Exception, match="dying ended: gave up"):
        running.alpha(np.zeros((4, 4, 3), np.uint8))
