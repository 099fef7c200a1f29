"""The stages of training as data: which nets learn, for how long, from which losses. The loop is in train.py."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from vmfm.trainer import losses, sharpen
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.model import VMFM

Terms = dict[str, Tensor]
OBJECT_WEIGHT = 3.0  # pixels of held things are few, and they are what this is about


@dataclass(frozen=True)
class Stage:
    """One stage. `name` picks the objective below; `trains` names attributes of VMFM, the rest stays frozen.

    sizes: (height, width) of the nets' input, one is drawn for every batch. weights: of the objective's terms, 1 by default.
    """

    name: str
    trains: tuple[str, ...]
    steps: int
    batch: int
    learning_rate: float
    sizes: tuple[tuple[int, int], ...]
    weights: dict[str, float] = field(default_factory=dict)


def _modality_terms(model: VMFM, batch: Batch, segmentation: Tensor, depth: Tensor, heatmap: Tensor) -> Terms:
    return {
        "segmentation": losses.segmentation_loss(segmentation, batch.person, batch.person_known),
        "depth": losses.depth_loss(depth, batch.depth, batch.depth_known),
        "heatmap": losses.heatmap_loss(heatmap, batch.heatmap, batch.all_points_known),
    }


def modality(model: VMFM, batch: Batch) -> Terms:
    """S, D and I, each from its own labels."""
    image = batch.image
    return _modality_terms(model, batch, model.segmentation(image), model.depth(image), model.interaction(image))


def matting(model: VMFM, batch: Batch) -> Terms:
    """Both foreground nets and CL (L_a, L_com, L_c), the modality nets learning along.

    They keep their own losses, but also feel what the matte needs: the narrow channels between them and the
    foreground nets then carry what a detector's labels alone would not teach.
    """
    seen = model(batch.image)
    thing = ((batch.alpha > 0.5) & (batch.person < 0.5) & (batch.person_known > 0)).float()
    known = batch.alpha_known * (1 + (OBJECT_WEIGHT - 1) * thing)
    terms = _modality_terms(model, batch, seen.segmentation, seen.depth, seen.heatmap)
    deviations = {}
    for m, alpha in (("s", seen.alpha_s), ("d", seen.alpha_d)):
        deviation = deviations[m] = getattr(model.complementary, m)(batch.image, alpha.detach())
        terms |= {
            f"matte_{m}": losses.matte_loss(alpha, batch.alpha, known),
            f"composite_{m}": losses.composite_loss(
                alpha, batch.foreground, batch.background, batch.image, batch.composed
            ),
            f"deviation_{m}": losses.deviation_loss(deviation, alpha, batch.alpha, batch.alpha_known),
        }
    # what people see: the fused matte teaches CL to tell the better net even where both are sure
    fused, _ = sharpen.fuse(seen.alpha_s, deviations["s"], seen.alpha_d, deviations["d"])
    return terms | {"matte_fused": losses.matte_loss(fused, batch.alpha, known)}


def refine(model: VMFM, batch: Batch) -> Terms:
    """RN on the least sure patches at the camera's own resolution; L_a on the patches (section 3.3)."""
    with torch.no_grad():
        seen = model(batch.image)
        branch = model.complementary
        alpha, deviation = sharpen.fuse(
            seen.alpha_s, branch.s(batch.image, seen.alpha_s), seen.alpha_d, branch.d(batch.image, seen.alpha_d)
        )
        fine = sharpen.guided_upsample(alpha, batch.image, batch.fine_image)
        deviation = torch.nn.functional.interpolate(deviation, size=fine.shape[-2:], mode="bilinear")
        corners = sharpen.top_patches(deviation, model.config.patches // 4)
        planes = torch.cat((fine, batch.fine_image, batch.fine_alpha, batch.fine_alpha_known), 1)
        given, truth, known = sharpen.gather(planes, corners).split((4, 1, 1), dim=1)
    refined = model.refinement(given)
    return {
        "matte_refined": losses.matte_loss(refined, truth, known),
        "matte_given": losses.matte_loss(given[:, :1], truth, known),
    }


OBJECTIVES: dict[str, Callable[[VMFM, Batch], Terms]] = {
    objective.__name__: objective for objective in (modality, matting, refine)
}
