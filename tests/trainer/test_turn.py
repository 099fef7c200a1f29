"""A step of one side: the same for a batch in passes as for the whole, in every precision."""

from dataclasses import fields

import pytest
import torch
from vmfm.trainer.config import TINY
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.model import VMFM
from vmfm.trainer.nets.discriminator import Discriminator
from vmfm.trainer.stages import ADVERSARIAL, OBJECTIVES, TRAINABLE, Nets, Stage, judge
from vmfm.trainer.turn import Turn

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def batch():
    """Three pictures of which less and less is known."""
    torch.manual_seed(0)

    def known(scale=1):
        rows = torch.arange(scale * 32).view(1, 1, -1, 1) / (scale * 32)
        return (rows < torch.tensor([1.0, 0.5, 0.1]).view(3, 1, 1, 1)).float().expand(3, 1, -1, scale * 64)

    def picture(channels, scale=1):
        return torch.rand(3, channels, scale * 32, scale * 64)

    some = torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1, 1)
    pictures = {
        field.name: picture(3 if "ground" in field.name or "image" in field.name else 1, 1 + ("fine" in field.name))
        for field in fields(Batch)
    }
    truths = {"alpha_known": known(), "person_known": known(), "fine_alpha_known": known(2)}
    return Batch(
        **pictures | truths | {"composed": some, "depth_known": some.roll(1), "all_points_known": some.roll(2)}
    )


def turn_of(name, trains, dtype=torch.float32, **options):
    torch.manual_seed(1)
    nets = Nets(VMFM(TINY), Discriminator(8))
    torch.nn.init.normal_(nets.model.refinement.layers[4].weight)  # begins at zero, and would let no gradient through
    stage = Stage(name, trains, 3, 1e-3, ((32, 64),), steps=4, threshold=0.3, **options)
    sides = [OBJECTIVES[name]] + [judge] * (name in ADVERSARIAL)
    learners = [[nets.model.get_submodule(net) for net in trains], [nets.discriminator]]
    turns = [Turn(side, nets, stage, some, CPU, dtype) for side, some in zip(sides, learners, strict=False)]
    return turns, nets


def gradients(turn):
    return torch.cat([w.grad.flatten() for w in turn.weights if w.grad is not None])


@pytest.mark.parametrize("micro_batch", [1, 2])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_passes_add_up_to_the_whole_batch(batch, name, micro_batch):
    """Every loss of every stage, and its gradient, with the pictures' unequal shares of known pixels."""
    trains = ("refinement",) if name == "refine" else TRAINABLE[:-1]
    whole, nets = turn_of(name, trains)
    parts, other_nets = turn_of(name, trains, micro_batch=micro_batch)
    for turn, other in zip(whole, parts, strict=True):
        nets.eval()  # the statistics of batch norms are those of a pass: left out of the comparison
        other_nets.eval()
        loss, terms = turn.take(batch, 0.0)
        other_loss, other_terms = other.take(batch, 0.0)
        torch.testing.assert_close(other_loss, loss, rtol=1e-4, atol=1e-6)
        assert terms.keys() == other_terms.keys()
        for term, value in terms.items():
            torch.testing.assert_close(other_terms[term], value, rtol=1e-4, atol=1e-6, msg=term)
        given, wanted = gradients(other), gradients(turn)
        assert (given - wanted).norm() < 1e-3 * wanted.norm()


def test_each_picture_moves_the_statistics_once(batch):
    """Counting is no pass: only what the gradient sees is remembered."""
    (turn,), nets = turn_of("modality", ("segmentation",), micro_batch=1)
    norm = nets.model.segmentation.encoder._bn0
    before = norm.running_mean.clone()
    seen = []
    norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().mean((0, 2, 3))))
    turn.take(batch, 0.0)
    assert len(seen) == 2 * 3
    expected = before
    for mean in seen[3:]:
        expected = 0.9 * expected + 0.1 * mean
    torch.testing.assert_close(norm.running_mean, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_has_nearly_the_same_gradient(batch, dtype):
    (exact,), nets = turn_of("matting", TRAINABLE[:-1])
    (mixed,), mixed_nets = turn_of("matting", TRAINABLE[:-1], dtype)
    nets.eval(), mixed_nets.eval()
    loss, _ = exact.take(batch, 0.0)
    for _ in range(20):  # until the scale fits: a step whose gradient overflows is left out
        mixed_loss, _ = mixed.take(batch, 0.0)
        if gradients(mixed).isfinite().all():
            break
    torch.testing.assert_close(mixed_loss, loss, rtol=0.02, atol=0)
    given, wanted = gradients(mixed), gradients(exact)
    assert torch.dot(given, wanted) > 0.98 * given.norm() * wanted.norm()
    assert given.norm() == pytest.approx(wanted.norm().item(), rel=0.05)


def test_the_scale_of_float16_goes_on_where_it_was(batch):
    (turn,), _ = turn_of("pre", ("foreground_s",), torch.float16)
    turn.take(batch, 1e-3)
    turn.scaler.update(512.0)
    (again,), _ = turn_of("pre", ("foreground_s",), torch.float16)
    again.load_state_dict(turn.state_dict())
    assert again.scaler.get_scale() == 512.0
    (exact,), _ = turn_of("pre", ("foreground_s",))
    exact.load_state_dict(turn.state_dict())  # also into a run without a scale, and back
    again.load_state_dict(exact.state_dict())
    assert again.scaler.get_scale() == 512.0


def test_a_gradient_that_overflows_moves_nothing(batch):
    (turn,), _ = turn_of("pre", ("foreground_s",), torch.float16)
    turn.take(batch, 1e-3)
    turn.scaler.update(1e38)
    before = [weight.clone() for weight in turn.weights]
    loss, _ = turn.take(batch, 1e-3)
    assert loss.isfinite() and turn.scaler.get_scale() < 1e38
    assert all(map(torch.equal, before, turn.weights))
