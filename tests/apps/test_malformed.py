"""Damaged files, hostile names, broken bundles: each ends in a result or in a sentence, and leaves nothing half-written."""

import itertools
import os
import random
import shutil
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from vmfm.apps import recomposite as recompositing
from vmfm.apps.checkpoints import Checkpoints
from vmfm.apps.jobs import Targets, plan_jobs
from vmfm.apps.main import run
from vmfm.apps.media.backgrounds import open_background
from vmfm.apps.media.errors import WriteError
from vmfm.apps.media.frames import Frame
from vmfm.apps.recomposite import Wish
from vmfm.runtime import BundleError, MattingStream, VmfmError
from vmfm.runtime.bundle import write_bundle

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
DAMAGED = 9  # files per format, each damaged in its own way
VIDEOS = {
    "h264.mp4": {"sound": "aac", "subtitles": ["mov_text"]},
    "faststart.mp4": {"options": {"movflags": "+faststart"}},
    "av1.mp4": {"codec": "libsvtav1"},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le", "sound": "pcm_s16le"},
    "h264.mkv": {"sound": "libopus", "subtitles": ["subrip"]},
    "ffv1.mkv": {"codec": "ffv1", "pixel_format": "bgr0"},
    "vp9.webm": {"codec": "libvpx-vp9", "sound": "libopus"},
    "mpeg4.avi": {"codec": "mpeg4", "sound": "libmp3lame"},
    "h264.ts": {"sound": "aac"},
    "mpeg2.mpg": {"codec": "mpeg2video", "sound": "mp2"},
    "h264.flv": {"sound": "aac"},
    "mpeg2.mxf": {"codec": "mpeg2video", "sound": "pcm_s16le"},
    "palette.gif": {"codec": "gif", "pixel_format": "rgb8"},
}
IMAGES = [".png", ".jpg", ".webp", ".tif", ".bmp", ".ppm"]
HOSTILE_NAMES = [
    "-o.mp4", "--help.mp4", " blank.mp4", "new\nline.mp4", "tab\tbed.mp4", "写真 – ü.mp4", "😀.mp4", "n" * 251 + ".mp4",
    "é" * 125 + ".mp4", "%s%n%d.mp4", "concat:x.mp4", "file:x.mp4", "https:x.mp4", "pipe:0.mp4", "a?b*c[1-9].mp4", "{x}.mp4",
    "'quotes\".mp4", "$HOME `id`.mp4", "[bold]x[b].mp4", "~.mp4", "..mp4", "a..mp4", "back\\slash.mp4", "UPPER.MP4",
    ",|;&.mp4", "\x1b[31mred.mp4", "\x7f.mp4",
]  # fmt: skip


def damage(whole: bytes, seed: int) -> bytes:
    """Cut, overwritten in the header, anywhere, with zeros or with a length that cannot be, or with bytes put in between."""
    rng, data = random.Random(seed), bytearray(whole)
    at = rng.randrange(len(data))
    match seed % 6:
        case 0:
            del data[at:]
        case 1:
            for _ in range(12):
                data[rng.randrange(min(len(data), 500))] = rng.randrange(256)
        case 2:
            for _ in range(30):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 3:
            data[at : at + 300] = bytes(len(data[at : at + 300]))
        case 4:
            data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
        case 5:
            data[at:at] = rng.randbytes(40)
    return bytes(data)


def make_many(folder: Path, whole: bytes, suffix: str, first_seed: int = 0) -> None:
    folder.mkdir()
    for seed in range(first_seed, first_seed + DAMAGED):
        (folder / f"{seed:02d}{suffix}").write_bytes(damage(whole, seed))


def assert_all_or_nothing(here: Path, status: int, out: str, err: str) -> None:
    """Every file of `many` has all its results, which can be read, or none and a sentence."""
    assert status in (0, 1), err
    assert "Traceback" not in err
    told = "".join(err.split())  # without the line breaks of a narrow screen
    failed = 0
    for source in (here / "many").iterdir():
        picture, mattes = ([*(here / folder).glob(f"{source.stem}*")] for folder in "oa")
        if f"many/{source.name}" in told and not picture:
            assert not mattes
            failed += 1
            continue
        assert f"o/{picture[0].name}" in out
        assert frames_in(picture[0]) == frames_in(mattes[0]) > 0
    assert status == bool(failed)
    assert not [path for path in here.rglob(".*") if path.name not in ("..mp4",)]


