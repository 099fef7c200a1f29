import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from vmfm.runtime import BackendError, Bundle, FrameError, MattingStream, StreamError
from vmfm.runtime.backends.openvino_backend import OpenVinoBackend
from vmfm.runtime.bundle import DETAILS, write_bundle
from vmfm.runtime.graph import OUTPUTS, RESULTS, Over, build_graph

Disc = Callable[..., np.ndarray]


def clip(disc: Disc, frames: int = 7) -> list[np.ndarray]:
    return [disc(centre=(60, 40 + 10 * t)) for t in range(frames)]


def test_step_mattes_what_the_nets_say(tiny_bundle: Bundle, disc: Disc) -> None:
    frame = disc()
    with MattingStream(tiny_bundle) as stream:
        matte = stream.step(frame)
    assert matte.frame is frame
    for value in (matte.alpha, matte.deviation):
        assert value.shape == (120, 160) and value.dtype == np.float32
        assert value.min() >= 0 and value.max() <= 1
    assert np.abs(matte.alpha - frame[..., 0] / 255).mean() < 0.02
    unsure = matte.deviation > 0.2
    assert unsure.any() and np.abs(frame[unsure][:, 0] / 255 - 0.5).mean() < 0.45


def test_submit_and_collect_equal_step_and_keep_order(tiny_bundle: Bundle, disc: Disc) -> None:
    frames = clip(disc)
    with MattingStream(tiny_bundle) as stream:
        expected = [stream.step(frame).alpha for frame in frames]
    for slots in (1, 2, 3):
        with MattingStream(tiny_bundle, slots=slots) as stream:
            mattes = []
            for frame in frames:
                if stream.in_flight == stream.slots:
                    mattes.append(stream.collect())
                stream.submit(frame)
            mattes += [stream.collect() for _ in range(stream.in_flight)]
        assert [id(matte.frame) for matte in mattes] == [id(frame) for frame in frames]
        for matte, alpha in zip(mattes, expected, strict=True):
            np.testing.assert_array_equal(matte.alpha, alpha)


def test_one_core_gives_the_same_mattes_on_one_lane(
    tiny_bundle: Bundle, disc: Disc, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mattes() -> list[np.ndarray]:
        with MattingStream(tiny_bundle) as stream:
            return [stream.step(frame).alpha for frame in clip(disc, 3)]

    expected = mattes()
    monkeypatch.setattr("vmfm.runtime.backends.openvino_backend.usable_cores", lambda: 1)
    np.testing.assert_array_equal(mattes(), expected)


def test_one_lane_on_request_gives_the_same_mattes(tiny_bundle: Bundle, disc: Disc) -> None:
    with MattingStream(tiny_bundle) as several, MattingStream(tiny_bundle, one_lane=True) as one:
        for frame in clip(disc, 3):
            np.testing.assert_array_equal(one.step(frame).alpha, several.step(frame).alpha)
        lanes = Counter(thread.name for thread in threading.enumerate() if thread.name.startswith("vmfm-lane"))
    assert lanes["vmfm-lane-main"] == 1 and len(lanes) > 2


def test_detail_is_the_size_at_which_the_nets_look(tiny_bundle: Bundle, disc: Disc) -> None:
    """The nets of this bundle pass on what they see: the finer they look, the nearer is the matte to the frame."""
    frame, errors = disc(), {}
    for detail in DETAILS:
        with MattingStream(tiny_bundle, detail=detail, patches=0) as stream:
            assert stream.detail == detail
            errors[detail] = np.abs(stream.step(frame).alpha - frame[..., 0] / 255).mean()
    assert errors["fast"] > errors["fine"]


def test_detail_may_change_between_frames_and_keeps_no_memory_of_other_sizes(tiny_bundle: Bundle, disc: Disc) -> None:
    frames = clip(disc, 4)
    with MattingStream(tiny_bundle, detail="fast") as stream:
        coarse = stream.step(frames[0]).alpha
        stream.detail = "fine"
        stream.submit(frames[1])
        stream.detail = "fast"  # holds from the next frame on; the one in flight stays as it is
        stream.submit(frames[0])
        changed = [stream.collect().alpha for _ in range(2)]
    with MattingStream(tiny_bundle) as stream:
        np.testing.assert_array_equal(changed[0], stream.step(frames[1]).alpha)
    np.testing.assert_array_equal(changed[1], coarse)


def test_a_detail_that_is_none_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="fast, balanced, fine"):
        MattingStream(tiny_bundle, detail="coarse")  # type: ignore[arg-type]
    with MattingStream(tiny_bundle) as stream, pytest.raises(ValueError, match="coarse"):
        stream.detail = "coarse"  # type: ignore[assignment]


