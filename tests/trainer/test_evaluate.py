"""Evaluation from a folder of pictures to table, JSON and page, on a data folder drawn here."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rich.console import Console
from vmfm.trainer.data.folders import UNKNOWN, samples
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.evaluate import FunctionPredictor, Settings, StreamPredictor, evaluate, score_case, score_video
from vmfm.trainer.evaluate_scores import METRICS, Scored, metric, score_clip, score_picture, summarise
from vmfm.trainer.evaluate_sets import cover, list_cases, list_clips
from vmfm.trainer.evaluate_table import table_of
from vmfm.trainer.report import as_rgb, contact_sheet, difference, html_report, strip

SIZE = 96
PERSON = np.zeros((SIZE, SIZE), np.uint8)
PERSON[20:90, 30:60] = 255
BOTH = PERSON.copy()
BOTH[40:60, 60:80] = 255


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def data(tmp_path):
    """Two person-object photos, one person photo and four rendered scenes: 1, 11 (dev), 2 and 12 (train)."""
    root, photo = tmp_path / "data", np.full((SIZE, SIZE, 3), 90, np.uint8)
    objects, people = root / "real" / "person_object_labelled", root / "real" / "person_labelled"
    for name in ("coco_1", "ccp_2"):
        write(objects / "images" / f"{name}.jpg", photo)
        write(objects / "person" / f"{name}.png", PERSON)
        write(objects / "person_object" / f"{name}.png", BOTH)
    write(people / "images" / "coco_3.jpg", photo)
    write(people / "person" / "coco_3.png", PERSON)
    splits = {
        "person_object_labelled": {"dev": ["coco_1", "ccp_2"], "train": []},
        "person_labelled": {"dev": ["coco_3"], "train": []},
    }
    (root / "real" / "splits.json").write_text(json.dumps(splits))
    for index in range(3):
        write(root / "real" / "backgrounds" / f"{index}.jpg", np.full((50, 80 + index, 3), 60 * index, np.uint8))
    for seed in (1, 11, 2, 12):
        stem = f"{seed:05}0"
        write(root / "rendered" / "train" / f"{stem}_fg.webp", np.dstack([photo, BOTH]))
        write(root / "rendered" / "train" / f"{stem}_person.png", PERSON)
    return root


def save_alphas(folder, data, alpha_of):
    for case in list_cases(data):
        write(folder / case.dataset.partition("/")[0] / f"{case.name}.png", alpha_of(case.load()))
    return str(folder)


class TestSets:
    def test_the_dev_split_of_photos_and_of_scenes(self, data):
        assert [(case.dataset, case.name) for case in list_cases(data)] == [
            ("person_object/coco", "coco_1"),
            ("person_object/ccp", "ccp_2"),
            ("person", "coco_3"),
            ("rendered", "000010"),
            ("rendered", "000110"),
            ("sharp", "000010"),
            ("sharp", "000110"),
        ]
        assert [case.name for case in list_cases(data, "train")] == ["000020", "000120"] * 2

    def test_what_is_vouched_for_counts_where_it_is_known(self, data):
        label = BOTH.copy()
        label[:20] = UNKNOWN
        for name in ("coco_3", "coco_4"):  # the second is of no split
            write(data / "vouched" / "person_labelled" / "labels" / f"{name}.png", label)
        (case,) = [case for case in list_cases(data) if case.dataset == "vouched/coco"]
        assert case.name == "coco_3"
        picture = case.load()
        matte = BOTH.copy()
        matte[:20] = 255  # wrong only where nobody knows
        assert score_picture(matte, picture) == {"iou": 1.0, "leak": 0.0, "mad_outside_border": 0.0}
        matte[:30] = 255
        assert score_picture(matte, picture)["iou"] < 1

    def test_a_rendered_person_is_laid_over_the_same_background_every_time(self, data):
        case = next(case for case in list_cases(data) if case.dataset == "rendered")
        first, second = case.load(), case.load()
        assert np.array_equal(first.frame, second.frame)
        assert first.frame.shape == (SIZE, SIZE, 3)
        assert np.array_equal(first.alpha, BOTH)
        assert np.unique(first.frame[BOTH == 0]).size <= 3  # one flat background, as far as JPEG goes

    def test_those_who_are_scored_stand_before_photos_that_nobody_learns_from(self, tmp_path):
        folder = tmp_path / "real" / "backgrounds"
        for number in range(40):
            write(folder / "images" / f"photo {number} [1].jpg", np.full((8, 8, 3), 6 * number, np.uint8))
        for scene in (1, 11, 21):
            write(tmp_path / "rendered" / "train" / f"{scene:05}0_fg.webp", np.zeros((8, 8, 4), np.uint8))
            write(tmp_path / "rendered" / "train" / f"{scene:05}0_person.png", np.zeros((8, 8), np.uint8))
        write(tmp_path / "rendered" / "train" / "mine_fg.webp", np.zeros((8, 8, 4), np.uint8))
        shown = {case.load().frame[0, 0, 0] for case in list_cases(tmp_path)}
        learnt, kept = (
            {sample.rgb[0, 0, 0] for sample in samples("backgrounds", folder, split=split)}
            for split in ("train", "dev")
        )
        assert shown and shown <= kept and not kept & learnt
        assert len(kept | learnt) == 40 and len(kept) < len(learnt)

    def test_a_sharp_background_has_finer_detail_than_the_same_one_enlarged(self, tmp_path):
        (tmp_path / "real" / "backgrounds").mkdir(parents=True)
        photo = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8), (0, 0), 1.5)
        write(tmp_path / "real" / "backgrounds" / "0.png", photo)
        for stem, channels in (("000010_fg.webp", 4), ("000010_person.png", 1)):
            write(tmp_path / "rendered" / "train" / stem, np.zeros((144, 112, channels), np.uint8))
        usual, sharp = (case.load() for case in list_cases(tmp_path))
        assert usual.frame.shape == sharp.frame.shape == (144, 112, 3)
        assert np.array_equal(usual.alpha, sharp.alpha)
        assert cv2.Laplacian(sharp.frame, cv2.CV_32F).var() > 4 * cv2.Laplacian(usual.frame, cv2.CV_32F).var()
        middle = sharp.frame[48:96, 24:88]
        assert np.array_equal(sharp.frame[:48, 24:88], middle[::-1])  # it goes on as its mirror image

    def test_cover_fills_the_frame_and_keeps_the_shape(self):
        wide = np.zeros((10, 40, 3), np.uint8)
        wide[:, 12:28] = 255  # the middle 10 x 10 and a margin
        assert cover(wide, 20, 20).min() == 255

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(TrainerError, match="no labelled picture"):
            list_cases(tmp_path)

    def test_an_unknown_split(self, data):
        with pytest.raises(TrainerError, match="dev and train"):
            list_cases(data, "test")

    def test_a_mask_of_another_size(self, data):
        write(data / "real" / "person_labelled" / "person" / "coco_3.png", PERSON[:40])
        case = next(case for case in list_cases(data) if case.dataset == "person")
        with pytest.raises(TrainerError, match="coco_3"):
            case.load()

    def test_a_missing_image(self, data):
        (data / "real" / "person_labelled" / "images" / "coco_3.jpg").unlink()
        case = next(case for case in list_cases(data) if case.dataset == "person")
        with pytest.raises(TrainerError, match="missing"):
            case.load()


class TestEvaluate:
    def test_the_truth_scores_full_marks(self, data, tmp_path):
        result = evaluate(save_alphas(tmp_path / "truth", data, lambda picture: picture.truth), data)
        means = {summary.dataset: summary.means for summary in result.summaries}
        assert means["person_object"]["iou"] == means["person_object"]["object_recall"] == 1
        assert means["person_object"]["leak"] == means["rendered"]["sad"] == means["rendered"]["conn"] == 0
        assert means["person"] == {"person_recall": 1}
        assert {"person_object/coco", "person_object/ccp"} < set(means)

    def test_a_matte_without_the_object_has_no_object_recall(self, data, tmp_path):
        folder = save_alphas(tmp_path / "person", data, lambda picture: picture.person.astype(np.uint8) * 255)
        for summary in evaluate(folder, data, only=["person_object", "rendered"]).summaries:
            assert summary.means["object_recall"] == 0
            assert summary.means["person_recall"] == 1
            assert summary.means["iou"] == pytest.approx(2100 / 2500)
        rendered = summary.means
        assert rendered["sad"] == pytest.approx(0.4)
        assert rendered["mad"] == pytest.approx(1e3 * 400 / SIZE**2)

    def test_sets_without_any_alpha_are_left_out_and_half_sets_refused(self, data, tmp_path):
        folder = save_alphas(tmp_path / "some", data, lambda picture: picture.truth)
        for file in (tmp_path / "some" / "person_object").iterdir():
            file.unlink()
        assert [s.dataset for s in evaluate(folder, data).summaries] == ["person", "rendered", "sharp"]
        (tmp_path / "some" / "rendered" / "000010.png").unlink()
        with pytest.raises(TrainerError, match="lacks 1 of the 2 alphas of rendered"):
            evaluate(folder, data)

    def test_an_alpha_of_another_size(self, data, tmp_path):
        folder = save_alphas(tmp_path / "small", data, lambda picture: picture.truth[:50])
        with pytest.raises(TrainerError, match="must match"):
            evaluate(folder, data)

    def test_an_unknown_set(self, data, tmp_path):
        with pytest.raises(TrainerError, match="person_object/ccp"):
            evaluate(str(tmp_path), data, only=["dogs"])

    def test_a_checkpoint_is_sent_to_export(self, data, tmp_path):
        (tmp_path / "weights.safetensors").touch()
        with pytest.raises(TrainerError, match="vmfm export"):
            evaluate(str(tmp_path), data)

    def test_json_and_page_and_table(self, data, tmp_path):
        folder = save_alphas(tmp_path / "truth", data, lambda picture: picture.truth)
        result = evaluate(folder, data, pictures=True)
        result.write_json(tmp_path / "scores.json")
        result.write_html(tmp_path / "scores.html")
        scores = json.loads((tmp_path / "scores.json").read_text())
        assert scores["summary"]["person_object"]["iou"] == 1
        # renders stand before two kinds of background
        names = ["000010", "000010", "000110", "000110", "ccp_2", "coco_1", "coco_3"]
        assert sorted(case["name"] for case in scores["cases"]) == names
        page = (tmp_path / "scores.html").read_text()
        assert page.count("data:image/jpeg;base64,") == 7 * 5
        assert "http" not in page  # the page needs nothing from elsewhere
        console = Console(width=100, record=True)
        console.print(table_of("scores", result.summaries))
        assert "object recall ↑" in console.export_text()

    def test_reports_are_whole_or_absent(self, data, tmp_path):
        result = evaluate(save_alphas(tmp_path / "truth", data, lambda picture: picture.truth), data)
        (tmp_path / "file").touch()
        with pytest.raises(TrainerError, match="cannot write"):
            result.write_json(tmp_path / "file" / "scores.json")


class TestPredictors:
    def test_any_function_can_be_scored(self, data):
        case = list_cases(data)[0]
        scored = score_case(FunctionPredictor(lambda frame: np.ones(frame.shape[:2], np.float32)), case, pictures=True)
        assert scored.scores["object_recall"] == 1
        assert scored.scores["leak"] == pytest.approx(1000)
        assert [strip.caption for strip in scored.strips] == [""] and len(scored.strips[0].pictures) == 5

    def test_the_stream_forgets_between_pictures_and_not_within_a_clip(self, data, clips):
        calls = []
        stream = SimpleNamespace(
            reset=lambda: calls.append("reset"),
            step=lambda frame: calls.append("step") or SimpleNamespace(alpha=np.zeros(frame.shape[:2], np.float32)),
        )
        predictor = StreamPredictor(stream)
        for case in list_cases(data)[:2]:
            score_case(predictor, case)
        assert calls == ["reset", "step", "reset", "step"]
        calls.clear()
        assert len(list(predictor.clip(clips[0]))) == 4
        assert calls == ["reset", "step", "step", "step", "step"]

    def test_settings_default_to_what_users_run(self):
        assert Settings() == Settings("auto", "complementary", refine=True, temporal=True, detail="fine")
        with pytest.raises(TrainerError, match="complementary, s, d"):
            Settings(output="alpha")
        with pytest.raises(TrainerError, match="fast, balanced, fine"):
            Settings(detail="coarse")


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, colour in (("walk.avi", 3), ("walk_alpha.avi", 255)):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter_fourcc(*"FFV1"), 24, (SIZE, SIZE))
        for index in range(4):
            frame = np.zeros((SIZE, SIZE, 3), np.uint8)
            frame[:, : 8 * index] = colour
            writer.write(frame)
        writer.release()
    return list_clips(folder)


class TestClips:
    def test_truths_are_read_exactly(self, clips):
        assert [clip.name for clip in clips] == ["walk"]
        assert [(truth == 255).sum() for truth in clips[0].truths()] == [0, 8 * SIZE, 16 * SIZE, 24 * SIZE]

    def test_a_perfect_and_a_frozen_matte(self, clips):
        truths = list(clips[0].truths())
        assert score_clip(truths, clips[0].truths())["dtssd"] == 0
        frozen = score_clip([truths[0]] * 4, truths)
        assert frozen["dtssd"] == pytest.approx(100 * (8 / SIZE) ** 0.5)
        assert frozen["sad"] == pytest.approx(8 * SIZE * 1.5 / 1000)

    def test_a_clip_that_ends_early(self, clips):
        truths = list(clips[0].truths())
        with pytest.raises(TrainerError, match="frame 3 has no matte"):
            score_clip(truths[:3], truths)

    def test_saved_alphas_of_a_clip(self, data, clips, tmp_path):
        for index, truth in enumerate(clips[0].truths()):
            write(tmp_path / "alphas" / "walk" / f"frame_{index + 8}.png", truth)  # 10 comes after 9
        save_alphas(tmp_path / "alphas", data, lambda picture: picture.truth)
        result = evaluate(str(tmp_path / "alphas"), data, clips=tmp_path / "clips", only=["clip", "person"])
        assert [summary.dataset for summary in result.summaries] == ["person", "clip"]
        assert result.summaries[1].means["dtssd"] == 0

    def test_alphas_of_clips_alone(self, data, clips, tmp_path):
        for index, truth in enumerate(clips[0].truths()):
            write(tmp_path / "alphas" / "walk" / f"frame_{index}.png", truth)
        for only in ([], ["clip"]):
            result = evaluate(str(tmp_path / "alphas"), data, clips=tmp_path / "clips", only=only)
            assert [summary.dataset for summary in result.summaries] == ["clip"]
        with pytest.raises(TrainerError, match="holds no alpha"):
            evaluate(str(tmp_path / "alphas"), data, only=["person"])

    def test_the_page_shows_the_worst_frames_of_a_clip_first(self, tmp_path):
        def save(name, widths):
            writer = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter_fourcc(*"FFV1"), 24, (SIZE, SIZE))
            for width in widths:
                frame = np.zeros((SIZE, SIZE, 3), np.uint8)
                frame[:, :width] = 255
                writer.write(frame)
            writer.release()

        save("walk.avi", [0] * 40)
        save("walk_alpha.avi", [2] * 14 + [30] + [5] * 15 + [20] * 10)
        (clip,) = list_clips(tmp_path)
        nothing = FunctionPredictor(lambda frame: np.zeros(frame.shape[:2], np.float32))
        scored = score_video(nothing, clip, pictures=True)
        # the worst of every 12 frames: 0..11, 12..23, 24..35, 36..39
        assert [strip.caption for strip in scored.strips] == [
            "frame 14: sad 2.880", "frame 30: sad 1.920", "frame 36: sad 1.920", "frame 0: sad 0.192",
        ]  # fmt: skip
        assert scored.scores == score_video(nothing, clip).scores
        page = html_report("walk", {}, summarise([scored]))
        assert page.count("<img") == 4 * 5
        assert page.index("frame 14") < page.index("frame 30") < page.index("frame 0:")

    def test_a_folder_without_pairs(self, tmp_path):
        with pytest.raises(TrainerError, match="true alpha"):
            list_clips(tmp_path)


class TestSummaries:
    def test_missing_scores_do_not_count(self):
        cases = [Scored("a/x", "1", {"iou": 0.5, "object_recall": None}), Scored("a/y", "2", {"iou": 1.0})]
        whole, x, y = summarise(cases)
        assert (whole.dataset, x.dataset, y.dataset) == ("a", "a/x", "a/y")
        assert whole.means == {"iou": 0.75}

    def test_worst_first_by_what_the_set_has(self):
        cases = [Scored("a", name, {"iou": value}) for name, value in (("good", 0.9), ("bad", 0.1), ("fair", 0.5))]
        assert [case.name for case in summarise(cases)[0].worst_first()] == ["bad", "fair", "good"]
        errors = [Scored("b", name, {"sad": value, "iou": 1.0}) for name, value in (("good", 1.0), ("bad", 9.0))]
        assert [case.name for case in summarise(errors)[0].worst_first()] == ["bad", "good"]

    def test_every_metric_is_named_once(self):
        assert len({m.name for m in METRICS}) == len(METRICS)
        with pytest.raises(TrainerError, match="dtssd"):
            metric("psnr")


class TestPage:
    def test_worst_first_and_no_more_than_twelve_of_a_set(self):
        frame = np.zeros((20, 20, 3), np.uint8)
        shown = (strip(frame, frame[..., 0], frame[..., 0]),)
        cases = [Scored("a", f"case{i:02}", {"sad": float(i % 7 * 3 + i)}, shown) for i in range(15)]
        page = html_report("a", {}, summarise(cases))
        expected = sorted(cases, key=lambda case: -case.scores["sad"])
        places = [page.find(f"<h3>{case.name}</h3>") for case in expected]
        assert places[:12] == sorted(places[:12]) and min(places[:12]) > 0
        assert places[12:] == [-1, -1, -1]

    def test_the_difference_tells_too_much_from_too_little(self):
        alpha, truth = np.array([[255, 0, 128, 77]], np.uint8), np.array([[0, 255, 128, 77]], np.uint8)
        assert difference(alpha, truth).tolist() == [[[255, 0, 0], [0, 0, 255], [255] * 3, [255] * 3]]
        assert np.array_equal(
            difference(alpha.astype(np.float32) / 255, truth > 100)[0, :2], [[255, 0, 0], [0, 0, 255]]
        )

    def test_names_are_text_and_not_markup(self):
        page = html_report("<b>", {"k": "<i>"}, summarise([Scored("a", "<u>", {"sad": 1.0}, ())]))
        assert "<b>" not in page.replace('<b class="', "") and "<i>" not in page and "<u>" not in page


class TestContactSheet:
    def test_pictures_of_every_kind_in_one_grid(self, tmp_path):
        rows = [
            [np.zeros((40, 20, 3), np.uint8), np.ones((30, 60), np.float32)],
            [np.ones((10, 10), bool)],
        ]
        path = contact_sheet(rows, tmp_path / "sheets" / "first.png", cell_px=32)
        sheet = cv2.imread(str(path))
        assert sheet.shape == (2 * 36 + 4, 2 * 36 + 4, 3)
        assert (sheet == 255).all(axis=2).sum() == 32 * 16 + 32 * 32
        assert [file.name for file in path.parent.iterdir()] == ["first.png"]

    @pytest.mark.parametrize("rows", [[], [[]], [[np.zeros((4, 4, 4), np.uint8)]], [[np.zeros((4, 4), np.int32)]]])
    def test_what_cannot_be_shown(self, rows, tmp_path):
        with pytest.raises(TrainerError):
            contact_sheet(rows, tmp_path / "sheet.png")

    def test_an_unknown_file_type(self, tmp_path):
        with pytest.raises(TrainerError, match="jpg or .png"):
            contact_sheet([[np.zeros((4, 4))]], tmp_path / "sheet.gif")

    def test_floats_out_of_range_are_clipped(self):
        assert as_rgb(np.array([[-1.0, 0.5, 2.0, np.nan]]))[0, :, 0].tolist() == [0, 128, 255, 0]


def test_mattes_of_renders_are_not_those_before_sharp_photos(data_folder, tmp_path):
    """Both are called alike."""
    renders = [case for case in list_cases(data_folder, "train") if case.dataset == "rendered"]
    for case in renders:
        write(tmp_path / f"{case.name}.png", case.load().truth)
    found = evaluate(str(tmp_path), data_folder, split="train", only=["rendered", "sharp"])
    assert [summary.dataset for summary in found.summaries] == ["rendered"]