def frames_in(path: Path) -> int:
    if path.is_dir():
        return len([*path.iterdir()])
    if path.suffix in IMAGES:
        return int(cv2.imread(str(path)) is not None)
    with av.open(str(path.absolute())) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("options", ["", "--salvage --resume", "--salvage --start 0.1 --duration 0.15"])
@pytest.mark.parametrize("name", VIDEOS)
def test_damaged_videos(vmfm, make_video, tmp_path, name, options):
    whole = make_video(tmp_path / name, pts=range(8), **VIDEOS[name])
    make_many(tmp_path / "many", whole.read_bytes(), whole.suffix, first_seed=DAMAGED * len(options.split()))
    told = vmfm("recomposite", "many", "-o", "o", "--background", "#00FF00", "--alpha", "a", *options.split())
    assert_all_or_nothing(tmp_path, *told)


@pytest.mark.parametrize("suffix", IMAGES)
def test_damaged_images(vmfm, look, tmp_path, suffix):
    whole = cv2.imencode(suffix, look.draw(64, 48, 0))[1].tobytes()
    make_many(tmp_path / "many", whole, suffix)
    assert_all_or_nothing(tmp_path, *vmfm("recomposite", "many", "-o", "o", "--background", "blur", "--alpha", "a"))


def test_files_that_are_not_what_their_names_say(vmfm, make_video, look, tmp_path):
    (tmp_path / "many").mkdir()
    png = cv2.imencode(".png", look.draw(64, 48, 0))[1].tobytes()
    video = make_video(tmp_path / "whole.mkv").read_bytes()
    contents = {
        "empty.mp4": b"", "nothing.png": b"", "none.gif": b"", "zeros.mp4": bytes(5000), "blank.png": bytes(5000),
        "text.mkv": b"nothing to see\n" * 99, "words.jpg": b"nothing to see\n" * 99, "page.webm": b"<html></html>",
        "list.mp4": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "concat.mp4": b"ffconcat version 1.0\nfile whole.mkv\n",
        "session.ts": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n", "archive.mov": b"PK\3\4" + bytes(200),
        "picture.mp4": png, "video.png": video, "matroska.avi": video, "header.png": png[:33], "signature.webm": video[:4],
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / "many" / name).write_bytes(content)
    told = vmfm("recomposite", "many", "-o", "o", "--background", "#00FF00", "--alpha", "a")
    assert_all_or_nothing(tmp_path, *told)
    assert frames_in(tmp_path / "o" / "matroska.mp4") == 12


@POSIX
def test_hostile_names(vmfm, make_video, tmp_path):
    whole = make_video(tmp_path / "whole.mp4", pts=range(3)).read_bytes()
    (tmp_path / "many").mkdir()
    for name in HOSTILE_NAMES:
        (tmp_path / "many" / name).write_bytes(whole)
    status, _, err = vmfm("recomposite", "many", "-o", "o", "--background", "#00FF00", "--alpha", "a")
    assert status == 0, err
    assert {path.name for path in (tmp_path / "o").iterdir()} == {name for name in HOSTILE_NAMES if name[0] != "."}
    for name in (name for name in HOSTILE_NAMES if set(name) & set(":%[") or len(name) > 100):
        for option in ("--overwrite", "--resume"):
            status, _, err = vmfm("recomposite", "whole.mp4", "-o", f"./{name}", "--background", "blur", option)
            assert status == 0, err
            (tmp_path / name).unlink()


