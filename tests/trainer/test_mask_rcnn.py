"""Mask R-CNN as S-Net: the arithmetic that walks it, without torchvision, and the net itself, where torchvision is there."""

import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from vmfm.trainer.config import TINY
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.model import VMFM
from vmfm.trainer.nets.boxes import decode, paste, survivors
from vmfm.trainer.nets.mask_rcnn import LOSSES, MaskRCNN, people

SIZE = (48, 64)


def boxes_of(*rows):
    return torch.tensor([rows], dtype=torch.float32)


class TestPaste:
    @settings(max_examples=30, deadline=None)
    @given(x=st.floats(-20, 60), y=st.floats(-20, 40), width=st.floats(2, 70), height=st.floats(2, 50))
    def test_it_is_bilinear_sampling_with_zeros_around(self, x, y, width, height):
        mask = torch.rand(1, 1, 7, 7, generator=torch.Generator().manual_seed(0))
        pasted = paste(mask, boxes_of((x, y, x + width, y + height)), SIZE)
        rows = (torch.arange(SIZE[0]) + 0.5 - y) / height * 2 - 1
        columns = (torch.arange(SIZE[1]) + 0.5 - x) / width * 2 - 1
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)[None]
        torch.testing.assert_close(pasted, F.grid_sample(mask, grid, align_corners=False), atol=1e-4, rtol=0)

    def test_a_box_is_drawn_to_where_the_person_is(self):
        truth = paste(torch.ones(1, 1, 7, 7), boxes_of((20, 10, 40, 40)), SIZE)
        box = boxes_of((14, 10, 34, 40)).requires_grad_()
        (paste(torch.ones(1, 1, 7, 7), box, SIZE) - truth).abs().mean().backward()
        x0, _, x1, _ = (-box.grad[0, 0]).tolist()  # the way down
        assert x0 > 0 and x1 > 0


class TestBoxes:
    def test_no_move_keeps_a_box_inside_the_picture(self):
        boxes = boxes_of((5, 6, 20, 30), (-8, -9, 100, 90))
        moved = decode(torch.zeros(1, 2, 4), boxes, (10, 10, 5, 5), SIZE)
        torch.testing.assert_close(moved, boxes_of((5, 6, 20, 30), (0, 0, 64, 48)))

    def test_moves_count_in_the_boxs_own_size(self):
        moved = decode(
            torch.tensor([[[5.0, 0.0, 0.0, 5 * 0.6931472]]]), boxes_of((10, 16, 20, 26)), (10, 10, 5, 5), SIZE
        )
        torch.testing.assert_close(moved, boxes_of((15, 11, 25, 31)))  # half a width to the right, twice as high

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 1000))
    def test_survivors_hardly_overlap_and_the_best_is_one_of_them(self, seed):
        random = torch.Generator().manual_seed(seed)
        corner = 100 * torch.rand(1, 40, 2, generator=random)
        boxes = torch.cat((corner, corner + 5 + 20 * torch.rand(1, 40, 2, generator=random)), dim=-1)
        scores = torch.randn(1, 40, generator=random)
        kept = survivors(boxes, scores, 0.5, 6)[0]
        assert kept[0] == scores[0].argmax()
        assert (scores[0][kept].diff() <= 0).all()
        inner = (torch.minimum(boxes[0, kept, None, 2:], boxes[0, kept, 2:])
                 - torch.maximum(boxes[0, kept, None, :2], boxes[0, kept, :2])).clamp(min=0).prod(-1)  # fmt: skip
        area = (boxes[0, kept, 2:] - boxes[0, kept, :2]).prod(-1)
        assert ((inner / (area[:, None] + area - inner)).fill_diagonal_(0) <= 0.5).all()

    def test_where_fewer_are_left_the_rest_comes_last(self):
        boxes = boxes_of((0, 0, 10, 10), (0, 0, 10, 9), (30, 30, 40, 40))
        assert survivors(boxes, torch.tensor([[2.0, 3.0, 1.0]]), 0.5, 3).tolist() == [[1, 2, 0]]


def test_each_connected_part_of_a_mask_is_a_person():
    mask = torch.zeros(SIZE)
    mask[4:40, 5:20], mask[10:30, 40:50], mask[45, 60] = 1, 0.8, 1  # the last is a speck
    seen = people(mask)
    assert sorted(seen["boxes"].tolist()) == [[5, 4, 20, 40], [40, 10, 50, 30]]
    assert seen["labels"].tolist() == [1, 1]
    assert torch.equal(seen["masks"].amax(0), (mask > 0.5).byte() * (torch.arange(64) < 60))
    nobody = people(torch.zeros(SIZE))
    assert nobody["boxes"].shape == (0, 4) and nobody["masks"].shape == (0, *SIZE)


