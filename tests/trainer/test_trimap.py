"""Pseudo-trimaps: the rule of appendix A.2, and the command that applies it to a folder."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.trimap import filled, images_of, pseudo_trimap, write_trimaps


class TestRule:
    def test_by_hand(self):
        person = np.array([[1.0, 0.96, 0.95, 0.5, 0.05, 0.04, 0.0]])
        circled = np.array([[1, 0, 0, 0, 0, 1, 0]], bool)
        assert pseudo_trimap(person).tolist() == [[255, 255, 128, 128, 128, 0, 0]]
        # what is surely person stays foreground inside the circle; the rest of it becomes unknown
        assert pseudo_trimap(person, circled).tolist() == [[255, 255, 128, 128, 128, 128, 0]]

    def test_8_bit_probabilities(self):
        assert pseudo_trimap(np.array([[255, 243, 242, 13, 12, 0]], np.uint8)).tolist() == [[255, 255, 128, 128, 0, 0]]

    @given(
        arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32)),
        arrays(bool, (6, 7)),
    )
    def test_circling_never_moves_what_is_sure_person_and_only_adds_unknown(self, person, circled):
        before, after = pseudo_trimap(person), pseudo_trimap(person, circled)
        assert set(np.unique(after)) <= {0, 128, 255}
        assert ((after == 255) == (before == 255)).all()
        assert (after[before != after] == 128).all()
        assert not (circled & (after == 0)).any()

    @pytest.mark.parametrize("person", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.int32)])
    def test_what_is_no_probability(self, person):
        with pytest.raises(TrainerError):
            pseudo_trimap(person)

    def test_a_circle_of_another_size(self):
        with pytest.raises(TrainerError, match="must match"):
            pseudo_trimap(np.zeros((4, 4)), np.zeros((5, 4), bool))


class TestFilled:
    def test_a_ring_and_a_disc_enclose_the_same(self):
        ring, disc = np.zeros((60, 60), np.uint8), np.zeros((60, 60), np.uint8)
        cv2.circle(ring, (30, 30), 20, 255, 2)
        cv2.circle(disc, (30, 30), 20, 255, 2)
        cv2.circle(disc, (30, 30), 20, 255, -1)
        assert filled(ring)[30, 30]
        assert np.array_equal(filled(ring), filled(disc))
        assert not filled(np.zeros((8, 8), np.uint8)).any()


class TestFolder:
    @pytest.fixture
    def folders(self, tmp_path):
        for name in ("people", "objects"):
            (tmp_path / name).mkdir()
        person = np.zeros((40, 40), np.uint8)
        person[:, :10] = 255
        for name in ("a", "b"):
            cv2.imwrite(str(tmp_path / "people" / f"{name}.png"), person)
        ring = np.zeros((40, 40), np.uint8)
        cv2.rectangle(ring, (5, 10), (30, 20), 255, 1)
        cv2.imwrite(str(tmp_path / "objects" / "b.png"), ring)
        return tmp_path

    def test_pictures_with_and_without_a_circle(self, folders):
        written = list(write_trimaps(folders / "people", folders / "out", objects=folders / "objects"))
        assert [path.name for path in written] == ["a.png", "b.png"]
        a, b = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in written)
        assert a.ndim == 2 and np.unique(a).tolist() == [0, 255]
        assert np.unique(b).tolist() == [0, 128, 255]
        assert (b == 128).sum() == 11 * (30 - 9)  # the circle without the person's ten columns

    def test_a_net_may_say_where_the_person_is(self, folders):
        def segment(frame):
            assert frame.shape == (40, 40, 3)
            return np.ones(frame.shape[:2], np.float32)

        first = next(write_trimaps(folders / "people", folders / "out", segment=segment))
        assert cv2.imread(str(first), cv2.IMREAD_UNCHANGED).min() == 255

    def test_a_circle_without_a_picture(self, folders):
        (folders / "people" / "b.png").unlink()
        with pytest.raises(TrainerError, match="b.png"):
            list(write_trimaps(folders / "people", folders / "out", objects=folders / "objects"))
        assert not (folders / "out").exists()

    def test_folders_that_are_missing_empty_or_ambiguous(self, folders, tmp_path):
        with pytest.raises(TrainerError, match="no folder"):
            images_of(tmp_path / "nowhere")
        (tmp_path / "empty").mkdir()
        with pytest.raises(TrainerError, match="holds no image"):
            images_of(tmp_path / "empty")
        cv2.imwrite(str(folders / "people" / "a.jpg"), np.zeros((4, 4), np.uint8))
        with pytest.raises(TrainerError, match="keep one"):
            images_of(folders / "people")