@POSIX
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x" * 300 + ".mp4", "-o", "o.mp4"], "File name too long"),
        (["in.mp4", "-o", "x" * 300 + ".mp4"], "File name too long"),
        (["in.mp4", "-o", "x" * 300 + "/o.mp4"], "File name too long"),
        (["in.mp4", "-o", "o.mp4", "--background", "x" * 300 + ".png"], "x.png"),
        (["in.mp4", "-o", "o.mp4", "--background", "x" * 300 + ".mp4"], "x.mp4"),
        (["round.mp4", "-o", "o.mp4"], "round.mp4"),
        (["in.mp4", "-o", "round.mp4"], "round.mp4"),
        (["in.mp4", "-o", "o.mp4", "--background", "round.png"], "round.png"),
        (["in.mp4", "-o", "round.mp4/o.mp4"], "round.mp4"),
        (["dangling.mp4", "-o", "o.mp4"], "dangling.mp4 does not exist"),
        (["folder.mp4", "-o", "o.mp4"], "the folder folder.mp4 holds no video"),
        (["in.mp4", "-o", "o.mp4", "--background", "folder.mp4"], "folder.mp4 is a folder"),
        (["in.mp4", "-o", "o.mp4", "--background", "folder.png"], "folder.png is a folder"),
        (["in.mp4", "-o", "in.mp4/o.mp4"], "in.mp4 is a file"),
        (["in.mp4", "-o", "o.mp4", "--alpha", "in.mp4/a"], "in.mp4 is a file"),
        (["/dev/null", "-o", "o.mp4"], "/dev/null is neither a file nor a folder"),
        (["in.mp4", "-o", "o.mp4", "--bundle", "x" * 300], "x"),
        (["in.mp4", "-o", "o.mp4", "--bundle", "round.mp4"], "round.mp4"),
        (["in.mp4", "-o", "o.mp4", "--bundle", ""], "no bundle"),
        (["in.mp4", "-o", "/proc/nowhere/o.mp4"], "/proc/nowhere"),
    ],
)
def test_hostile_paths_end_in_one_sentence(tiny_bundle, make_video, capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "in.mp4")
    for folder in ("folder.mp4", "folder.png"):
        (tmp_path / folder).mkdir()
    for link, to in {
        "round.mp4": "round.mp4",
        "round.png": "round2.png",
        "round2.png": "round.png",
        "dangling.mp4": "gone",
    }.items():
        (tmp_path / link).symlink_to(to)
    before = sorted(tmp_path.rglob("*"))
    extra = [] if "--background" in arguments else ["--background", "blur"]
    extra += [] if "--bundle" in arguments else ["--bundle", str(tiny_bundle.path)]
    assert run(["recomposite", *arguments, *extra]) == 1
    err = capsys.readouterr().err
    assert words in err
    assert len([line for line in err.splitlines() if line.startswith("vmfm: ")]) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_what_is_not_ours_to_read_or_write_is_told(vmfm, make_video, tmp_path):
    make_video(tmp_path / "in.mp4")
    make_video(tmp_path / "secret.mp4").chmod(0)
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    try:
        for arguments in (
            ["secret.mp4", "-o", "o.mp4"],
            ["closed", "-o", "o"],
            ["closed/in.mp4", "-o", "o.mp4"],
            ["in.mp4", "-o", "closed/o.mp4"],
        ):
            status, _, err = vmfm("recomposite", *arguments, "--background", "blur")
            assert status in (1, 2)
            assert "Permission denied" in err or "not readable" in err
    finally:
        closed.chmod(0o700)
    assert not any(closed.iterdir())


@pytest.mark.parametrize("name", ["h264.mp4", "vp9.webm", "palette.gif", ".png", ".jpg"])
def test_damaged_backgrounds(make_video, look, tmp_path, name):
    if name in IMAGES:
        whole = cv2.imencode(name, look.draw(64, 48, 0))[1].tobytes()
    else:
        whole = make_video(tmp_path / name, pts=range(8), **VIDEOS[name]).read_bytes()
    path = tmp_path / f"behind{name[name.index('.') :]}"
    for seed in range(DAMAGED):
        path.write_bytes(damage(whole, seed))
        try:
            with open_background(str(path)) as background:
                shown = [
                    background.behind(Frame(np.zeros((30, 40, 3), np.uint8), seconds=at)) for at in (0, 0.1, 1.0, 9.0)
                ]
        except VmfmError as error:
            assert str(path) in str(error)
        else:
            assert all(picture.shape == (30, 40, 3) for picture in shown)


