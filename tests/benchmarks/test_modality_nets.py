"""What a modality net costs, measured through a bundle of a tiny size."""

from dataclasses import replace

import pytest
from vmfm.trainer.config import TINY
from vmfm.trainer.model import VMFM


@pytest.mark.slow
def test_what_a_net_costs(scripts):
    bench = scripts.modality_nets
    cost = bench.measure(replace(TINY, interaction="hourglass"), "interaction", ((64, 96), (128, 96)))
    net = VMFM(replace(TINY, interaction="hourglass")).interaction
    assert cost.parameters == sum(weight.numel() for weight in net.parameters())
    assert 2 * cost.parameters < cost.file_bytes < 3 * cost.parameters  # kernels in fp16
    assert cost.macs[1] == 2 * cost.macs[0]  # twice the pixels
    assert cost.parity < 1e-3 and all(ms > 0 for ms in cost.cpu_ms)
    rows = bench.table([cost]).splitlines()
    assert len(rows) == 3 and rows[2].startswith("| I-Net hourglass ")


def test_every_net_is_measured_once(scripts):
    assert list(scripts.modality_nets.choices()) == [
        ("segmentation", "autoencoder"),
        ("segmentation", "mask_rcnn"),
        ("depth", "densedepth"),
        ("interaction", "hourglass"),
    ]
