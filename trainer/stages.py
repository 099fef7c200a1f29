"""The stages of training as data: which nets learn, for how long, from which losses. The loop is in train.py."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call
from vmfm.trainer import losses, sharpen
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.model import VMFM, Prediction
from vmfm.trainer.nets.discriminator import Discriminator

Terms = dict[str, Tensor]
TRAINABLE = ("segmentation", "depth", "interaction", "foreground_s", "foreground_d", "complementary", "refinement")
OBJECT_WEIGHT = 3.0  # pixels of held things are few, and they are what this is about


@dataclass(frozen=True)
class Stage:
    """One stage. `name` picks the objective below; `trains` names attributes of VMFM, the rest stays frozen.

    A stage is as long as its `steps`, or where these are 0 as `epochs` passes over its pictures.
    batch: pictures to a step, all processes together. micro_batch: how many of them a process takes through the nets at
    a time, 0 for all of its own; less fits a smaller GPU and changes no loss, only batch norms see fewer pictures.
    sizes: (height, width) of the nets' input, one is drawn for every batch. kinds: of the sources to draw from, () is
    all. weights: of the objective's terms, 1 by default; "matte" stands for both "matte_s" and "matte_d".
    fixed_norms: batch norms keep the statistics that they have, for training on with few pictures to a step.
    """

    name: str
    trains: tuple[str, ...]
    batch: int
    learning_rate: float
    sizes: tuple[tuple[int, int], ...]
    steps: int = 0
    epochs: float = 0.0
    micro_batch: int = 0
    fixed_norms: bool = False
    kinds: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    final_rate: float = 0.02  # share of the learning rate that is left at the end; 1 keeps it as it is
    discriminator_every: int = 4  # steps of the foreground nets to one of the discriminator
    threshold: float = 0.5  # tau: a deviation above it is no longer trusted
    teach_below_threshold: bool = False  # Eq. 10 as the equation has it, rather than the text

    def weight(self, term: str) -> float:
        """Of one of the objective's terms."""
        return self.weights.get(term, self.weights.get(_both(term), 1.0))

    def unknown_weights(self, terms: Terms) -> list[str]:
        """Names in `weights` that no term has."""
        return sorted(set(self.weights) - set(terms) - {_both(term) for term in terms})


def _both(term: str) -> str:
    return term.removesuffix("_s").removesuffix("_d")


class Nets(nn.Module):
    """All that learns: `model` is what it is about, `discriminator` only drives it and is not shipped."""

    def __init__(self, model: VMFM, discriminator: Discriminator) -> None:
        super().__init__()
        self.model, self.discriminator = model, discriminator


Objective = Callable[[Nets, Batch, Stage], Terms]


def _modality_terms(batch: Batch, segmentation: Tensor, depth: Tensor, heatmap: Tensor) -> Terms:
    return {
        "segmentation": losses.segmentation_loss(segmentation, batch.person, batch.person_known),
        "depth": losses.depth_loss(depth, batch.depth, batch.depth_known),
        "heatmap": losses.heatmap_loss(heatmap, batch.heatmap, batch.all_points_known),
    }


def _alphas(seen: Prediction) -> tuple[tuple[str, Tensor], tuple[str, Tensor]]:
    return ("s", seen.alpha_s), ("d", seen.alpha_d)


def _matte_terms(batch: Batch, seen: Prediction, known: Tensor) -> Terms:
    """L_a and L_com of both foreground nets."""
    terms = {}
    for m, alpha in _alphas(seen):
        terms[f"matte_{m}"] = losses.matte_loss(alpha, batch.alpha, known)
        terms[f"composite_{m}"] = losses.composite_loss(
            alpha, batch.foreground, batch.background, batch.image, batch.composed
        )
    return terms


def _deviations(model: VMFM, batch: Batch, seen: Prediction) -> dict[str, Tensor]:
    """What CL thinks of mattes that it must not change."""
    return {m: getattr(model.complementary, m)(batch.image, alpha.detach()) for m, alpha in _alphas(seen)}


