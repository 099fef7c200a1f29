"""FP16 engines, really built: TensorRT for RTX needs no GPU for that."""

import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import onnx
import pytest
import torch
from vmfm.apps.main import run
from vmfm.engine_build.build import choose_converter, choose_gpus, parse_gpus
from vmfm.engine_build.compile import RTX_CARDS, build_engines, group_capabilities
from vmfm.engine_build.errors import BuildError
from vmfm.engine_build.export import export_model
from vmfm.engine_build.fold import fold_batch_norms, round_kernels
from vmfm.engine_build.onnx_model import to_onnx
from vmfm.runtime.backends.tensorrt_flavor import Flavor, open_flavor
from vmfm.runtime.bundle import DETAILS, Bundle, write_bundle
from vmfm.runtime.engines import EngineCache, EngineKey, profiles_of
from vmfm.runtime.errors import BackendError, BundleError
from vmfm.runtime.gpus import Gpu, Gpus
from vmfm.runtime.graph import NETS
from vmfm.trainer.config import FULL
from vmfm.trainer.model import VMFM

NO_GPU = Gpus(None, (), "no NVIDIA driver is installed")
REFINEMENT = next(node for node in NETS if node.name == "refinement")


@pytest.fixture(scope="module")
def rtx() -> Flavor:
    return open_flavor("rtx")


@pytest.fixture(scope="module")
def tiny(tiny_model, tmp_path_factory) -> Bundle:
    path = tmp_path_factory.mktemp("bundle") / "tiny"
    return export_model(tiny_model, path, name="tiny", trained={}, scores={}).bundle


@pytest.fixture(scope="module")
def built_once(tiny: Bundle, rtx: Flavor, tmp_path_factory) -> EngineCache:
    cache = EngineCache(tmp_path_factory.mktemp("built") / "engines")
    build_engines(tiny, rtx, (89,), cache)
    return cache


@pytest.fixture
def full_cache(built_once: EngineCache, tmp_path: Path) -> EngineCache:
    """All of tiny's engines for sm89, to damage."""
    return EngineCache(shutil.copytree(built_once.folder, tmp_path / "engines"))


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


@pytest.fixture(scope="module")
def bundle_of(request, tmp_path_factory) -> Bundle:
    """The shipped bundle of that name; before `full` is shipped, one of its size with weights that nobody trained."""
    try:
        return Bundle.open(request.param)
    except BundleError:
        torch.manual_seed(0)
        path = tmp_path_factory.mktemp("bundle") / request.param
        nets = VMFM(FULL).eval().export_nets()
        models = {node.name: to_onnx(round_kernels(fold_batch_norms(nets[node.name])), node) for node in NETS}
        sizes = {"pixel_budget": FULL.pixel_budget, "patches": FULL.patches}
        return write_bundle(path, models, name=request.param, **sizes, trained={}, scores={})


@pytest.mark.slow
@pytest.mark.parametrize("bundle_of", ["lite", "full"], indirect=True)
def test_engines_of_all_nets_for_all_rtx_cards(bundle_of: Bundle, rtx: Flavor, cache: EngineCache) -> None:
    built = build_engines(bundle_of, rtx, RTX_CARDS, cache)
    assert [one.key.net for one in built] == [node.name for node in NETS] * 2
    assert [one.key.capabilities for one in built] == [(75,)] * len(NETS) + [(86, 89, 120)] * len(NETS)
    for one in built:
        engine = cache.load(one.key)
        weights = bundle_of.net_path(one.key.net).stat().st_size
        assert weights < len(engine) < 8 * weights + 4e6, one.key.net
        assert int.from_bytes(engine[16:24], "little") == len(engine)  # the header's own idea of the size
    everywhere = sum(one.nbytes for one in built if one.key.capabilities != (75,))
    assert everywhere < 80e6
    again = build_engines(bundle_of, rtx, RTX_CARDS, cache)
    assert not any(one.reason for one in again)


