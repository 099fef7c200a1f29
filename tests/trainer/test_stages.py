"""Stages: which net each objective moves, and that none moves another."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from vmfm.trainer.config import TINY
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.model import VMFM
from vmfm.trainer.nets.discriminator import Discriminator
from vmfm.trainer.stages import ADVERSARIAL, OBJECTIVES, TRAINABLE, Nets, Stage, judge
from vmfm.trainer.turn import Turn

CPU = torch.device("cpu")
FP = ("foreground_s", "foreground_d")


def stage(name, trains=FP, **options):
    return Stage(name, trains, batch=2, learning_rate=1e-3, sizes=((32, 64),), steps=4, **options)


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(0)

    def picture(channels, scale=1):
        return torch.rand(2, channels, scale * 32, scale * 64)

    one = torch.ones(2, 1, 1, 1)
    return Batch(
        image=picture(3),
        foreground=picture(3),
        background=picture(3),
        other_background=picture(3),
        composed=one,
        alpha=picture(1),
        alpha_known=torch.ones(2, 1, 32, 64),
        person=picture(1),
        person_known=torch.ones(2, 1, 32, 64),
        depth=picture(1),
        depth_known=one,
        heatmap=picture(1),
        all_points_known=one,
        fine_image=picture(3, 2),
        fine_alpha=picture(1, 2),
        fine_alpha_known=torch.ones(2, 1, 64, 128),
    )


@pytest.fixture
def nets():
    torch.manual_seed(1)
    nets = Nets(VMFM(TINY), Discriminator(8))
    return nets.eval().requires_grad_(False)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(before, module):
    """The first part of each name whose tensor changed."""
    after = module.state_dict()
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def turn_of(nets, chosen):
    learners = [nets.model.get_submodule(name) for name in chosen.trains]
    return Turn(OBJECTIVES[chosen.name], nets, chosen, learners, CPU)


CASES = [
    ("modality", ("segmentation", "depth", "interaction")),
    ("pre", FP),
    ("sup1", FP),
    ("sup2", (*FP, "complementary")),
    ("matting", TRAINABLE[:-1]),
    ("cl", FP),
    ("anchored_cl", FP),
    ("refine", ("refinement",)),
]


def test_every_objective_is_tried():
    assert {name for name, _ in CASES} == set(OBJECTIVES) and ADVERSARIAL < set(OBJECTIVES)
    assert set(TRAINABLE) == {name for name, _ in VMFM(TINY).named_children()}


@pytest.mark.parametrize(("name", "trains"), CASES, ids=[name for name, _ in CASES])
def test_a_stage_moves_what_it_trains_and_leaves_the_rest_bit_identical(nets, batch, name, trains):
    turn = turn_of(nets, stage(name, trains))
    before, rival = weights(nets.model), weights(nets.discriminator)
    for _ in range(2):  # what begins at zero moves only what comes after it in the first step
        loss, terms = turn.take(batch, 1e-2)
    assert torch.isfinite(loss) and all(torch.isfinite(value) for value in terms.values())
    assert moved(before, nets.model) == set(trains)
    assert moved(rival, nets.discriminator) == set()


@pytest.mark.parametrize("name", sorted(ADVERSARIAL))
def test_the_discriminators_turn_moves_no_weight_of_the_model(nets, batch, name):
    turn_of(nets, stage(name))  # the foreground nets stay ready to learn
    turn = Turn(judge, nets, stage(name), [nets.discriminator], CPU, every=4)
    before = {name: value.clone() for name, value in nets.model.named_parameters()}
    rival = weights(nets.discriminator)
    turn.take(batch, 1e-3)
    assert all(torch.equal(before[name], value) for name, value in nets.model.named_parameters())
    assert all(value.grad is None for value in nets.model.parameters())
    assert moved(rival, nets.discriminator)


@pytest.mark.parametrize("name", sorted(ADVERSARIAL))
def test_the_discriminator_never_moves_in_the_generators_step(nets, batch, name):
    """Not even when it is ready to learn: no gradient reaches it, yet one comes through it."""
    nets.discriminator.train().requires_grad_(True)
    turn = turn_of(nets, stage(name))
    nothing_else = {"matte": 0.0, "composite": 0.0, "supervision": 0.0, "correction": 0.0}
    terms = turn.objective(batch)
    adversarial = sum(value for term, value in terms.items() if term.startswith("adversarial"))
    adversarial.backward()
    assert all(weight.grad is None for weight in nets.discriminator.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in nets.model.foreground_s.decoder[-1].parameters())
    assert stage(name, weights=nothing_else).unknown_weights(terms) == sorted(
        {"matte", "composite"} if name == "cl" else {"supervision", "correction"}
    )


def test_the_discriminator_can_be_fooled_and_can_learn(nets, batch):
    """Its own turn lowers L_D; the foreground nets' turn lowers theirs against the same discriminator."""
    batch = replace(batch, foreground=batch.image, other_background=torch.zeros_like(batch.image))
    mine = Turn(judge, nets, stage("sup1"), [nets.discriminator], CPU)
    told = [mine.take(batch, 1e-2)[0].item() for _ in range(20)]
    assert told[-1] < 0.7 * told[0], told
    turn = turn_of(nets, stage("sup1", weights={"matte": 0.0, "composite": 0.0}))
    fooled = [turn.take(batch, 1e-2)[0].item() for _ in range(12)]
    assert fooled[-1] < 0.9 * fooled[0], fooled