@pytest.mark.parametrize("file", ["manifest.json", "depth.onnx"])
def test_damaged_bundles_are_told(fresh_bundle, make_video, capsys, tmp_path, file):
    bundle = fresh_bundle()
    source = make_video(tmp_path / "in.mp4", pts=range(3))
    whole = (bundle.path / file).read_bytes()
    for seed in range(DAMAGED):
        (bundle.path / file).write_bytes(damage(whole, seed))
        assert run(["recomposite", str(source), "--alpha", str(tmp_path / "a"), "--bundle", str(bundle.path)]) == 1
        err = capsys.readouterr().err
        assert err.startswith("vmfm: ") and str(bundle.path) in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "in.mp4"]


@pytest.mark.parametrize(
    ("pixel_budget", "patches", "words"),
    [
        (96 * 64, 8, "OpenVINO cannot"),
        (10**15, 8, "pixel budget"),
        (0, 8, "pixel budget"),
        (96 * 64, 10**12, "patches"),
    ],
)
def test_bundles_that_cannot_work_are_told(tiny_models, make_video, capsys, tmp_path, pixel_budget, patches, words):
    """Whole, by their seals."""
    source = make_video(tmp_path / "in.mp4", pts=range(3))
    damaged = {**tiny_models, "depth": damage(tiny_models["depth"], 3)}
    folder = tmp_path / "bundle"
    with suppress(BundleError):
        write_bundle(folder, damaged, name="x", pixel_budget=pixel_budget, patches=patches, trained={}, scores={})
    assert run(["recomposite", str(source), "--alpha", str(tmp_path / "a"), "--bundle", str(folder)]) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("vmfm: ") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "in.mp4"]


def test_damaged_checkpoints_are_made_anew(tiny_bundle, make_video, look, tmp_path, monkeypatch):
    monkeypatch.setattr(recompositing, "SEGMENT_FRAMES", 6)
    source = make_video(tmp_path / "in.mp4", pts=range(20), sound="aac")
    here, then = tmp_path / "here", tmp_path / "then"
    targets = Targets(out=str(here / "o.mkv"), alpha=str(here / "a"), resume=True)
    frames = itertools.count()

    def stop():
        if next(frames) == 15:
            raise KeyboardInterrupt

    with MattingStream(tiny_bundle, deliver=("picture", "alpha")) as stream, open_background("#00FF00") as background:

        def run_job(**calls):
            (job,) = plan_jobs([source], targets)
            return recompositing.recomposite(job, stream, background, Wish(resume=True), **calls)

        with pytest.raises(KeyboardInterrupt):
            run_job(on_frame=stop)
        shutil.copytree(here, then)
        files = sorted(path.relative_to(then) for path in then.rglob("*") if path.is_file())
        files = [file for file in files if "unfinished" not in str(file) and file.name != "lock"]
        assert {path.name for path in files} >= {"job.json", "segment.json", "memory.npz", "out.mkv"}
        for seed, file in enumerate(files):
            shutil.rmtree(here)
            shutil.copytree(then, here)
            whole = (here / file).read_bytes()
            (here / file).write_bytes(
                b"" if seed % 3 == 0 else bytes(len(whole)) if seed % 3 == 1 else damage(whole, seed)
            )
            notes = []
            run_job(on_note=notes.append)
            assert any("starts anew" in note for note in notes) or damage(whole, seed) == whole
            assert len(look.times(here / "o.mkv")) == len([*(here / "a").iterdir()]) == 20
            assert all(cv2.imread(str(path)) is not None for path in (here / "a").iterdir())
            assert sorted(path.name for path in here.iterdir()) == ["a", "o.mkv"]


