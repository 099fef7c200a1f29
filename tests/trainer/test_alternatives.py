"""The paper's own S-, D- and I-Net: their published sizes, their place behind the common signature, and that they learn."""

import json
from dataclasses import replace

import pytest
import torch
from vmfm.trainer.checkpoint import load_model
from vmfm.trainer.config import FULL, TINY, NetConfig, net_config
from vmfm.trainer.config import MODALITY_NETS as CHOICES
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.model import MODALITY_NETS, VMFM
from vmfm.trainer.nets.densedepth import DenseDepth
from vmfm.trainer.nets.discriminator import Discriminator
from vmfm.trainer.nets.hourglass import StackedHourglass
from vmfm.trainer.recipe import load_recipe
from vmfm.trainer.stages import OBJECTIVES, Nets, Stage
from vmfm.trainer.train import train as run_training
from vmfm.trainer.turn import Turn

PAPERS = replace(TINY, depth="densedepth", interaction="hourglass")
SIDE = 64


def weights(net):
    return sum(p.numel() for p in net.parameters())


def test_densenet_169_and_densedepth_have_their_published_sizes():
    with torch.device("meta"):
        net = DenseDepth(1.0)
    assert weights(net.encoder) == 14_149_480 - 1664 * 1000 - 1000  # DenseNet-169 without its classifier
    assert round(weights(net) / 1e6, 1) == 42.7  # 42.6 M in the paper of DenseDepth
    assert net.encoder.channels == (64, 64, 128, 256, 1664)


@pytest.mark.parametrize("make", [DenseDepth, StackedHourglass])
def test_one_map_at_the_images_size(make):
    net = make(1 / 16).eval()
    for size in ((96, 64), (32, 160)):
        with torch.no_grad():
            seen = net(torch.rand(2, 3, *size))
        assert seen.shape == (2, 1, *size) and 0 <= seen.min() < seen.max() <= 1


@pytest.fixture(scope="module")
def batch():
    """A blob that is person, near and where something is held; dark elsewhere."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    blob = torch.exp(-((rows - 30.0) ** 2 + (columns - 24.0) ** 2) / 200).expand(2, 1, SIDE, SIDE)
    image = blob.expand(2, 3, SIDE, SIDE) * torch.tensor([0.9, 0.6, 0.3]).view(1, 3, 1, 1)
    one, everywhere = torch.ones(2, 1, 1, 1), torch.ones(2, 1, SIDE, SIDE)
    return Batch(
        image=image,
        foreground=image,
        background=image,
        other_background=image,
        composed=one,
        alpha=blob,
        alpha_known=everywhere,
        person=(blob > 0.5).float(),
        person_known=everywhere,
        depth=0.3 + 0.4 * blob,
        depth_known=one,
        heatmap=blob**4,
        all_points_known=one,
        fine_image=image,
        fine_alpha=blob,
        fine_alpha_known=everywhere,
    )


def train(model, batch, steps):
    """The terms of each step of stage modality."""
    nets = Nets(model, Discriminator(8)).eval().requires_grad_(False)
    stage = Stage("modality", ("segmentation", "depth", "interaction"), 2, 1e-3, ((SIDE, SIDE),), steps=steps)
    learners = [model.get_submodule(name) for name in stage.trains]
    turn = Turn(OBJECTIVES["modality"], nets, stage, learners, torch.device("cpu"))
    return [{name: float(value) for name, value in turn.take(batch, 1e-3)[1].items()} for _ in range(steps)]


def test_they_learn_in_stage_modality(batch):
    torch.manual_seed(0)
    model = VMFM(PAPERS)
    first, *_, last = train(model, batch, 8)
    assert {"depth", "heatmap", "heatmap_early_1"} <= set(first)
    for term in first:
        assert last[term] < 0.97 * first[term], term
    for net in (model.depth, model.interaction):
        still = [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
        assert still == []


def test_other_nets_have_no_terms_of_their_own(batch):
    assert set(train(VMFM(TINY), batch, 1)[0]) == {"segmentation", "depth", "heatmap"}


def test_a_recipe_chooses_them():
    config = net_config({"size": "full", "depth": "densedepth", "interaction": "hourglass"})
    assert config == replace(FULL, depth="densedepth", interaction="hourglass")
    assert NetConfig.from_json(config.to_json()) == config
    assert net_config("full") == FULL


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("huge", "net is 'huge'; wanted one of lite, full, tiny"),
        ({"depth": "densedepth"}, "net is None"),
        ({"size": "lite", "depth": "hourglass"}, "no depth net 'hourglass'; wanted one of autoencoder, densedepth"),
        ({"size": "lite", "depths": "densedepth"}, "unknown key 'depths'"),
        ({"size": "lite", "modality_width": "wide"}, "modality_width = 'wide'; wanted a number"),
        (["lite"], "net is"),
    ],
)
def test_a_recipe_that_chooses_what_is_not_there(value, message):
    with pytest.raises(TrainerError, match=message):
        net_config(value)


def test_every_choice_has_its_net():
    assert set(MODALITY_NETS) == {"autoencoder", "mask_rcnn", "densedepth", "hourglass"}
    assert set(MODALITY_NETS) == set().union(*CHOICES.values())


@pytest.mark.slow
def test_from_a_recipe_to_weights(data_folder, tmp_path):
    recipe = tmp_path / "papers.toml"
    recipe.write_text("""
        net = { size = "tiny", depth = "densedepth", interaction = "hourglass" }
        side_px = 160
        [[stage]]
        name = "modality"
        trains = ["segmentation", "depth", "interaction"]
        steps = 2
        batch = 2
        learning_rate = 1e-3
        sizes = [[64, 96]]
        [[source]]
        kind = "rendered"
        path = "rendered/train"
        [[source]]
        kind = "backgrounds"
        path = "real/backgrounds"
        share = 0.1
    """)
    run_training(load_recipe(str(recipe)), data_folder, tmp_path / "run", device=torch.device("cpu"))
    model, trained = load_model(tmp_path / "run")
    assert model.config == PAPERS and isinstance(model.interaction, StackedHourglass)
    assert trained["stages"] == ["modality"]
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert {"heatmap", "heatmap_early_1"} <= set(last)
