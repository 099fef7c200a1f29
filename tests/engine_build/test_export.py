import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from vmfm.apps.main import run
from vmfm.engine_build.errors import ExportError
from vmfm.engine_build.export import export_model, read_scores
from vmfm.engine_build.fold import fold_batch_norms, round_kernels
from vmfm.engine_build.parity import measure_parity, require_parity
from vmfm.runtime import Bundle, BundleError, MattingStream
from vmfm.runtime.bundle import write_bundle
from vmfm.runtime.graph import NETS
from vmfm.trainer.checkpoint import save_weights
from vmfm.trainer.config import TINY


@pytest.fixture(scope="module")
def exported(tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "tiny"
    return export_model(tiny_model, path, name="tiny", trained={"steps": 7}, scores={"set": {"sad": 1.5}})


def test_the_bundle_opens_and_tells_where_it_is_from(exported):
    bundle = Bundle.open(exported.bundle.path)
    assert (bundle.name, bundle.pixel_budget, bundle.patches) == ("tiny", TINY.pixel_budget, TINY.patches)
    assert bundle.trained == {"config": TINY.to_json(), "steps": 7}
    assert bundle.scores == {"set": {"sad": 1.5}}


def test_every_net_computes_what_torch_does(exported):
    assert [net.net for net in exported.parity] == [node.name for node in NETS]
    for net in exported.parity:
        assert net.holds and net.engine.max_abs < 1e-4
    assert max(net.rounding.max_abs for net in exported.parity) > 0  # the outputs are not flat


def test_rounding_that_changes_a_net_is_refused(exported):
    first = exported.parity[0]
    ruined = replace(first, rounding=replace(first.rounding, mean_abs=0.02))
    require_parity((first,))
    with pytest.raises(ExportError, match=f"{first.net}.*by rounding"):
        require_parity((ruined,))


def test_a_frame_runs_through_it(exported):
    frame = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    with MattingStream(exported.bundle.path) as stream:
        matte = stream.step(frame)
    assert matte.alpha.shape == (90, 160)


@pytest.mark.parametrize("node", NETS, ids=lambda node: node.name)
def test_kernels_are_stored_as_fp16_and_sizes_are_free(exported, node):
    graph = onnx.load(exported.bundle.net_path(node.name)).graph
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    casts = {cast.output[0]: cast.input[0] for cast in graph.node if cast.op_type == "Cast"}
    convolutions = [op for op in graph.node if op.op_type in ("Conv", "ConvTranspose")]
    assert convolutions
    assert {stored[casts[op.input[1]]] for op in convolutions} == {onnx.TensorProto.FLOAT16}
    assert not any(op.op_type == "BatchNormalization" for op in graph.node)
    assert [value.name for value in (*graph.input, *graph.output)] == [*node.reads, *node.writes]
    free = ["patches", ""] if node.name == "refinement" else ["height", "width"]
    for value in (*graph.input, *graph.output):
        dims = [dim.dim_param for dim in value.type.tensor_type.shape.dim]
        assert (dims[:2] if node.name == "refinement" else dims[2:]) == free


def test_the_same_weights_give_the_same_files(exported, tiny_model, tmp_path):
    again = export_model(
        tiny_model, tmp_path / "again", name="tiny", trained={"steps": 7}, scores={"set": {"sad": 1.5}}
    )
    first, second = exported.bundle.path, again.bundle.path
    assert {f.name: f.read_bytes() for f in first.iterdir()} == {f.name: f.read_bytes() for f in second.iterdir()}


def test_tampered_weights_are_refused(exported, tiny_model, tmp_path):
    """One weight changed behind a matching sha256: the parity check sees it, the manifest could not."""
    models = {node.name: exported.bundle.net_path(node.name).read_bytes() for node in NETS}
    graph = onnx.load_from_string(models["foreground_d"])
    bias = next(tensor for tensor in graph.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT)
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] += 0.5
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    models["foreground_d"] = graph.SerializeToString()
    tampered = write_bundle(
        tmp_path / "tampered", models, name="tiny", pixel_budget=4096, patches=16, trained={}, scores={}
    )
    nets = tiny_model.export_nets()
    rounded = {name: round_kernels(fold_batch_norms(net)) for name, net in nets.items()}
    parity = measure_parity(tampered, nets, rounded)
    with pytest.raises(ExportError, match=r"does not compute what torch computes: foreground_d \(max"):
        require_parity(parity)


def test_one_flipped_byte_is_refused(exported, tmp_path):
    models = {node.name: exported.bundle.net_path(node.name).read_bytes() for node in NETS}
    bundle = write_bundle(tmp_path / "b", models, name="b", pixel_budget=4096, patches=16, trained={}, scores={})
    file = bundle.net_path("depth")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(bundle.path)


def test_a_net_that_yields_nan_is_refused(tiny_model, tmp_path):
    broken = type(tiny_model)(TINY).eval()
    torch.nn.init.constant_(broken.depth.head.bias, float("nan"))
    with pytest.raises(ExportError, match="depth"):
        export_model(broken, tmp_path / "nan", name="nan", trained={}, scores={})
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports_a_checkpoint(tiny_model, tmp_path, capsys):
    save_weights(tmp_path / "run", tiny_model, {"steps": 3})
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps({"target": "tiny", "summary": {"rendered": {"sad": 12.0}}, "cases": []}))
    assert run(["export", str(tmp_path / "run"), "-o", str(tmp_path / "bundle"), "--scores", str(scores)]) == 0
    bundle = Bundle.open(tmp_path / "bundle")
    assert (bundle.name, bundle.trained["steps"], bundle.scores["rendered"]["sad"]) == ("bundle", 3, 12.0)
    assert "engine against torch" in capsys.readouterr().out


def test_the_command_refuses_a_folder_without_weights(tmp_path, capsys):
    assert run(["export", str(tmp_path), "-o", str(tmp_path / "bundle")]) == 1
    assert "no weights at" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("content", ["not json", "[]", "{}", '{"summary": 3}'])
def test_scores_that_are_none_are_refused(tmp_path, content):
    file = tmp_path / "scores.json"
    file.write_text(content)
    with pytest.raises(ExportError, match="holds no scores"):
        read_scores(file)
