"""A teacher speaks only where it is sure, and hints never overrule what people labelled."""

import cv2
import numpy as np
import pytest
import torch
from vmfm.trainer.config import TINY
from vmfm.trainer.data.folders import UNKNOWN, samples
from vmfm.trainer.data.teach import BACKGROUND, FOREGROUND, net_size, reliable, teach_folder
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.model import VMFM


class Certain(VMFM):
    """Says 1 on the left half and 0 on the right, whatever it sees; CL expects `deviation` everywhere."""

    def __init__(self, deviation: float) -> None:
        super().__init__(TINY)
        self.foreground_s.forward = self.foreground_d.forward = self._bright  # type: ignore[method-assign]
        for branch in (self.complementary.s, self.complementary.d):
            branch.forward = lambda image, alpha: torch.full_like(alpha, deviation)  # type: ignore[method-assign]

    @staticmethod
    def _bright(image: torch.Tensor, heatmap: torch.Tensor, modality: torch.Tensor) -> torch.Tensor:
        return (image.mean(1, keepdim=True) > 0.5).float()


def half_white(height: int = 50, width: int = 90) -> np.ndarray:
    photo = np.zeros((height, width, 3), np.uint8)
    photo[:, : width // 2] = 255
    return photo


def test_what_all_views_agree_on_is_taught() -> None:
    label = reliable(Certain(0.0).eval(), half_white())
    assert label.shape == (50, 90)
    assert (label[:, :40] == FOREGROUND).all() and (label[:, 50:] == BACKGROUND).all()


def test_where_cl_expects_errors_nothing_is_taught() -> None:
    assert (reliable(Certain(0.9).eval(), half_white()) == UNKNOWN).all()


@pytest.mark.parametrize(("height", "width"), [(480, 640), (512, 338), (100, 100), (40, 900)])
def test_the_net_size_keeps_budget_and_aspect(height: int, width: int) -> None:
    h, w = net_size(height, width, 86016)
    assert h % 32 == w % 32 == 0
    assert (h > w) == (height > width) or height == width
    assert 0.5 < h * w / 86016 < 1.5


def test_labels_fill_only_what_nobody_labelled(tmp_path) -> None:
    folder = tmp_path / "people"
    for part in ("images", "person"):
        (folder / part).mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "a.jpg"), half_white(120, 200))
    person = np.zeros((120, 200), np.uint8)
    person[40:80, 120:160] = 255  # where the teacher sees background
    cv2.imwrite(str(folder / "person" / "a.png"), person)
    (folder / "interactions.json").write_text(
        '{"images": {"a": {"persons": [{"box": [120, 40, 40, 40]}], "objects": [], "pairs": []}}}'
    )
    assert teach_folder(Certain(0.0).eval(), folder, tmp_path / "taught") == {"taught": 1, "kept": 0}
    assert teach_folder(Certain(0.0).eval(), folder, tmp_path / "taught") == {"taught": 0, "kept": 1}
    (plain,) = samples("people", folder)
    (hinted,) = samples("people", folder, taught=tmp_path / "taught")
    known = plain.alpha_unknown == 0
    assert (hinted.alpha[known] == plain.alpha[known]).all()
    assert (hinted.alpha_unknown > 0).sum() < (plain.alpha_unknown > 0).sum()
    assert hinted.alpha[60, 140] == 255


def test_a_folder_without_photos_is_refused(tmp_path) -> None:
    with pytest.raises(TrainerError, match="images"):
        teach_folder(Certain(0.0), tmp_path, tmp_path / "out")