def damage(how: str, cache: EngineCache, key: EngineKey, other: EngineKey) -> None:
    file, record = cache.engine_file(key), cache.engine_file(key).with_suffix(".json")
    data = file.read_bytes()
    if how == "truncated":
        file.write_bytes(data[: len(data) // 2])
    elif how == "damaged":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif how == "foreign":
        file.write_bytes(cache.engine_file(other).read_bytes())
        record.write_bytes(cache.engine_file(other).with_suffix(".json").read_bytes())
    elif how == "incomplete":
        record.unlink()
    else:
        record.write_text("[]")


@pytest.mark.parametrize("how", ["truncated", "damaged", "foreign", "incomplete", "unreadable"])
def test_a_bad_engine_is_rebuilt_with_a_word_about_why(how, tiny: Bundle, rtx: Flavor, full_cache: EngineCache) -> None:
    keys = {one.key.net: one.key for one in build_engines(tiny, rtx, (89,), full_cache)}
    good = full_cache.load(keys["refinement"])
    damage(how, full_cache, keys["refinement"], keys["depth"])
    with pytest.raises(BackendError, match=how):
        full_cache.load(keys["refinement"])
    told = []
    built = build_engines(tiny, rtx, (89,), full_cache, on_engine=lambda key, reason: told.append((key.net, reason)))
    assert [net for net, _ in told] == ["refinement"] and how in told[0][1]
    assert [one.key.net for one in built if one.reason] == ["refinement"]
    assert full_cache.load(keys["refinement"]) == good


def test_the_key_names_everything_that_changes_an_engine(tiny: Bundle) -> None:
    def stem(**changes) -> str:
        options = {"flavor": "rtx", "version": "1.7", "capabilities": (89,), "device": "", **changes}
        return EngineKey.of(tiny, REFINEMENT, **options).stem

    def other_bundle(**changes) -> str:
        bundle = Bundle(
            tiny.path, tiny.name, tiny.nets, changes.get("pixels", tiny.pixel_budget), patches=changes.get("k", 16)
        )
        return EngineKey.of(bundle, NETS[0] if "pixels" in changes else REFINEMENT, "rtx", "1.7", (89,)).stem

    same = {stem(), stem(capabilities=[89])}
    assert len(same) == 1
    changed = {
        stem(flavor="tensorrt"),
        stem(version="1.8"),
        stem(capabilities=(86, 89)),
        stem(device="NVIDIA GeForce RTX 3060"),
        EngineKey.of(tiny, NETS[0], "rtx", "1.7", (89,)).stem,
        other_bundle(k=17),
        other_bundle(pixels=2 * tiny.pixel_budget),
    }
    assert len(changed) == 7 and not changed & same


def test_another_onnx_file_has_another_key(tiny: Bundle, tmp_path: Path) -> None:
    models = {node.name: tiny.net_path(node.name).read_bytes() for node in NETS}
    model = onnx.load_from_string(models["refinement"])
    model.doc_string = "changed"
    models["refinement"] = model.SerializeToString()
    options = {"pixel_budget": tiny.pixel_budget, "patches": tiny.patches, "trained": {}, "scores": {}}
    other = write_bundle(tmp_path / "other", models, name="tiny", **options)
    keys = [EngineKey.of(bundle, REFINEMENT, "rtx", "1.7", (89,)) for bundle in (tiny, other)]
    assert keys[0].stem != keys[1].stem


def test_two_processes_build_each_engine_once(tiny: Bundle, rtx: Flavor, cache: EngineCache) -> None:
    command = ["build", "--bundle", str(tiny.path), "--gpu", "sm89", "--out", str(cache.folder)]
    code = f"from vmfm.apps.main import run; raise SystemExit(run({command}))"
    both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = "".join(process.communicate()[1] for process in both)
    assert [process.returncode for process in both] == [0, 0], told
    assert told.count("; built in") == told.count("there already") == len(NETS)
    assert not any(one.reason for one in build_engines(tiny, rtx, (89,), cache))
    names = {file.name.partition("-")[2][20:] for file in cache.folder.iterdir()}
    assert names == {".engine", ".json", ".lock"}  # nothing half-written is left


def test_an_engine_among_others_is_found(tiny: Bundle, rtx: Flavor, cache: EngineCache) -> None:
    build_engines(tiny, rtx, (86, 89), cache)
    found = cache.find(tiny, REFINEMENT, rtx.name, rtx.version, 89, "")
    assert found.capabilities == (86, 89)
    with pytest.raises(BackendError, match="not built yet"):
        cache.find(tiny, REFINEMENT, rtx.name, rtx.version, 120, "")
    with pytest.raises(BackendError, match="not built yet"):
        cache.find(tiny, REFINEMENT, rtx.name, "9.9", 89, "")


def test_profiles_take_every_usual_frame(tiny: Bundle) -> None:
    for node in NETS[:1]:
        profiles = profiles_of(tiny, node, (89,))
        assert profiles[0].low == profiles[0].high == tiny.net_size(720, 1280)
        for frame, detail in product(
            ((480, 640), (1080, 1920), (1920, 1080), (500, 500), (800, 2000), (1, 1)), DETAILS
        ):
            assert any(profile.covers(tiny.net_size(*frame, detail)) for profile in profiles)
        assert len(profiles_of(tiny, node, (75,))) == 1


def test_old_cards_have_engines_of_their_own() -> None:
    assert group_capabilities((120, 75, 89, 89)) == [(75,), (89, 120)]
    assert group_capabilities((75,)) == [(75,)]


@pytest.mark.parametrize("text", ["sm86,sm89", "8.6, 8.9", "89,86", "SM_86,SM89"])
def test_gpus_as_people_write_them(text: str) -> None:
    assert parse_gpus(text) == (86, 89)


def test_gpus_that_cannot_be_built_for(rtx: Flavor) -> None:
    assert choose_gpus("auto", rtx, NO_GPU) == (RTX_CARDS, "")
    assert choose_gpus("auto", rtx, Gpus((13, 0), (Gpu("RTX 4070", 89, 12 << 30),))) == ((89,), "")
    with pytest.raises(BuildError, match="does not build for sm90"):
        choose_gpus("auto", rtx, Gpus((13, 0), (Gpu("H100", 90, 80 << 30),)))
    with pytest.raises(BuildError, match="not understood"):
        choose_gpus("rtx4090", rtx, NO_GPU)


def test_tensorrt_builds_on_the_gpu_it_builds_for() -> None:
    class Library:
        __version__ = "10.16.0"

    flavor, here = Flavor("tensorrt", Library), Gpus((13, 0), (Gpu("H100", 90, 80 << 30),))
    assert choose_gpus("auto", flavor, here) == ((90,), "H100")
    assert choose_gpus("sm90", flavor, here) == ((90,), "H100")
    for others in ("sm89", "all"):
        with pytest.raises(BuildError, match="GPU here alone, H100"):
            choose_gpus(others, flavor, here)
    with pytest.raises(BuildError, match="no NVIDIA driver"):
        choose_gpus("auto", flavor, NO_GPU)


def test_a_converter_that_is_not_there() -> None:
    with pytest.raises(BuildError, match="there are: onnx, torch2trt"):
        choose_converter("caffe", None)


def test_what_tensorrt_cannot_read_is_told(tiny_models, rtx: Flavor, cache: EngineCache, tmp_path: Path) -> None:
    """A net with an operator that no TensorRT knows."""
    model = onnx.load_from_string(tiny_models["refinement"])
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "Einstein", "nowhere"
    model.opset_import.append(onnx.helper.make_opsetid("nowhere", 1))
    models = {**tiny_models, "refinement": model.SerializeToString()}
    options = {"pixel_budget": 96 * 64, "patches": 8, "trained": {}, "scores": {}}
    bundle = write_bundle(tmp_path / "odd", models, name="odd", **options)
    with pytest.raises(BuildError, match="refinement"):
        build_engines(bundle, rtx, (89,), cache)
    assert not list(cache.folder.glob("refinement*"))


def test_the_command_builds_without_torch(tiny: Bundle, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from vmfm.apps.main import run\n"
        f"sys.exit(run(['build', '--bundle', {str(tiny.path)!r}, '--gpu', 'sm89', '--out', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "8 engines" in done.stderr and "not built yet; built in" in done.stderr
    assert len(list(tmp_path.glob("*.engine"))) == len(NETS)


def test_the_command_tells_what_is_wrong(tiny: Bundle, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    for arguments, message in (
        (["--gpu", "sm70"], "does not build for sm70"),
        (["--flavor", "cuda"], "no TensorRT flavor 'cuda'"),
        (["--bundle", "nothing"], "no bundle 'nothing'"),
        (["--out", str(tmp_path / "file")], "cannot write to"),
    ):
        arguments = arguments if "--bundle" in arguments else ["--bundle", str(tiny.path), *arguments]
        assert run(["build", *arguments]) == 1
        assert message in capsys.readouterr().err
