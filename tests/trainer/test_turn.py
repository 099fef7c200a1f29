"""A step of one side: the same for a batch in parts as for the whole, in passes, processes and every precision."""

import os
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import torch
from vmfm.trainer import processes
from vmfm.trainer.config import TINY
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.model import VMFM
from vmfm.trainer.nets.discriminator import Discriminator
from vmfm.trainer.shared_norm import share_batch_norms
from vmfm.trainer.stages import ADVERSARIAL, OBJECTIVES, TRAINABLE, Nets, Stage, judge
from vmfm.trainer.turn import Turn

CPU = torch.device("cpu")


def uneven_batch():
    """Four pictures of which less and less is known."""
    torch.manual_seed(0)

    def known(scale=1):
        rows = torch.arange(scale * 32).view(1, 1, -1, 1) / (scale * 32)
        return (rows < torch.tensor([1.0, 0.5, 0.3, 0.1]).view(4, 1, 1, 1)).float().expand(4, 1, -1, scale * 64)

    def picture(channels, scale=1):
        return torch.rand(4, channels, scale * 32, scale * 64)

    some = torch.tensor([1.0, 1.0, 0.0, 1.0]).view(4, 1, 1, 1)
    pictures = {
        field.name: picture(3 if "ground" in field.name or "image" in field.name else 1, 1 + ("fine" in field.name))
        for field in fields(Batch)
    }
    truths = {"alpha_known": known(), "person_known": known(), "fine_alpha_known": known(2)}
    return Batch(
        **pictures | truths | {"composed": some, "depth_known": some.roll(1), "all_points_known": some.roll(2)}
    )


@pytest.fixture(scope="module")
def batch():
    return uneven_batch()


@torch.no_grad()
def settle(nets):
    """Lets the batch norms remember the batch, as if they had long learnt; untrained, they would let all signals fade."""
    norms = [module for module in nets.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    batch = uneven_batch()
    seen = nets.train().model(batch.image)
    for branch, alpha in ((nets.model.complementary.s, seen.alpha_s), (nets.model.complementary.d, seen.alpha_d)):
        branch(batch.image, alpha)
    nets.model.refinement(torch.rand(64, 4, 16, 16))
    for norm in norms:
        norm.momentum = 0.1
    nets.eval()


def turn_of(name, trains, dtype=torch.float32, **options):
    torch.manual_seed(1)
    nets = Nets(VMFM(TINY), Discriminator(8))
    torch.nn.init.normal_(nets.model.refinement.layers[4].weight)  # begins at zero, and would let no gradient through
    nets.model.complementary.s.decoder[-1].weight.data *= 10  # of many minds: all of Eq. 10 and 11 has its pixels
    settle(nets)
    share_batch_norms(nets)
    stage = Stage(name, trains, 4, 1e-3, ((32, 64),), steps=4, **options)
    sides = [OBJECTIVES[name]] + [judge] * (name in ADVERSARIAL)
    learners = [[nets.model.get_submodule(net) for net in trains], [nets.discriminator]]
    turns = [Turn(side, nets, stage, some, CPU, dtype) for side, some in zip(sides, learners, strict=False)]
    return turns, nets


def gradients(turn):
    return torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in turn.weights])


def steps(name, part=slice(None), *, still=False, **options):
    """A step of each side: its losses and its gradient, and after them all what the batch norms remember.

    part: the pictures of this process. still: batch norms keep to what they remember, so that pictures do not mix.
    """
    turns, nets = turn_of(name, ("refinement",) if name == "refine" else TRAINABLE[:-1], **options)
    seen = {}
    for i, turn in enumerate(turns):
        if still:
            nets.eval()
        loss, terms = turn.take(uneven_batch().rows(part), 0.0)
        seen |= terms | {f"loss {i}": loss, f"gradient {i}": gradients(turn)}
    return seen | {key: value.clone() for key, value in nets.state_dict().items() if "running" in key}


def assert_same(given, wanted):
    """Where a pixel is all but right, rounding decides which way |error| falls: of 8192 pixels, each weighs a percent."""
    assert given.keys() == wanted.keys()
    for key, value in wanted.items():
        tolerance = 0.03 if "gradient" in key else 1e-4
        assert (given[key] - value).norm() <= tolerance * value.norm() + 1e-6 and value.norm() > 0, key


