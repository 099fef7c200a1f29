"""What a modality net costs, measured through a bundle of a tiny size."""

from dataclasses import replace

import pytest
from vmfm.trainer.config import TINY


@pytest.mark.slow
def test_a_wider_net_costs_more(scripts):
    bench = scripts.modality_nets
    size = (64, 96)
    light, wide = (
        bench.measure(replace(TINY, interaction="hourglass", modality_width=width), "interaction", (size, (128, 96)))
        for width in (1 / 32, 1 / 8)
    )
    assert light.parity < 1e-3 and wide.parity < 1e-3
    assert wide.parameters > 10 * light.parameters and wide.file_bytes > 3 * light.file_bytes
    assert wide.macs[0] > 10 * light.macs[0]
    assert wide.macs[1] == 2 * wide.macs[0]  # twice the pixels
    assert all(ms > 0 for ms in (*light.cpu_ms, *wide.cpu_ms))
    rows = bench.table([light, wide]).splitlines()
    assert len(rows) == 4 and rows[2].startswith("| I-Net hourglass ")


def test_every_net_is_measured_once(scripts):
    assert list(scripts.modality_nets.choices()) == [
        ("segmentation", "autoencoder"),
        ("segmentation", "mask_rcnn"),
        ("depth", "densedepth"),
        ("interaction", "hourglass"),
    ]
