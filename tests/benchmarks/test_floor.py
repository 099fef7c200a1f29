"""Counted work against torch's own counter and against numbers worked out by hand; floors; predictions."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode
from vmfm.runtime.backends.base import SlotShape
from vmfm.runtime.backends.torch_nets import OnnxNet
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.graph import NETS, build_graph

SHAPE = SlotShape((720, 1280), (64, 96), 8)


def save_net(path: Path, operator: str, kernel: tuple[int, ...], **settings) -> Path:
    """A net of a single convolution with the given kernel, reading `image` (1, 3, H, W)."""
    weights = numpy_helper.from_array(np.zeros(kernel, np.float32), "kernel")
    node = helper.make_node(operator, ["image", "kernel"], ["depth"], **settings)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "H", "W"])
        for name, channels in (("image", 3), ("depth", 1))
    ]
    graph = helper.make_graph([node], "net", values[:1], values[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def test_a_convolution_by_hand(scripts, tmp_path) -> None:
    net = save_net(tmp_path / "net.onnx", "Conv", (8, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1])
    work = scripts.work.count_net(net, SHAPE, 2)
    assert work.flops == 2 * (8 * 32 * 48) * (3 * 3 * 3)
    assert work.nbytes == 2 * (3 * 64 * 96 + 8 * 3 * 3 * 3 + 8 * 32 * 48)


def test_a_depthwise_convolution_sees_one_channel(scripts, tmp_path) -> None:
    net = save_net(tmp_path / "net.onnx", "Conv", (3, 1, 5, 5), group=3, pads=[2, 2, 2, 2])
    assert scripts.work.count_net(net, SHAPE, 4).flops == 2 * (3 * 64 * 96) * (5 * 5)


def test_a_transposed_convolution_spreads_what_it_reads(scripts, tmp_path) -> None:
    net = save_net(tmp_path / "net.onnx", "ConvTranspose", (3, 8, 2, 2), strides=[2, 2])
    work = scripts.work.count_net(net, SHAPE, 2)
    assert work.flops == 2 * (3 * 64 * 96) * (8 * 2 * 2)
    assert work.nbytes == 2 * (3 * 64 * 96 + 3 * 8 * 2 * 2 + 8 * 128 * 192)


@pytest.mark.parametrize("net", NETS, ids=lambda node: node.name)
def test_shipped_nets_take_what_torch_counts(scripts, net) -> None:
    path = Bundle.open("lite").net_path(net.name)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        OnnxNet(path)(*(torch.zeros(SHAPE.of(name)) for name in net.reads))
    assert scripts.work.count_net(path, SHAPE, 2).flops == counter.get_total_flops() > 0


def test_operations_and_copies_by_hand(scripts, tiny_bundle) -> None:
    """A frame of 160x96: the tiny bundle sees it at 96x64, and refines 8 patches of 16x16."""
    frame = scripts.work.count_frame(tiny_bundle, build_graph(), (96, 160), 2)
    h, w = tiny_bundle.net_size(96, 160)
    assert frame.up == 3 * 96 * 160
    assert frame.down == 2 * 4 * 96 * 160  # alpha and deviation, float32
    assert frame.rows["preprocess"].nbytes == 3 * 96 * 160 + 2 * 3 * h * w
    patches = 8 * 16 * 16
    assert frame.rows["gather"].nbytes == pytest.approx((3 + 4) * patches + 4 * 3 * 8 + 2 * 4 * patches)
    # The image in fp16 and doubt in float32; alpha, deviation and the seven planes of memory both ways.
    assert frame.rows["temporal"].nbytes == (2 * 3 + 4 + 2 * 4 * (1 + 1 + 7)) * h * w
    assert set(frame.rows) == {node.name for node in build_graph()} - {"deliver"}


def test_the_busiest_part_bounds_a_frame(scripts) -> None:
    work, floor = scripts.work, scripts.floor
    frame = work.FrameWork({"net": work.Work(3e12, 1e9), "upsample": work.Work(0, 1e9)}, up=10**9, down=4 * 10**9)
    rates = floor.Rates(matrix=1e15, memory=1e12, upload=1e12, download=1e12)
    least = floor.frame_floor(frame, rates)
    assert (least.matrix, least.memory, least.upload, least.download) == pytest.approx((0.003, 0.002, 0.001, 0.004))
    assert (least.seconds, least.bound) == (pytest.approx(0.004), "download")
    assert (least.computing, least.copying) == pytest.approx((0.003, 0.004))
    on_cpu = floor.frame_floor(frame, floor.Rates(matrix=1e15, memory=5e11))
    assert (on_cpu.seconds, on_cpu.bound) == (pytest.approx(0.004), "memory")
    assert floor.row_floor(frame.rows["net"], rates) == pytest.approx(0.003)
    assert floor.row_floor(frame.rows["upsample"], rates) == pytest.approx(0.001)


def test_calibration_by_hand(scripts) -> None:
    """Measured 2 ms where computing took at least 0.5 ms. A card with 1 ms: at worst four times that, at best 1.5 ms more."""
    calibration = scripts.roofline.Calibration(measured=2e-3, computing=5e-4)
    floor = scripts.floor.Floor(matrix=1e-3, memory=2e-4, upload=1e-4, download=3e-4)
    assert calibration.bounds(floor) == pytest.approx((4e-3, 2.5e-3))
    assert calibration.bounds(scripts.floor.Floor(1e-3, 0, 0, 3e-3)) == pytest.approx(
        (4e-3, 3e-3)
    )  # copies do not hide
    assert calibration.bounds(scripts.floor.Floor(5e-4, 0, 0, 0)) == pytest.approx(
        (2e-3, 2e-3)
    )  # the measured GPU itself


def test_datasheets_agree_with_the_hardware_they_describe(scripts) -> None:
    cards, measured = scripts.roofline.load_cards()
    assert {card.name for card in cards} == {"RTX 3060", "RTX 3090", "RTX 4070", "RTX 4090", "RTX 5090"}
    for card in cards:
        assert card.fp16_accumulate == pytest.approx(card.multiprocessors * 2 * 512 * card.boost_ghz / 1000, rel=0.005)
        assert card.fp32_accumulate == pytest.approx(card.fp16_accumulate / 2, rel=0.005)
    assert measured.name not in {card.name for card in cards}


def test_predictions_are_called_so(scripts) -> None:
    page = scripts.roofline.to_markdown()
    assert "Predicted" in page.splitlines()[0] and "Nothing here was measured on these cards" in page
    lite = page.partition("## `lite`, fine")[2]
    row = next(line for line in lite.splitlines() if line.startswith("| RTX 3060"))
    work = scripts.work.count_frame(Bundle.open("lite"), build_graph(), (720, 1280), 2)
    assert f"| {360e9 / work.total.nbytes:.0f} (memory) |" in row
    assert "587 fps at 720p" in lite  # of the recorded run that it is calibrated by


def test_rows_stand_beside_their_floors(scripts, tiny_bundle, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "floor.json"
    options = ["--bundle", str(tiny_bundle.path), "--backend", "cpu", "--size", "320x180", "--frames", "2"]
    monkeypatch.setattr(sys, "argv", ["against_floor", *options, "--json", str(out)])
    scripts.against_floor.main()
    found = json.loads(out.read_text())
    rates, case = found["rates"], found["against_floor"]["320x180"]
    assert rates["matrix"] > rates["memory"] / 4 > 0
    assert set(case["rows"]) == {node.name for node in build_graph()} - {"deliver"}
    for row in case["rows"].values():
        least = max(row["gflop"] * 1e9 / rates["matrix"], row["megabytes"] * 1e6 / rates["memory"])
        assert row["floor_ms"] == pytest.approx(least * 1000) and row["p50_ms"] > 0
    frame = case["frame"]
    assert frame["megabytes"] == pytest.approx(sum(row["megabytes"] for row in case["rows"].values()))
    assert frame["bound"] == "memory" and frame["share"] == pytest.approx(frame["floor_ms"] / frame["ms"])
    assert "of the floor" in capsys.readouterr().out