def unsure(nets, s, d):
    """CL that answers `s` and `d` for the two nets whatever it sees, but for a trace of alpha."""
    for branch, level in ((nets.model.complementary.s, s), (nets.model.complementary.d, d)):
        branch.forward = lambda image, alpha, level=level: level + 0.1 * alpha


def gradients(nets, terms, name):
    nets.zero_grad()
    terms[name].backward(retain_graph=True)
    grads = {m: nets.model.get_submodule(f"foreground_{m}").decoder[-1].weight.grad for m in "sd"}
    return {m for m, grad in grads.items() if grad is not None and grad.abs().sum() > 0}


class TestComplementaryLearning:
    def terms(self, nets, batch, **options):
        turn = turn_of(nets, stage("cl", **options))
        return turn.objective(batch)

    def test_supervision_moves_only_the_net_that_is_less_sure(self, nets, batch):
        unsure(nets, s=0.85, d=0.1)
        terms = self.terms(nets, batch)
        assert terms["supervision_s"] > 0 and gradients(nets, terms, "supervision_s") == {"s"}
        assert terms["supervision_d"] == 0 and gradients(nets, terms, "supervision_d") == set()

    def test_below_the_threshold_only_the_equation_teaches(self, nets, batch):
        unsure(nets, s=0.3, d=0.1)
        assert self.terms(nets, batch)["supervision_s"] == 0
        assert self.terms(nets, batch, teach_below_threshold=True)["supervision_s"] > 0
        assert self.terms(nets, batch, threshold=0.2)["supervision_s"] > 0

    def test_correction_reaches_the_foreground_net_through_a_frozen_cl(self, nets, batch):
        nets.model.complementary.s.decoder[-1].bias.fill_(9.0)  # sure of nothing
        before = weights(nets.model.complementary)
        terms = self.terms(nets, batch)
        assert terms["correction_s"] > 0
        assert gradients(nets, terms, "correction_s") == {"s"}
        assert gradients(nets, terms, "correction_d") == {"d"}
        turn = turn_of(nets, stage("cl"))
        turn.take(batch, 1e-2)
        assert moved(before, nets.model.complementary) == set()
        assert not nets.model.complementary.training  # its batch norms stay as they were, too

    def test_labels_are_not_looked_at(self, nets, batch):
        blind = replace(batch, alpha=1 - batch.alpha, person=1 - batch.person, foreground=1 - batch.foreground)
        first, again = self.terms(nets, batch), self.terms(nets, blind)
        nets.eval()
        assert first.keys() == again.keys()
        seen, unseen = (OBJECTIVES["cl"](nets, b, stage("cl")) for b in (batch, blind))
        assert all(torch.equal(seen[name], unseen[name]) for name in seen)

    def test_anchored_it_is_the_same_lessons_and_the_labels_of_what_has_some(self, nets, batch):
        nets.eval()
        plain, anchored = (OBJECTIVES[name](nets, batch, stage(name)) for name in ("cl", "anchored_cl"))
        lessons = {name for name in plain if not name.startswith("adversarial")}
        assert set(anchored) == lessons | {"matte_s", "matte_d"}
        assert all(torch.equal(plain[name], anchored[name]) for name in lessons)
        unlabelled = replace(batch, alpha_known=torch.zeros_like(batch.alpha_known))
        assert OBJECTIVES["anchored_cl"](nets, unlabelled, stage("anchored_cl"))["matte_s"] == 0 < anchored["matte_s"]


def test_refinement_leaves_everything_else_bit_identical(nets, batch):
    everything = deepcopy(nets.model.state_dict())
    turn = turn_of(nets, stage("refine", ("refinement",)))
    for _ in range(3):
        turn.take(batch, 1e-2)
    changed = {name for name, value in nets.model.state_dict().items() if not torch.equal(value, everything[name])}
    assert changed and all(name.startswith("refinement.") for name in changed)


def test_weights_by_either_name():
    weighed = stage("sup1", weights={"composite": 0.5, "composite_d": 0.25, "judge": 2.0})
    assert [weighed.weight(term) for term in ("composite_s", "composite_d", "matte_s", "judge_d")] == [0.5, 0.25, 1, 2]
    terms = dict.fromkeys(("composite_s", "composite_d", "matte_s"), torch.zeros(()))
    assert weighed.unknown_weights(terms) == ["judge"]