def _deviation_terms(batch: Batch, seen: Prediction, deviations: dict[str, Tensor]) -> Terms:
    """L_c of both branches."""
    return {
        f"deviation_{m}": losses.deviation_loss(deviations[m], alpha, batch.alpha, batch.alpha_known)
        for m, alpha in _alphas(seen)
    }


def _adversarial_terms(nets: Nets, batch: Batch, seen: Prediction, foreground: Tensor) -> Terms:
    """How far both composites are from fooling the discriminator, whose weights are out of the gradient's reach."""
    frozen = {name: weight.detach() for name, weight in nets.discriminator.named_parameters()}
    return {
        f"adversarial_{m}": losses.generator_loss(
            functional_call(nets.discriminator, frozen, losses.composite(alpha, foreground, batch.other_background))
        )
        for m, alpha in _alphas(seen)
    }


def modality(nets: Nets, batch: Batch, stage: Stage) -> Terms:
    """S, D and I, each from its own labels and by what losses of its own it has."""
    model, image = nets.model, batch.image
    segmentation, more_s = model.segmentation.learn(image, batch.person, batch.person_known)
    depth, more_d = model.depth.learn(image, batch.depth, batch.depth_known)
    heatmap, more_i = model.interaction.learn(image, batch.heatmap, batch.all_points_known)
    return _modality_terms(batch, segmentation, depth, heatmap) | more_s | more_d | more_i


def matting(nets: Nets, batch: Batch, stage: Stage) -> Terms:
    """Both foreground nets and CL (L_a, L_com, L_c), the modality nets learning along: our short cut through pre to sup2.

    The modality nets keep their own losses, but also feel what the matte needs: the narrow channels between them and
    the foreground nets then carry what a detector's labels alone would not teach.
    """
    seen = nets.model(batch.image)
    thing = ((batch.alpha > 0.5) & (batch.person < 0.5) & (batch.person_known > 0)).float()
    known = batch.alpha_known * (1 + (OBJECT_WEIGHT - 1) * thing)
    deviations = _deviations(nets.model, batch, seen)
    # what people see: the fused matte teaches CL to tell the better net even where both are sure
    fused, _ = sharpen.fuse(seen.alpha_s, deviations["s"], seen.alpha_d, deviations["d"])
    return (
        _modality_terms(batch, seen.segmentation, seen.depth, seen.heatmap)
        | _matte_terms(batch, seen, known)
        | _deviation_terms(batch, seen, deviations)
        | {"matte_fused": losses.matte_loss(fused, batch.alpha, known)}
        | {
            f"laplacian_{m}": losses.laplacian_loss(alpha, batch.alpha, known)
            for m, alpha in (*_alphas(seen), ("fused", fused))
        }
    )


def pre(nets: Nets, batch: Batch, stage: Stage) -> Terms:
    """Foreground nets alone: L_a (Eq. 2)."""
    seen = nets.model(batch.image)
    return {f"matte_{m}": losses.matte_loss(alpha, batch.alpha, batch.alpha_known) for m, alpha in _alphas(seen)}


def sup1(nets: Nets, batch: Batch, stage: Stage) -> Terms:
    """Foreground nets against labels and the discriminator: L_G1 (Eq. 3)."""
    seen = nets.model(batch.image)
    adversarial = _adversarial_terms(nets, batch, seen, batch.foreground)
    return _matte_terms(batch, seen, batch.alpha_known) | adversarial


def sup2(nets: Nets, batch: Batch, stage: Stage) -> Terms:
    """As sup1, while CL learns how far off both are: L_G1 and L_c (Eq. 3 and 7)."""
    seen = nets.model(batch.image)
    adversarial = _adversarial_terms(nets, batch, seen, batch.foreground)
    deviation = _deviation_terms(batch, seen, _deviations(nets.model, batch, seen))
    return _matte_terms(batch, seen, batch.alpha_known) | adversarial | deviation


