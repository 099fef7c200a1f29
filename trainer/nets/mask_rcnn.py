"""S-Net as Mask R-CNN (He et al. 2017, the paper's [14]), torchvision's, with its masks pasted into one map of people.

torchvision trains and holds the net. Its own way from features to masks depends on what is found: lists of any length,
masks pasted one by one at whole pixels. Ours walks the same layers with a fixed number of proposals and people, so that
every shape of the exported net is known, and pastes by arithmetic that has a gradient in masks, scores and boxes. Its
operator RoiAlign runs in OpenVINO; TensorRT has it as a plugin, and our rewriting to fp16 does not know it.
"""

from collections.abc import Mapping
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.losses import weighted_mean
from vmfm.trainer.nets.blocks import Normalise
from vmfm.trainer.nets.boxes import decode, paste, survivors
from vmfm.trainer.nets.modality import ModalityNet

CLASSES, PERSON = 91, 1  # COCO's, as in torchvision's weights; 0 is background
STRIDES = (4, 8, 16, 32)  # of the feature maps that boxes are looked at in; a fifth one only proposes
CANDIDATES, PROPOSALS, PEOPLE = 512, 64, 16  # boxes a picture: looked at for overlap, classified, and given a mask
PROPOSAL_OVERLAP, PERSON_OVERLAP = 0.7, 0.5  # IoU above which the lower of two boxes goes
BOX_PX, MASK_PX, SAMPLES = 7, 14, 2  # sides of what the heads see of a box; samples along a side of each pixel of it
CANONICAL_PX, CANONICAL_LEVEL = 224.0, 2  # a box of this side is looked at at 1/16
LEARNT_FROM, DRAWN = 500, 128  # in training: boxes a picture, and how many are drawn; torchvision's are for crowds
NORM_EPS = 1e-5  # what torch's batch norms add to the variance
SMALLEST_PERSON = 0.0005  # of the picture; smaller pieces of a person's mask teach nothing

LOSSES = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask")  # torchvision's names

Features = Mapping[str, Tensor]


