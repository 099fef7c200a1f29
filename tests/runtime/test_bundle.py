import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.runtime.bundle import DETAILS, MANIFEST, Bundle, Detail, _seal, write_bundle
from vmfm.runtime.errors import BundleError
from vmfm.runtime.graph import NETS

MakeBundle = Callable[[], Bundle]


def sized(pixel_budget: int) -> Bundle:
    return Bundle(Path("anywhere"), "sized", {}, pixel_budget)


def test_round_trip(tiny_bundle: Bundle) -> None:
    again = Bundle.open(str(tiny_bundle.path))
    assert again == tiny_bundle
    assert again.trained == {"steps": 0} and again.scores == {"sad": 1.5}
    assert set(again.nets) == {node.name for node in NETS}
    assert [tensor.name for tensor in again.nets["foreground_s"].inputs] == ["image", "heatmap", "segmentation"]


@pytest.mark.parametrize("file", [*(f"{node.name}.onnx" for node in NETS), MANIFEST])
def test_one_flipped_byte_names_the_file(fresh_bundle: MakeBundle, file: str) -> None:
    path = fresh_bundle().path / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=file):
        Bundle.open(path.parent)


def test_missing_file_names_it(fresh_bundle: MakeBundle) -> None:
    bundle = fresh_bundle()
    bundle.net_path("depth").unlink()
    with pytest.raises(BundleError, match=r"depth\.onnx"):
        Bundle.open(bundle.path)


def test_other_format_version_says_both_versions(fresh_bundle: MakeBundle) -> None:
    path = fresh_bundle().path
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(manifest | {"version": 99}))
    with pytest.raises(BundleError, match="version 99, this release reads 1"):
        Bundle.open(path)


def seal(path: Path, manifest: dict) -> None:
    path.write_text(json.dumps(manifest | {"seal": _seal(manifest)}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pixel_budget": float("inf")}, "damaged"),
        ({"patches": 2**24}, "16777216 patches, which cannot work"),
        ({"nets": {"depth": {"file": "a\0b", "sha256": "", "inputs": [], "outputs": []}}}, "no net"),
        ({"nets": [[]]}, "damaged"),
    ],
)
def test_a_manifest_that_makes_no_sense_though_sealed(fresh_bundle: MakeBundle, change: dict, told: str) -> None:
    path = fresh_bundle().path / MANIFEST
    manifest = json.loads(path.read_text()) | change
    seal(path, manifest)
    with pytest.raises(BundleError, match=told):
        Bundle.open(path.parent)


def test_a_file_of_a_net_that_can_be_none(fresh_bundle: MakeBundle) -> None:
    path = fresh_bundle().path / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["nets"]["depth"]["file"] = "a\0b"
    seal(path, manifest)
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(path.parent)
    path.write_text("[" * 100_000)
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(path.parent)


@pytest.mark.parametrize("bounds", [[1, 0], [0, float("nan")], [0], ["a", "b"], 3])
def test_ranges_of_int8_that_are_none(fresh_bundle: MakeBundle, bounds: object) -> None:
    path = fresh_bundle().path
    content = json.dumps({"depth": {"x": bounds}}).encode()
    (path / "int8.json").write_bytes(content)
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["int8"] = {"file": "int8.json", "sha256": hashlib.sha256(content).hexdigest()}
    seal(path / MANIFEST, manifest)
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(path)


def test_a_place_that_cannot_be_written_is_named(tiny_models: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BundleError, match=r"cannot write the bundle .*file.mine"):
        write_bundle(
            tmp_path / "file" / "mine", tiny_models, name="m", pixel_budget=4096, patches=1, trained={}, scores={}
        )


def test_unknown_bundle_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle 'nosuch'"):
        Bundle.open("nosuch")
    with pytest.raises(BundleError, match=MANIFEST):
        Bundle.open(tmp_path)


def test_write_replaces_a_bundle_but_no_other_folder(tiny_models: dict[str, bytes], tmp_path: Path) -> None:
    def write(path: Path, name: str) -> Bundle:
        return write_bundle(path, tiny_models, name=name, pixel_budget=4096, patches=4, trained={}, scores={})

    write(tmp_path / "a", "first")
    assert write(tmp_path / "a", "second").name == "second"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(BundleError, match="not a bundle"):
        write(tmp_path / "mine", "third")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "mine"]
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_what_lies_beside_a_bundle_outlives_it(fresh_bundle: MakeBundle, tiny_models: dict[str, bytes]) -> None:
    path = fresh_bundle().path
    for file in ("README.md", "engines/depth.engine", "int8.json"):
        (path / file).parent.mkdir(exist_ok=True)
        (path / file).write_text("of the older one")
    write_bundle(path, tiny_models, name="new", pixel_budget=4096, patches=4, trained={}, scores={})
    assert (path / "README.md").exists() and (path / "engines" / "depth.engine").exists()
    assert not (path / "int8.json").exists()  # part of the older bundle


@pytest.mark.parametrize("manifest", ['{"manifest_version": 3}', "[]", "no JSON"])
def test_not_every_manifest_is_a_bundle_s(manifest: str, tiny_models: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "extension").mkdir()
    (tmp_path / "extension" / MANIFEST).write_text(manifest)
    with pytest.raises(BundleError, match="not a bundle"):
        write_bundle(tmp_path / "extension", tiny_models, name="b", pixel_budget=4096, patches=4, trained={}, scores={})
    assert (tmp_path / "extension" / MANIFEST).read_text() == manifest


def test_an_interrupted_write_leaves_the_older_bundle(
    fresh_bundle: MakeBundle, tiny_models: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace = fresh_bundle().path, os.replace

    def interrupted(source: Path, target: Path) -> None:
        if Path(source).name == "new":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(path, tiny_models, name="new", pixel_budget=4096, patches=4, trained={}, scores={})
    assert Bundle.open(path).name != "new"


def test_write_wants_every_net(tiny_models: dict[str, bytes], tmp_path: Path) -> None:
    some = {name: model for name, model in tiny_models.items() if name != "depth"} | {"other": b""}
    with pytest.raises(BundleError, match="depth.*other"):
        write_bundle(tmp_path / "b", some, name="b", pixel_budget=4096, patches=4, trained={}, scores={})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frame", "sizes"),
    [
        ((720, 1280), [(224, 384), (288, 512), (384, 672)]),
        ((1280, 720), [(384, 224), (512, 288), (672, 384)]),
        ((500, 500), [(288, 288), (384, 384), (512, 512)]),
        ((480, 640), [(256, 320), (320, 448), (448, 576)]),
    ],
)
def test_net_sizes_of_common_frames(frame: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    assert [sized(262144).net_size(*frame, detail) for detail in ("fast", "balanced", "fine")] == sizes
    assert sized(262144).net_size(*frame) == sizes[-1]


@given(
    st.integers(1, 8000), st.integers(1, 8000), st.sampled_from([1024, 4096, 262144]), st.sampled_from(list(DETAILS))
)
def test_net_size_law(height: int, width: int, whole: int, detail: Detail) -> None:
    h, w = sized(whole).net_size(height, width, detail)
    budget = whole * DETAILS[detail]
    assert h % 32 == w % 32 == 0 and min(h, w) >= 32 and h * w <= max(budget, 32 * 32)
    assert sized(whole).net_size(width, height, detail) == (w, h)
    if budget > 80000 and 1 / 2.5 < width / height < 2.5:
        assert abs((w / h) / (width / height) - 1) < 0.17
        assert h * w > 0.75 * budget