def cl(nets: Nets, batch: Batch, stage: Stage) -> Terms:
    """Foreground nets teach each other without labels: L_G2 (Eq. 6, 9-11), F = I. CL stays as sup2 left it."""
    seen = nets.model(batch.image)
    return _adversarial_terms(nets, batch, seen, batch.image) | _lessons(nets, batch, stage, seen)


def anchored_cl(nets: Nets, batch: Batch, stage: Stage) -> Terms:
    """As cl, but held by what labels there are: L_a beside L_cs and L_dc, and no discriminator.

    Beyond the paper: with nothing to hold them the nets agree on what CL does not find wrong
    (benchmarks/results/ablation_lite.md).
    """
    seen = nets.model(batch.image)
    held = {f"matte_{m}": losses.matte_loss(alpha, batch.alpha, batch.alpha_known) for m, alpha in _alphas(seen)}
    return held | _lessons(nets, batch, stage, seen)


def _lessons(nets: Nets, batch: Batch, stage: Stage, seen: Prediction) -> Terms:
    """What the foreground nets teach each other: L_cs and L_dc (Eq. 9-11)."""
    terms = {}
    alphas = dict(_alphas(seen))
    deviations = {m: getattr(nets.model.complementary, m)(batch.image, alpha) for m, alpha in alphas.items()}
    for mine, other in (("s", "d"), ("d", "s")):
        terms[f"supervision_{mine}"] = losses.supervision_loss(
            alphas[mine],
            alphas[other],
            deviations[mine],
            deviations[other],
            stage.threshold,
            below=stage.teach_below_threshold,
        )
        terms[f"correction_{mine}"] = losses.correction_loss(deviations[mine], deviations[other], stage.threshold)
    return terms


def judge(nets: Nets, batch: Batch, stage: Stage) -> Terms:
    """The discriminator's side of an adversarial stage: L_D (Eq. 5) on the composites of both foreground nets."""
    with torch.no_grad():
        seen = nets.model(batch.image)
    foreground = batch.image if stage.name == cl.__name__ else batch.foreground
    real = nets.discriminator(batch.image)
    return {
        f"judge_{m}": losses.discriminator_loss(
            nets.discriminator(losses.composite(alpha, foreground, batch.other_background)), real
        )
        for m, alpha in _alphas(seen)
    }


def refine(nets: Nets, batch: Batch, stage: Stage) -> Terms:
    """RN on the least sure patches at the camera's own resolution; L_a on the patches (section 3.3).

    Beyond the paper the squared error counts too: where an edge may lie here or there, L_a alone rewards a hard guess,
    which lowers SAD and worsens Grad and flicker. And so does changing its mind.
    """
    model = nets.model
    with torch.no_grad():
        seen = model(batch.image)
        deviations = _deviations(model, batch, seen)
        alpha, deviation = sharpen.fuse(seen.alpha_s, deviations["s"], seen.alpha_d, deviations["d"])
        fine = sharpen.guided_upsample(alpha, batch.image, batch.fine_image)
        deviation = torch.nn.functional.interpolate(deviation, size=fine.shape[-2:], mode="bilinear")
        corners = sharpen.top_patches(deviation, model.config.patches // 4)
        planes = torch.cat((fine, batch.fine_image, batch.fine_alpha, batch.fine_alpha_known, deviation), 1)
        given, truth, known, unsure = sharpen.gather(planes, corners).split((4, 1, 1, 1), dim=1)
    answer = model.refinement(given)
    refined = sharpen.put_back(given[:, :1], answer, unsure)
    return {
        "matte_refined": losses.matte_loss(refined, truth, known),
        "squared_refined": losses.weighted_mean((refined - truth) ** 2, known),
        "unsteady_refined": losses.weighted_mean(*sharpen.unsteadiness(model.refinement, given, answer, unsure)),
        "matte_given": losses.matte_loss(given[:, :1], truth, known),
    }


OBJECTIVES: dict[str, Objective] = {
    objective.__name__: objective for objective in (modality, matting, pre, sup1, sup2, cl, anchored_cl, refine)
}
ADVERSARIAL = frozenset({"sup1", "sup2", "cl"})  # stages in which `judge` takes its turn