class MaskRCNN(ModalityNet):
    """image (N, 3, H, W) in [0, 1] -> person probability (N, 1, H, W) in [0, 1]; H and W multiples of 32, H W >= 4096.

    Where masks of several people lie over each other the highest of score x mask counts.
    """

    replayable = False

    def __init__(self) -> None:
        super().__init__()
        try:
            from torchvision.models.detection import MaskRCNN as Torchvision
            from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
        except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision made for another torch
            raise TrainerError(
                f"Mask R-CNN needs torchvision of the release that belongs to this torch ({error}); "
                "install it with: pip install 'vmfm[mask-rcnn]', or choose segmentation = \"autoencoder\""
            ) from error
        backbone = resnet_fpn_backbone(
            backbone_name="resnet50", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
        )
        whole = Torchvision(backbone, CLASSES, rpn_post_nms_top_n_train=LEARNT_FROM, box_batch_size_per_image=DRAWN)
        self.normalise = Normalise()
        self.encoder = whole.backbone
        self.detector = Detector(whole.rpn, whole.roi_heads)

    def forward(self, image: Tensor) -> Tensor:
        image = self.normalise(image)
        return self.detector(image, self.encoder(image))

    def learn(self, image: Tensor, truth: Tensor, known: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Also Mask R-CNN's own losses: proposals, classes, boxes and masks. Each connected part of the truth is a person.

        A picture whose truth is not known in the greater part teaches nothing here.
        """
        image = self.normalise(image)
        features = self.encoder(image)
        taught = [i for i, share in enumerate(known.expand_as(truth).mean((1, 2, 3)).tolist()) if share > 0.5]
        nothing = dict.fromkeys(LOSSES, truth.sum() * 0)
        losses = self.detector.losses(image, features, truth, taught) if taught else nothing
        weight = truth.new_tensor(float(len(taught)))
        named = {f"mask_rcnn_{name.removeprefix('loss_')}": weighted_mean(losses[name], weight) for name in LOSSES}
        return self.detector(image, features), named

    def load_pretrained(self) -> None:
        """Weights from COCO, which torchvision downloads (BSD-3-Clause)."""
        from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

        weights = MaskRCNN_ResNet50_FPN_Weights.COCO_V1
        try:
            published = weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            folder = f"{torch.hub.get_dir()}/checkpoints"
            raise TrainerError(f"cannot download {weights.url} ({error}); put that file into {folder}") from error
        parts = {"backbone": self.encoder, "rpn": self.detector.rpn, "roi_heads": self.detector.roi_heads}
        for prefix, part in parts.items():
            own = {name: value for name, value in published.items() if name.startswith(f"{prefix}.")}
            # they were frozen with nothing added to the variance; ours add a little
            own = {name: value - NORM_EPS if name.endswith("running_var") else value for name, value in own.items()}
            lacking, _ = part.load_state_dict({k.removeprefix(f"{prefix}."): v for k, v in own.items()}, strict=False)
            if lacking := [name for name in lacking if not name.endswith("num_batches_tracked")]:
                raise TrainerError(
                    f"the weights at {weights.url} have no {prefix}.{lacking[0]}; wanted those of COCO_V1"
                )


class Detector(nn.Module):
    """Torchvision's proposals and heads, walked with fixed numbers of boxes (see the module's text)."""

    def __init__(self, rpn: nn.Module, roi_heads: nn.Module) -> None:
        super().__init__()
        self.rpn, self.roi_heads = cast(Any, rpn), cast(Any, roi_heads)

    def forward(self, image: Tensor, features: Features) -> Tensor:
        """image (N, 3, H, W) normalised -> (N, 1, H, W) in [0, 1]."""
        size = cast(tuple[int, int], image.shape[-2:])
        boxes = self._propose(image, features)
        scores, boxes = self._classify(features, boxes, size)
        chosen = survivors(boxes.detach(), scores.detach(), PERSON_OVERLAP, PEOPLE)
        scores, boxes = _pick(scores, chosen), _pick(boxes, chosen)
        masks = self._masks(features, boxes.detach())
        return (scores[..., None, None] * paste(masks, boxes, size)).amax(dim=1, keepdim=True)

    def losses(self, image: Tensor, features: Features, truth: Tensor, taught: list[int]) -> dict[str, Tensor]:
        """LOSSES on the pictures `taught`, of which there has to be one."""
        from torchvision.models.detection.image_list import ImageList

        size = cast(tuple[int, int], image.shape[-2:])
        sizes = [size] * len(taught)
        targets = [people(truth[i, 0]) for i in taught]
        features = {name: feature[taught] for name, feature in features.items()}
        mode = self.training
        self.train()
        # which boxes are drawn to learn from follows from the pictures, so that a resumed training draws the same
        with torch.random.fork_rng([image.device] if image.is_cuda else []):
            torch.manual_seed(int(truth.double().sum() * 1000))
            proposals, proposing = self.rpn(ImageList(image[taught], sizes), features, targets)
            _, judging = self.roi_heads(features, proposals, sizes, targets)
        self.train(mode)
        return {**proposing, **judging}

    def _propose(self, image: Tensor, features: Features) -> Tensor:
        """(N, PROPOSALS, 4): boxes x0, y0, x1, y1 in pixels that may hold something; no gradient runs through them."""
        from torchvision.models.detection.image_list import ImageList

        maps = list(features.values())
        objectness, deltas = self.rpn.head(maps)
        size = cast(tuple[int, int], image.shape[-2:])
        (anchors,) = self.rpn.anchor_generator(ImageList(image[:1], [size]), maps)
        scores = torch.cat([level.permute(0, 2, 3, 1).flatten(1) for level in objectness], dim=1).detach()
        moves = torch.cat([_by_anchor(level) for level in deltas], dim=1).detach()
        best, chosen = scores.topk(min(CANDIDATES, int(scores.shape[1])), dim=1)
        candidates = decode(_pick(moves, chosen), anchors[chosen], self.rpn.box_coder.weights, size)
        return _pick(candidates, survivors(candidates, best, PROPOSAL_OVERLAP, PROPOSALS))

    def _classify(self, features: Features, boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Of each box (N, P, 4): how likely it is a person (N, P), and the box (N, P, 4) drawn closer around the person."""
        heads = self.roi_heads
        logits, moves = heads.box_predictor(heads.box_head(_look(features, boxes, BOX_PX)))
        scores = logits.float().softmax(-1)[:, PERSON].view(boxes.shape[:2])
        moves = moves.float()[:, 4 * PERSON : 4 * PERSON + 4].view(boxes.shape)
        return scores, decode(moves, boxes, heads.box_coder.weights, size)

    def _masks(self, features: Features, boxes: Tensor) -> Tensor:
        """Of each box (N, P, 4) the person's mask within it, (N, P, 28, 28) in [0, 1]."""
        heads = self.roi_heads
        masks = heads.mask_predictor(heads.mask_head(_look(features, boxes, MASK_PX)))[:, PERSON]
        return torch.sigmoid(masks.float()).view(*boxes.shape[:2], *masks.shape[-2:])