def test_without_torchvision_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", None)
    with pytest.raises(TrainerError, match=r"pip install 'vmfm\[mask-rcnn\]'"):
        VMFM(replace(TINY, segmentation="mask_rcnn"))


@pytest.fixture(scope="module")
def torchvision():
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no torchvision that fits this torch: {error}")
    return torchvision


@pytest.fixture(scope="module")
def scene():
    """Two pictures of 64x64 with a bright person in each, and his or her mask."""
    image, person = torch.full((2, 3, 64, 64), 0.2), torch.zeros(2, 1, 64, 64)
    for i, (x, y) in enumerate(((8, 10), (30, 4))):
        image[i, :, y : y + 44, x : x + 22] = torch.tensor([0.9, 0.6, 0.5]).view(3, 1, 1)
        person[i, 0, y : y + 44, x : x + 22] = 1
    return image, person


@pytest.fixture(scope="module")
def learned(torchvision, scene):
    """A net that has seen the scene for some steps, and the losses of the first and the last."""
    torch.manual_seed(0)
    net, (image, person) = MaskRCNN().train(), scene
    optimizer = torch.optim.Adam(net.parameters(), 3e-4)
    course = []
    for _ in range(24):
        seen, own = net.learn(image, person, torch.ones_like(person))
        loss = (seen - person).abs().mean() + sum(own.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(float(loss.detach()))
    still = [name for name, weight in net.named_parameters() if weight.grad is None]
    return net.train(), course, still


@pytest.mark.slow
class TestWithTorchvision:
    def test_it_learns_by_its_own_losses_and_by_its_map(self, learned):
        _, course, still = learned
        assert course[-1] < 0.5 * course[0]
        assert still == []

    def test_it_mattes_as_torchvision_does(self, learned, scene):
        """Torchvision's own way through the same weights: its boxes, scores and masks, pasted by its rule."""
        from torchvision.models.detection.image_list import ImageList
        from torchvision.models.detection.roi_heads import paste_masks_in_image

        net, (image, person) = learned[0], scene
        net.encoder.train()  # these batch norms know no other pictures
        net.detector.eval()
        with torch.no_grad():
            ours = net(image)
            normalised = net.normalise(image)
            features = net.encoder(normalised)
            sizes = [(64, 64)] * 2
            proposals, _ = net.detector.rpn(ImageList(normalised, sizes), features)
            found, _ = net.detector.roi_heads(features, proposals, sizes)
        for i, seen in enumerate(found):
            of_people = seen["labels"] == 1
            assert of_people.any()
            masks = paste_masks_in_image(seen["masks"][of_people], seen["boxes"][of_people], (64, 64))
            theirs = (seen["scores"][of_people].view(-1, 1, 1, 1) * masks).amax(0)
            assert (
                ours[i] - theirs
            ).abs().mean() < 0.06  # they paste at whole pixels, and let overlapping boxes go by turns
            assert ((ours[i] > 0.5) & (person[i] > 0.5)).sum() > 0.7 * ((ours[i] > 0.5) | (person[i] > 0.5)).sum()

    def test_a_picture_of_unknown_truth_teaches_nothing(self, learned, scene):
        net, (image, person) = learned[0].train(), scene
        _, own = net.learn(image, person, torch.zeros_like(person))
        assert len(own) == len(LOSSES) and all(float(value) == 0 for value in own.values())

    def test_cocos_weights_fit(self, torchvision, monkeypatch):
        """Such as they are named in the published file, made here by torchvision's own builder."""
        from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights, maskrcnn_resnet50_fpn

        published = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
        published = {k: v for k, v in published.items() if not k.endswith("num_batches_tracked")}
        monkeypatch.setattr(
            type(MaskRCNN_ResNet50_FPN_Weights.COCO_V1), "get_state_dict", lambda self, **options: published
        )
        net = MaskRCNN()
        net.load_pretrained()
        assert torch.equal(net.encoder.body.layer4[2].conv3.weight, published["backbone.body.layer4.2.conv3.weight"])
        assert torch.equal(net.detector.rpn.head.cls_logits.weight, published["rpn.head.cls_logits.weight"])
        assert torch.equal(
            net.detector.roi_heads.mask_predictor.mask_fcn_logits.weight,
            published["roi_heads.mask_predictor.mask_fcn_logits.weight"],
        )
        norm = net.encoder.body.bn1
        torch.testing.assert_close(norm.running_var + norm.eps, published["backbone.body.bn1.running_var"])

    def test_no_download_no_weights(self, torchvision, monkeypatch):
        from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

        def fails(self, **options):
            raise OSError("no route to host")

        monkeypatch.setattr(type(MaskRCNN_ResNet50_FPN_Weights.COCO_V1), "get_state_dict", fails)
        with pytest.raises(TrainerError, match="no route to host.* put that file into"):
            MaskRCNN().load_pretrained()