@cache
def whole(name, *, still):
    return steps(name, still=still)


@pytest.mark.parametrize(("name", "micro_batch"), [("matting", 2), *((name, 1) for name in OBJECTIVES)])
def test_passes_add_up_to_the_whole_batch(name, micro_batch):
    """Every loss of every stage, and its gradient, with the pictures' unequal shares of known pixels."""
    assert_same(steps(name, still=True, micro_batch=micro_batch), whole(name, still=True))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """What two processes that torchrun starts make of the same, by objective: `work`, below."""
    out = tmp_path_factory.mktemp("shared")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__, out]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=out, check=False)
    assert done.returncode == 0, done.stderr
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def work(out):
    """In each of two processes: with batch norms learning, and in passes with batch norms still."""
    with processes.joined("cpu"):
        part = slice(2 * processes.rank(), 2 * processes.rank() + 2)
        seen = {(name, "learning"): steps(name, part) for name in OBJECTIVES}
        seen |= {(name, "in passes"): steps(name, part, still=True, micro_batch=1) for name in ("matting", "cl")}
        weights = [torch.nn.Parameter(torch.zeros(size)) for size in (2, 3)]
        weights[processes.rank()].grad = torch.ones_like(weights[processes.rank()])
        processes.average_gradients(weights)
        seen["halves"] = [weight.grad for weight in weights]
        torch.save(seen, Path(out) / f"{processes.rank()}.pt")


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_processes_add_up_to_the_whole_batch(shared, name):
    """Each has the whole batch's losses, gradient and statistics, and both have the very same."""
    first, second = shared
    assert_same(first[name, "learning"], whole(name, still=False))
    assert all(torch.equal(second[name, "learning"][key], value) for key, value in first[name, "learning"].items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["matting", "cl"])
def test_processes_that_take_passes_do_too(shared, name):
    for seen in shared:
        assert_same(seen[name, "in passes"], whole(name, still=True))


@pytest.mark.slow
def test_a_weight_may_have_learnt_from_one_process_alone(shared):
    for seen in shared:
        assert [gradient.tolist() for gradient in seen["halves"]] == [[0.5, 0.5], [0.5, 0.5, 0.5]]


def test_each_picture_moves_the_statistics_once(batch):
    """Counting is no pass: only what the gradient sees is remembered."""
    (turn,), nets = turn_of("modality", ("segmentation",), micro_batch=1)
    norm = nets.model.segmentation.encoder._bn0
    before = norm.running_mean.clone()
    seen = []
    norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().mean((0, 2, 3))))
    turn.take(batch, 0.0)
    assert len(seen) == 2 * 4
    expected = before
    for mean in seen[4:]:
        expected = 0.9 * expected + 0.1 * mean
    torch.testing.assert_close(norm.running_mean, expected)


def test_fixed_norms_remember_what_they_knew(batch):
    (turn,), nets = turn_of("modality", ("segmentation",), fixed_norms=True)
    norm, weight = nets.model.segmentation.encoder._bn0, nets.model.segmentation.head.weight
    before = norm.running_mean.clone(), norm.weight.clone(), weight.clone()
    turn.take(batch, 1e-2)
    assert torch.equal(norm.running_mean, before[0])
    assert not torch.equal(norm.weight, before[1]) and not torch.equal(weight, before[2])


@pytest.mark.parametrize(("dtype", "likeness"), [(torch.bfloat16, 0.9), (torch.float16, 0.98)])
def test_mixed_precision_has_nearly_the_same_gradient(batch, dtype, likeness):
    (exact,), _ = turn_of("pre", ("foreground_s", "foreground_d"))
    (mixed,), _ = turn_of("pre", ("foreground_s", "foreground_d"), dtype)
    loss, _ = exact.take(batch, 0.0)
    for _ in range(20):  # until the scale fits: a step whose gradient overflows is left out
        mixed_loss, _ = mixed.take(batch, 0.0)
        if gradients(mixed).isfinite().all():
            break
    torch.testing.assert_close(mixed_loss, loss, rtol=0.02, atol=0)
    given, wanted = gradients(mixed), gradients(exact)
    assert torch.cosine_similarity(given, wanted, dim=0) > likeness


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


if __name__ == "__main__":
    work(sys.argv[1])