def people(mask: Tensor) -> dict[str, Tensor]:
    """What torchvision wants to know of a picture, from coverage (H, W) in [0, 1]: each connected part is a person."""
    solid = (mask.detach() > 0.5).to(torch.uint8).cpu().numpy()
    count, parts, stats, _ = cv2.connectedComponentsWithStats(solid)
    kept = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= SMALLEST_PERSON * solid.size]
    corners = stats[kept][:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    corners[:, 2:] += corners[:, :2]
    masks = np.stack([parts == i for i in kept]) if kept else np.zeros((0, *solid.shape), bool)
    return {
        "boxes": torch.from_numpy(corners).float().reshape(-1, 4).to(mask.device),
        "labels": torch.full((len(kept),), PERSON, device=mask.device),
        "masks": torch.from_numpy(masks.astype(np.uint8)).to(mask.device),
    }


def _by_anchor(moves: Tensor) -> Tensor:
    """(N, 4 A, H, W) -> (N, H W A, 4)."""
    return moves.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)


def _pick(values: Tensor, chosen: Tensor) -> Tensor:
    """values (N, P) or (N, P, C) at `chosen` (N, K) -> (N, K) or (N, K, C)."""
    return values.gather(1, chosen if values.dim() == 2 else chosen[..., None].expand(-1, -1, values.shape[-1]))


def _look(features: Features, boxes: Tensor, side: int) -> Tensor:
    """What the features hold in boxes (N, P, 4): (N P, C, side, side), each box at the level that suits its size.

    Every level is read for every box and one is kept: a few times the work of little, and no list of unknown length.
    """
    from torchvision.ops import roi_align

    batch, count, _ = boxes.shape
    flat = boxes.reshape(-1, 4)
    owner = torch.arange(batch, device=boxes.device).repeat_interleave(count).to(flat.dtype)
    rois = torch.cat((owner[:, None], flat), dim=1)
    extent = (flat[:, 2:] - flat[:, :2]).prod(-1).clamp(min=1e-6).sqrt()
    level = (CANONICAL_LEVEL + torch.log2(extent / CANONICAL_PX) + 1e-6).floor().clamp(0, len(STRIDES) - 1)
    seen = 0
    for index, (feature, stride) in enumerate(zip(features.values(), STRIDES)):
        view = roi_align(feature, rois, side, 1 / stride, SAMPLES)
        seen = seen + view * (level == index).to(view.dtype)[:, None, None, None]
    return cast(Tensor, seen)