def test_mattes_stay_as_they_were(tiny_bundle: Bundle, disc: Disc) -> None:
    with MattingStream(tiny_bundle, slots=1) as stream:
        first = stream.step(disc())
        kept = first.alpha.copy(), first.deviation.copy()
        stream.step(disc(centre=(30, 30)))
    np.testing.assert_array_equal(first.alpha, kept[0])
    np.testing.assert_array_equal(first.deviation, kept[1])


def test_the_frame_is_copied_on_submit(tiny_bundle: Bundle, disc: Disc) -> None:
    frame = disc()
    with MattingStream(tiny_bundle) as stream:
        expected = stream.step(frame.copy()).alpha
        stream.reset()
        stream.submit(frame)
        frame[:] = 0
        np.testing.assert_array_equal(stream.collect().alpha, expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (15, 17), (33, 65), (241, 319), (64, 8000)])
def test_any_size_works(tiny_bundle: Bundle, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    with MattingStream(tiny_bundle) as stream:
        matte = stream.step(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    assert matte.alpha.shape == matte.deviation.shape == size
    assert np.isfinite(matte.alpha).all()


def test_frames_may_change_size_with_others_in_flight(tiny_bundle: Bundle, disc: Disc) -> None:
    frames = [disc(size=size) for size in [(120, 160), (160, 120), (120, 160), (90, 90), (160, 120)]]
    with MattingStream(tiny_bundle) as stream:
        expected = [stream.step(frame).alpha for frame in frames]
        stream.reset()
        mattes = []
        for frame in frames:
            if stream.in_flight == stream.slots:
                mattes.append(stream.collect())
            stream.submit(frame)
        mattes += [stream.collect() for _ in range(stream.in_flight)]
    for matte, alpha in zip(mattes, expected, strict=True):
        np.testing.assert_array_equal(matte.alpha, alpha)


def test_a_frame_seen_through_a_view_is_the_same_frame(tiny_bundle: Bundle, disc: Disc) -> None:
    frame = disc()
    with MattingStream(tiny_bundle, temporal=False) as stream:
        expected = stream.step(np.ascontiguousarray(frame[::-1, ::-1])).alpha
        np.testing.assert_array_equal(stream.step(frame[::-1, ::-1]).alpha, expected)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("patches", [0, 5, None])
def test_only_the_nodes_asked_for_run(tiny_bundle: Bundle, disc: Disc, output: str, patches: int | None) -> None:
    with MattingStream(tiny_bundle, output=output, patches=patches, temporal=False) as stream:  # type: ignore[arg-type]
        stream.step(disc())
        ran = set(stream.timings.milliseconds)
    assert ran == {node.name for node in build_graph(output, refine=patches != 0, temporal=False)}  # type: ignore[arg-type]


def test_timings_tell_every_node(tiny_bundle: Bundle, disc: Disc) -> None:
    with MattingStream(tiny_bundle) as stream:
        for _ in range(3):
            stream.step(disc())
        timed = {name: len(ms) for name, ms in stream.timings.milliseconds.items()}
        assert timed == {node.name: 3 for node in build_graph()}
        p50, p99 = stream.timings.percentiles(50, 99)["segmentation"]
        assert 0 < p50 <= p99
        stream.timings.clear()
        assert not stream.timings.milliseconds


def test_a_bad_frame_leaves_the_stream_usable(tiny_bundle: Bundle, disc: Disc) -> None:
    with MattingStream(tiny_bundle) as stream:
        with pytest.raises(FrameError, match="wanted uint8"):
            stream.step(np.zeros((4, 4), np.uint8))
        with pytest.raises(FrameError, match="40000x1"):
            stream.step(np.zeros((1, 40_000, 3), np.uint8))
        assert stream.step(disc()).alpha.max() > 0.9


def test_pictures_of_any_size_over_backgrounds_of_theirs(tiny_bundle: Bundle, disc: Disc) -> None:
    with MattingStream(tiny_bundle, deliver=("picture",), temporal=False) as stream:
        for size in [(120, 160), (160, 120), (120, 160), (1, 1), (9, 300)]:
            frame, white = disc(size=size), np.full((*size, 3), 255, np.uint8)
            matte = stream.step(frame, white)
            assert matte.picture.shape == frame.shape and set(matte.results) == {"picture"}
            outside = frame[..., 0] == 0
            assert (matte.picture[outside] > 250).mean() > 0.9 if outside.any() else True
        kept = matte.picture.copy()
        stream.step(frame, np.zeros_like(frame))
        np.testing.assert_array_equal(matte.picture, kept)
        with pytest.raises(StreamError, match=r"holds picture and no alpha: open .* with 'alpha' in `deliver`"):
            _ = matte.alpha


def test_pictures_over_their_own_background_want_none(tiny_bundle: Bundle, disc: Disc) -> None:
    with MattingStream(tiny_bundle, deliver=("alpha", "picture"), over=Over(blur=True)) as stream:
        matte = stream.step(disc())
        assert set(stream.timings.milliseconds) >= {"blur", "composite"}
        assert matte.picture[matte.alpha < 0.05].max() < 60
        with pytest.raises(FrameError, match="got a background"):
            stream.step(disc(), disc())


@pytest.mark.parametrize(
    ("background", "says"),
    [
        (None, "got no background"),
        (np.zeros((120, 161, 3), np.uint8), "background is 161x120 and the frame 160x120"),
        (np.zeros((120, 160), np.uint8), "background is uint8"),
    ],
)
def test_a_background_that_does_not_fit_leaves_the_stream_usable(
    tiny_bundle: Bundle, disc: Disc, background: np.ndarray | None, says: str
) -> None:
    with MattingStream(tiny_bundle, deliver=RESULTS) as stream:
        for _ in range(stream.slots + 1):
            with pytest.raises(FrameError, match=says):
                stream.step(disc(), background)
        assert stream.step(disc(), disc()).picture.max() > 200


def test_unknown_results_are_refused(tiny_bundle: Bundle) -> None:
    for deliver in ((), ("alpha", "mask")):
        with pytest.raises(ValueError, match="wanted one or more of .*picture"):
            MattingStream(tiny_bundle, deliver=deliver)  # type: ignore[arg-type]


def test_out_of_turn_is_told(tiny_bundle: Bundle, disc: Disc) -> None:
    with MattingStream(tiny_bundle, slots=1) as stream:
        with pytest.raises(StreamError, match="nothing is in flight"):
            stream.collect()
        stream.submit(disc())
        with pytest.raises(StreamError, match="all 1 slots are in flight"):
            stream.submit(disc())
        with pytest.raises(StreamError, match="collect them before calling step"):
            stream.step(disc())
        stream.collect()


def test_close_is_idempotent_and_final(tiny_bundle: Bundle, disc: Disc) -> None:
    stream = MattingStream(tiny_bundle)
    stream.submit(disc())
    stream.close()
    stream.close()
    for call in (lambda: stream.step(disc()), lambda: stream.submit(disc()), stream.collect):
        with pytest.raises(StreamError, match="closed"):
            call()


def test_forgetting_to_close_warns(tiny_bundle: Bundle) -> None:
    stream = MattingStream(tiny_bundle)
    with pytest.warns(ResourceWarning, match="not closed"):
        stream.__del__()
    stream.close()


def test_a_constructor_that_fails_does_not_warn_later() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="slots=0"):
            MattingStream("anything", slots=0)


def test_unknown_backend_says_which_there_are(tiny_bundle: Bundle) -> None:
    with pytest.raises(BackendError, match="no backend 'abacus'; there are: auto, .*cpu"):
        MattingStream(tiny_bundle, backend="abacus")


def test_the_backend_in_use_is_told(tiny_bundle: Bundle) -> None:
    with MattingStream(tiny_bundle) as stream:
        assert stream.backend_name == "cpu"
        assert "OpenVINO" in stream.backend_note


def test_a_net_that_is_not_onnx_is_told(tiny_models: dict[str, bytes], tmp_path, disc: Disc) -> None:
    models = tiny_models | {"depth": b"not a model"}
    bundle = write_bundle(tmp_path / "b", models, name="b", pixel_budget=4096, patches=4, trained={}, scores={})
    with pytest.raises(BackendError, match=r"depth\.onnx"), MattingStream(bundle) as stream:
        stream.step(disc())


def test_a_failing_node_ends_in_an_error_and_no_hang(
    tiny_bundle: Bundle, disc: Disc, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MattingStream(tiny_bundle) as stream:
        expected = stream.step(disc()).alpha
        with monkeypatch.context() as patched:
            patched.setattr("vmfm.runtime.backends.host.fuse", lambda *_: 1 / 0)
            with pytest.raises(BackendError, match="division by zero"):
                stream.step(disc())
        np.testing.assert_array_equal(stream.step(disc()).alpha, expected)


def test_a_backend_that_does_not_start_is_closed(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(OpenVinoBackend, "start", lambda self, schedule: 1 / 0)
    monkeypatch.setattr(OpenVinoBackend, "close", lambda self: closed.append(self))
    with pytest.raises(ZeroDivisionError):
        MattingStream(tiny_bundle, backend="cpu")
    assert len(closed) == 1


def test_a_submit_that_is_interrupted_gives_its_slot_back(
    tiny_bundle: Bundle, disc: Disc, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MattingStream(tiny_bundle, backend="cpu", slots=1) as stream:
        expected = stream.step(disc()).alpha
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(stream._backend, "issue", interrupt)
            stream.submit(disc())
        assert (stream.in_flight, stream.slots) == (0, 1)
        np.testing.assert_array_equal(stream.step(disc()).alpha, expected)


def test_what_an_interrupted_submit_has_issued_reaches_no_later_matte(
    tiny_bundle: Bundle, disc: Disc, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    with MattingStream(tiny_bundle, backend="cpu", slots=1) as stream:
        expected = stream.step(disc()).alpha
        backend = stream._backend
        issue, run_net = backend.issue, backend.run_net
        monkeypatch.setattr(backend, "run_net", lambda *of: (time.sleep(rng.uniform(0, 0.005)), run_net(*of))[1])
        for issued in range(1, len(stream._schedule.steps)):

            def half(slot: object, steps: tuple, issued: int = issued) -> None:
                issue(slot, steps[:issued])
                raise KeyboardInterrupt

            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(backend, "issue", half)
                stream.submit(255 - disc())
            np.testing.assert_array_equal(stream.step(disc()).alpha, expected)


def test_a_step_that_is_interrupted_leaves_nothing_in_flight(
    tiny_bundle: Bundle, disc: Disc, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MattingStream(tiny_bundle, backend="cpu") as stream:
        expected = stream.step(disc()).alpha
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(stream._backend, "matte", interrupt)
            stream.step(255 - disc())
        assert (stream.in_flight, stream.slots) == (0, 2)
        np.testing.assert_array_equal(stream.step(disc()).alpha, expected)


def test_frames_of_many_sizes_leave_no_memory_behind(tiny_bundle: Bundle) -> None:
    """Of the nets' size: a folder of photos has one for each of their shapes."""
    with MattingStream(tiny_bundle, backend="cpu") as stream:
        for width in (64, 128, 256, 512):
            stream.step(np.zeros((64, width, 3), np.uint8))
            kept = {slot.shape.net_size for slot in stream._backend._slots}
            assert len(stream._backend._memories) == len(kept) <= stream.slots


def test_more_patches_than_any_backend_takes(tiny_bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="patches=4097.*0 to 4096"):
        MattingStream(tiny_bundle, patches=4097)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_importing_the_runtime_imports_no_net_library() -> None:
    script = "import sys, vmfm.runtime; print(sorted({'torch', 'openvino', 'av', 'onnx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_stream_goes_on_where_another_one_stopped(tiny_bundle: Bundle, disc: Disc) -> None:
    """Half-bright discs that flicker a little: unsure and still, so every matte leans on all before it."""
    flicker = np.random.default_rng(0).integers(0, 3, 9, np.uint8)
    frames = [disc() // 2 + amount for amount in flicker]
    with MattingStream(tiny_bundle) as stream:
        unbroken = [stream.step(frame).alpha for frame in frames]
    with MattingStream(tiny_bundle) as stream:
        alone = stream.step(frames[5]).alpha
    assert not np.array_equal(unbroken[5], alone)  # the memory matters
    for deliver in (("alpha",), ("alpha", "picture")):
        with MattingStream(tiny_bundle, deliver=deliver) as stream:  # type: ignore[arg-type]
            background = (frames[0],) if "picture" in deliver else ()
            assert stream.memory() == {}
            for frame in frames[:5]:
                stream.step(frame, *background)
            memory = stream.memory()
        with MattingStream(tiny_bundle, deliver=deliver, slots=3) as stream:  # type: ignore[arg-type]
            stream.recall(memory)
            for frame, expected in zip(frames[5:], unbroken[5:], strict=True):
                np.testing.assert_array_equal(stream.step(frame, *background).alpha, expected)
            stream.recall({})
            np.testing.assert_array_equal(stream.step(frames[5], *background).alpha, alone)


def test_a_memory_is_asked_for_between_frames(tiny_bundle: Bundle, disc: Disc) -> None:
    with MattingStream(tiny_bundle) as stream:
        stream.submit(disc())
        with pytest.raises(StreamError, match="collect them"):
            stream.memory()
        with pytest.raises(StreamError, match="collect them"):
            stream.recall({})
        stream.collect()
        assert stream.memory()["frame_size"].tolist() == [120, 160]
    with MattingStream(tiny_bundle, temporal=False) as stream:
        stream.step(disc())
        assert stream.memory() == {}
