"""The torch2trt converter, as far as it runs without that library: its own deconvolution, in real networks, and its errors."""

import copy
import sys
from types import ModuleType, SimpleNamespace
from typing import Self

import pytest
import torch
from vmfm.engine_build.compile import build_engine
from vmfm.engine_build.errors import BuildError
from vmfm.engine_build.export import export_model
from vmfm.engine_build.torch2trt_converter import Torch2TrtConverter, convert_conv_transpose2d, with_own_converters
from vmfm.runtime.backends.tensorrt_flavor import open_flavor
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.engines import TORCH2TRT_RECIPE, EngineCache, EngineKey
from vmfm.runtime.graph import NETS
from vmfm.trainer.checkpoint import save_weights


class Context:
    """torch2trt's ConversionContext by its names. Of a net it converts nothing: its output is its first input's channel."""

    def __init__(self, network, converters, torch2trt_kwargs, builder_config) -> None:
        self.network, self.net, self.converters = network, torch2trt_kwargs["module"], converters

    def add_inputs(self, inputs, names) -> None:
        library = sys.modules["tensorrt"]
        made = [self.network.add_input(name, library.DataType.HALF, tuple(x.shape)) for x, name in zip(inputs, names)]

        def remember(net, inputs, output) -> None:
            output._trt = self.network.add_slice(made[0], (0, 0, 0, 0), tuple(output.shape), (1, 1, 1, 1)).get_output(0)

        self.net.register_forward_hook(remember)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


@pytest.fixture
def library(monkeypatch) -> ModuleType:
    """A torch2trt that is found and imported, and holds Context."""
    package, module = ModuleType("torch2trt"), ModuleType("torch2trt.torch2trt")
    package.__spec__ = SimpleNamespace(name="torch2trt")
    module.ConversionContext, module.CONVERTERS = Context, {}
    for name, value in (
        ("torch2trt", package),
        ("torch2trt.torch2trt", module),
        ("tensorrt", open_flavor("rtx").library),
    ):
        monkeypatch.setitem(sys.modules, name, value)
    return module


@pytest.fixture
def checkpoint(tiny_model, tmp_path):
    save_weights(tmp_path / "run", tiny_model, {"steps": 0})
    return tmp_path / "run"


@pytest.fixture
def bundle(tiny_model, tmp_path) -> Bundle:
    return export_model(tiny_model, tmp_path / "bundle", name="own", trained={}, scores={}).bundle


def test_without_the_library(checkpoint) -> None:
    with pytest.raises(BuildError, match="torch2trt is not installed: pip install git"):
        Torch2TrtConverter(checkpoint)


def test_without_a_checkpoint() -> None:
    with pytest.raises(BuildError, match="--checkpoint"):
        Torch2TrtConverter(None)


def test_engines_of_its_networks_are_found_by_the_runtime(library, checkpoint, bundle, tmp_path) -> None:
    flavor, cache = open_flavor("rtx"), EngineCache(tmp_path / "engines")
    for node in NETS:
        if node.name in ("foreground_s", "refinement"):
            key = EngineKey.of(bundle, node, flavor.name, flavor.version, (89,), recipe=TORCH2TRT_RECIPE)
            cache.store(key, build_engine(bundle, node, flavor, key, Torch2TrtConverter(checkpoint)))
            assert cache.find(bundle, node, flavor.name, flavor.version, 89, "") == key
            assert key.profiles[0].low == key.profiles[0].high


def test_a_checkpoint_of_other_weights_is_refused(library, checkpoint, bundle, tiny_model, tmp_path) -> None:
    """Its engines would be found as those of the bundle."""
    other = copy.deepcopy(tiny_model)
    other.foreground_s.decoder[-1].weight.data[0, 0, 0, 0] += 1
    save_weights(tmp_path / "other", other, {"steps": 0})
    node, flavor = next(node for node in NETS if node.name == "foreground_s"), open_flavor("rtx")
    key = EngineKey.of(bundle, node, flavor.name, flavor.version, (89,), recipe=TORCH2TRT_RECIPE)
    with pytest.raises(BuildError, match="foreground_s of the checkpoint is not that of the bundle own"):
        build_engine(bundle, node, flavor, key, Torch2TrtConverter(tmp_path / "other"))


def test_a_tensorrt_that_it_cannot_use_is_told(library, checkpoint, bundle) -> None:
    def gone(*_: object, **__: object) -> None:
        raise AttributeError("module 'tensorrt' has no attribute 'BuilderFlag.FP16'")

    library.ConversionContext = gone
    flavor = open_flavor("rtx")
    key = EngineKey.of(bundle, NETS[0], flavor.name, flavor.version, (89,), recipe=TORCH2TRT_RECIPE)
    with pytest.raises(BuildError, match=r"cannot convert 'interaction'.*--converter onnx"):
        build_engine(bundle, NETS[0], flavor, key, Torch2TrtConverter(checkpoint))


def test_a_deconvolution_may_change_the_number_of_channels() -> None:
    trt = open_flavor("rtx").library
    log = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(log).create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    x, net = torch.zeros(1, 6, 8, 8, dtype=torch.half), torch.nn.ConvTranspose2d(6, 3, 4, 2, 1).half()
    x._trt = network.add_input("x", trt.DataType.HALF, (1, 6, 8, 8))
    output = net(x)
    arguments = (x, net.weight, net.bias, net.stride, net.padding, net.output_padding, net.groups)
    convert_conv_transpose2d(
        SimpleNamespace(network=network, method_args=arguments, method_kwargs={"dilation": 1}, method_return=output)
    )
    assert tuple(output._trt.shape) == tuple(output.shape) == (1, 3, 16, 16)


def test_our_converter_takes_the_place_of_theirs() -> None:
    key = "torch.nn.functional.conv_transpose2d"
    theirs = {key: {"converter": None, "module": torch.nn.functional}, "torch.cat": {"converter": 1}}
    ours = with_own_converters(theirs)
    assert ours[key]["converter"] is convert_conv_transpose2d and ours["torch.cat"] == {"converter": 1}
    assert with_own_converters({})[key]["method_impl"] is torch.nn.functional.conv_transpose2d