def test_damage_that_an_interrupted_run_has_found_is_told(tiny_bundle, make_video, tmp_path, monkeypatch):
    monkeypatch.setattr(recompositing, "SEGMENT_FRAMES", 6)
    source = make_video(tmp_path / "in.mp4", pts=range(40), options={"movflags": "+faststart"})
    with av.open(str(source)) as container:
        broken = [packet.pos + packet.size // 2 for packet in container.demux(video=0) if packet.size][7]
    data = bytearray(source.read_bytes())
    data[broken - 8 : broken + 8] = bytes(range(200, 216))
    source.write_bytes(data)
    frames = itertools.count()

    def stop():
        if next(frames) == 25:
            raise KeyboardInterrupt

    with MattingStream(tiny_bundle, deliver=("alpha",)) as stream:

        def run_job(name, resume, **calls):
            (job,) = plan_jobs([source], Targets(alpha=str(tmp_path / name), resume=resume))
            return recompositing.recomposite(job, stream, None, Wish(resume=resume, salvage=True), **calls)

        whole = run_job("whole", resume=False)
        assert "damaged" in whole.damage
        with pytest.raises(KeyboardInterrupt):
            run_job("parts", resume=True, on_frame=stop)
        done = run_job("parts", resume=True)
    assert done.resumed_at > 12
    assert (done.frames, done.damage) == (whole.frames, whole.damage)


def test_of_two_runs_at_once_the_second_is_refused(tmp_path):
    with Checkpoints(tmp_path / "job", {"source": 1}) as first, pytest.raises(WriteError, match="another run"):
        Checkpoints(tmp_path / "job", {"source": 1})
    assert (first.folder / "job.json").exists()
    with Checkpoints(tmp_path / "job", {"source": 1}) as again:
        assert again.left_by == os.getpid()
        again.clear()
    assert not (tmp_path / "job").exists()


def huge_png(side: int) -> bytes:
    """A PNG of side x side black pixels, whole and small."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, line = zlib.compressobj(9), bytes(1 + side // 8)
    packed = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text are a thing of Linux")
@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["pipe.mp4", "-o", "o.mp4", "--background", "blur"], 1, "pipe.mp4 is neither a file nor a folder"),
        (["in.mp4", "-o", "o.mp4", "--background", "pipe.png"], 1, "pipe.png"),
        (["in.mp4", "-o", "o.mp4", "--background", "pipe.mkv"], 1, "pipe.mkv"),
        (["bomb.png", "-o", "o.png", "--background", "blur"], 1, "megapixels"),
        (["in.mp4", "-o", "o.mp4", "--background", "bomb.png"], 1, "megapixels"),
        (["cut.mp4", "-o", "o.mp4", "--background", "blur"], 1, "cut.mp4"),
        (["--", "-in.mp4"], 2, "nothing to write"),
        ([os.fsdecode(b"\xff.mp4"), "-o", os.fsdecode(b"\xfe.mp4"), "--background", "blur"], 0, ""),
    ],
)  # fmt: skip
def test_the_command_itself(tiny_bundle, make_video, tmp_path, arguments, status, words):
    whole = make_video(tmp_path / "in.mp4", pts=range(3)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:300])
    for name in ("-in.mp4", os.fsdecode(b"\xff.mp4")):
        (tmp_path / name).write_bytes(whole)
    for name in ("pipe.mp4", "pipe.png", "pipe.mkv"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "bomb.png").write_bytes(huge_png(20_000))
    before = {path.name for path in tmp_path.iterdir()}
    shown = subprocess.run(
        [sys.executable, "-m", "vmfm.apps.main", "recomposite", "--bundle", str(tiny_bundle.path), *arguments],
        check=False, capture_output=True, cwd=tmp_path, timeout=60, env=os.environ | {"PYTHONUTF8": "1"},
    )  # fmt: skip
    err = shown.stderr.decode()
    assert shown.returncode == status, err
    assert "Traceback" not in err
    assert words in err
    assert {path.name for path in tmp_path.iterdir()} - before == ({os.fsdecode(b"\xfe.mp4")} if status == 0 else set())
