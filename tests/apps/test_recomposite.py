"""The whole way from file to file, through a bundle whose foreground is what is red."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from vmfm.apps.main import run
from vmfm.runtime import composite
from vmfm.runtime.blur import blur_background


def test_a_video_gets_its_background_and_keeps_the_rest(vmfm, make_video, look, tmp_path):
    pts = [0, 40, 45, 120, 121, 300, 900, 1500]
    source = make_video(tmp_path / "in – ü.mp4", size=(160, 96), pts=pts, time_base=Fraction(1, 1000), sound="aac")
    status, out, _ = vmfm(
        "recomposite", source, "-o", "o.mp4", "--background", "#00FF00", "--alpha", "a", "--deviation", "d.mp4"
    )
    assert status == 0
    assert "o.mp4, a, d.mp4: 8 frames" in out
    assert " fps" in out
    assert look.times(tmp_path / "o.mp4") == look.times(source)
    assert look.times(tmp_path / "d.mp4") == look.times(source)
    assert look.sound_packets(tmp_path / "o.mp4") == look.sound_packets(source)
    for number, picture in enumerate(look.pictures(tmp_path / "o.mp4")):
        inside, outside = picture[48, 40 + 2 * number].astype(int), picture[90, 150].astype(int)
        assert np.abs(inside - (250, 0, 0)).max() < 30
        assert np.abs(outside - (0, 255, 0)).max() < 30
    alphas = [cv2.imread(str(tmp_path / "a" / f"{n:06d}.png"), cv2.IMREAD_UNCHANGED) for n in range(len(pts))]
    assert all(alpha.shape == (96, 160) and alpha.dtype == np.uint8 for alpha in alphas)
    assert alphas[3][48, 46] > 200
    assert alphas[3][90, 150] < 30


def test_a_rotated_video_comes_out_upright(vmfm, make_video, look, tmp_path):
    source = make_video(tmp_path / "in.mp4", size=(160, 96), prepare=lambda stream: stream.set_display_rotation(90))
    assert vmfm("recomposite", source, "-o", "o.mp4", "--background", "blur", "--alpha", "a.mp4")[0] == 0
    for name in ("o.mp4", "a.mp4"):
        with av.open(str(tmp_path / name)) as container:
            frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (96, 160, 0)


@pytest.mark.parametrize("background", ["blur", "blur:9", "clip.mp4", "still.png"])
@pytest.mark.parametrize("linear", [[], ["--linear"]])
def test_every_kind_of_background(vmfm, make_video, tmp_path, background, linear):
    make_video(tmp_path / "clip.mp4", size=(50, 70), pts=range(0, 12, 4))
    cv2.imwrite(str(tmp_path / "still.png"), np.full((9, 5, 3), 200, np.uint8))
    source = make_video(tmp_path / "in.mp4", size=(160, 96))
    assert vmfm("recomposite", source, "-o", "o.mkv", "--background", background, *linear)[0] == 0


@pytest.mark.parametrize("background", ["#20A0FF", "still.png", "blur", "blur:9", "blur:0"])
@pytest.mark.parametrize("linear", [False, True], ids=["gamma", "linear"])
def test_the_picture_is_the_source_over_the_background(vmfm, look, tmp_path, background, linear):
    source = look.draw(160, 96, 3)
    still = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 7, 3), np.uint8), (160, 96))
    cv2.imwrite(str(tmp_path / "in.png"), source[..., ::-1])
    cv2.imwrite(str(tmp_path / "still.png"), still[..., ::-1])
    targets = ["-o", "o.png", "--alpha", "a.png", *(["--linear"] if linear else [])]
    assert vmfm("recomposite", "in.png", *targets, "--background", background)[0] == 0
    alpha = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    behind = np.full_like(source, (0x20, 0xA0, 0xFF)) if background[0] == "#" else still.copy()
    if background.startswith("blur"):
        radius_px = float(background[5:]) if ":" in background else None
        blur_background(source, alpha, behind, radius_px)
    expected = composite(source, alpha, behind, linear=linear).astype(int)
    difference = np.abs(cv2.imread(str(tmp_path / "o.png"))[..., ::-1] - expected)
    assert difference.max() <= 4 or linear  # 8 bits of alpha leave much open in dark light
    assert difference.mean() < 0.2


def test_a_folder_of_both_kinds(vmfm, make_video, look, tmp_path):
    (tmp_path / "many").mkdir()
    make_video(tmp_path / "many" / "clip.webm", codec="libvpx-vp9")
    cv2.imwrite(str(tmp_path / "many" / "photo.jpg"), look.draw(90, 70, 0)[..., ::-1])
    status, out, _ = vmfm("recomposite", "many", "-o", "o", "--background", "#FFFFFF", "--alpha", "a")
    assert status == 0
    assert len(out.splitlines()) == 2
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file() and p.parent.name != "many") == [
        *(f"a/clip/{n:06d}.png" for n in range(12)), "a/photo.png", "o/clip.webm", "o/photo.jpg",
    ]  # fmt: skip


def test_an_unreadable_source_does_not_stop_the_others(vmfm, look, tmp_path):
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "bad.mp4").write_bytes(b"no video")
    cv2.imwrite(str(tmp_path / "many" / "good.png"), look.draw(90, 70, 0))
    status, out, err = vmfm("recomposite", "many", "-o", "o", "--background", "#FFFFFF")
    assert status == 1
    assert "good.png: 1 frame" in out
    assert "many/bad.mp4 cannot be read" in err.replace("\n", " ")
    assert "1 of 2 inputs failed" in err
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["good.png"]


def test_a_source_that_breaks_off_does_not_stop_the_others(vmfm, make_video, look, tmp_path):
    """Its last frames are still in flight when it does."""
    (tmp_path / "many").mkdir()
    whole = make_video(tmp_path / "whole.mkv", pts=range(0, 240, 2))
    (tmp_path / "many" / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    make_video(tmp_path / "many" / "good.mp4", size=(64, 48))
    status, out, err = vmfm("recomposite", "many", "-o", "o", "--background", "#00FF00")
    assert status == 1
    assert "many/cut.mkv is damaged" in err.replace("\n", " ")
    assert "good.mp4: 12 frames" in out
    for number, picture in enumerate(look.pictures(tmp_path / "o" / "good.mp4")):
        assert np.abs(picture[24, 16 + 2 * number].astype(int) - (250, 0, 0)).max() < 40


def test_without_background_the_result_is_transparent(vmfm, look, make_video, tmp_path):
    cv2.imwrite(str(tmp_path / "in.png"), look.draw(160, 96, 0)[..., ::-1])
    assert vmfm("recomposite", "in.png", "-o", "o.png")[0] == 0
    rgba = cv2.imread(str(tmp_path / "o.png"), cv2.IMREAD_UNCHANGED)
    assert rgba[48, 40].tolist() == pytest.approx([0, 0, 250, 250], abs=10)
    assert rgba[90, 150, 3] < 20
    source = make_video(tmp_path / "in.mp4")
    assert vmfm("recomposite", source, "-o", "o.mov")[0] == 0
    assert vmfm("recomposite", source, "--alpha", "only.mp4")[0] == 0
    assert len(look.times(tmp_path / "only.mp4")) == len(look.times(tmp_path / "o.mov")) == 12


@pytest.mark.parametrize("size", [(1, 1), (17, 5), (8000, 40), (40, 8000)])
def test_extreme_sizes(vmfm, look, tmp_path, size):
    cv2.imwrite(str(tmp_path / "in.png"), look.draw(*size, 0))
    assert vmfm("recomposite", "in.png", "-o", "o.png", "--background", "blur", "--alpha", "a.png")[0] == 0
    assert cv2.imread(str(tmp_path / "o.png")).shape[:2] == (size[1], size[0])


def test_an_odd_sized_video_says_so(vmfm, make_video, tmp_path):
    source = make_video(tmp_path / "in.mkv", size=(63, 47), codec="ffv1", pixel_format="bgr0")
    status, out, _ = vmfm("recomposite", source, "-o", "o.mp4", "--background", "blur", "--alpha", "a")
    assert status == 0
    assert "63x47" in out
    assert cv2.imread(str(tmp_path / "a" / "000000.png")).shape[:2] == (47, 63)


def test_salvage_tells_what_is_missing(vmfm, make_video, look, tmp_path):
    whole = make_video(tmp_path / "whole.mp4", size=(320, 240), pts=range(60), options={"movflags": "+faststart"})
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    status, _, err = vmfm("recomposite", "cut.mp4", "-o", "o.mp4", "--background", "blur")
    assert (status, (tmp_path / "o.mp4").exists()) == (1, False)
    assert "cut.mp4 is damaged or cut short" in err
    status, out, _ = vmfm("recomposite", "cut.mp4", "-o", "o.mp4", "--background", "blur", "--salvage")
    assert status == 0
    assert "cut short" in out
    assert 0 < len(look.times(tmp_path / "o.mp4")) < 60


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.mp4", "-o", "o.mp4", "--background", "blur"], "gone.mp4 does not exist"),
        (["in.mp4", "-o", "o.mp4", "--background", "gone.png"], "gone.png"),
        (["in.mp4", "-o", "o.mp4", "--background", "#12"], "#12"),
        (["in.mp4", "-o", "o.mp4"], "no --background"),
        (["in.mp4", "-o", "o.xyz", "--background", "blur"], "o.xyz"),
        (["in.mp4", "-o", "in.mp4", "--background", "blur"], "is an input too"),
        (["in.mp4", "--alpha", "there.mp4"], "there.mp4 exists"),
        (["in.mp4", "--alpha", "a.mp4", "--backend", "abacus"], "abacus"),
        (["in.mp4", "--alpha", "a.mp4", "--bundle", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_ends_in_one_sentence(tiny_bundle, make_video, capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "in.mp4")
    (tmp_path / "there.mp4").write_bytes(b"x")
    before = sorted(tmp_path.iterdir())
    assert run(["recomposite", "--bundle", str(tiny_bundle.path), *arguments]) == 1
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.startswith("vmfm: ")]) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_one_flipped_byte_in_the_bundle_is_told(fresh_bundle, capsys, make_video, tmp_path):
    bundle = fresh_bundle()
    net = bundle.net_path("depth")
    data = bytearray(net.read_bytes())
    data[len(data) // 2] ^= 1
    net.write_bytes(data)
    source = make_video(tmp_path / "in.mp4")
    assert run(["recomposite", str(source), "--alpha", str(tmp_path / "a.mp4"), "--bundle", str(bundle.path)]) == 1
    assert "depth.onnx is damaged" in capsys.readouterr().err


def test_nothing_to_write_is_a_usage_error(vmfm, make_video, tmp_path):
    source = make_video(tmp_path / "in.mp4")
    assert vmfm("recomposite", source)[0] == 2
    assert vmfm("recomposite", source, "--alpha", "a.mp4", "--background", "blur")[0] == 2


def test_numbered_results_are_called_and_stored_alike_with_and_without_checkpoints(vmfm, make_video, tmp_path):
    source = make_video(tmp_path / "in.mp4", pts=range(5))
    results = {}
    for way, more in (("once", []), ("parts", ["--resume"])):
        folder = tmp_path / way
        folder.mkdir()
        (folder / "000000.png").write_bytes(b"mine")
        wanted = ["-o", folder / "s_%04d.exr", "--alpha", folder / "m_%03d.png", "--deviation", f"{folder}/dev/"]
        status, _, err = vmfm("recomposite", source, *wanted, *more)
        assert status == 0, err
        assert (folder / "000000.png").read_bytes() == b"mine"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        results[way] = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    assert len(results["once"]) == 1 + 3 * 5 and {"s_0000.exr", "m_004.png", "dev/000000.png"} <= set(results["once"])
    assert results["once"] == results["parts"]
