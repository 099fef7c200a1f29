"""The bundle: a folder with `manifest.json` and one ONNX file per net. This file is the only owner of the format.

It may hold `int8.json` too: the ranges of values within nets, which is all that a CPU needs to compute these in int8.
"""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from vmfm.runtime.errors import BundleError
from vmfm.runtime.graph import NETS, PATCH_PX, TENSORS, Node, TensorSpec

FORMAT, VERSION = "vmfm-bundle", 1
MANIFEST = "manifest.json"
INT8 = "int8.json"
SHIPPED = Path(__file__).parent / "bundles"
NET_MULTIPLE_PX = 32
MOST_NET_PIXELS = 2**24  # 4096 x 4096
MOST_PATCHES = 4096  # of a frame

Detail = Literal["fast", "balanced", "fine"]
DETAILS: dict[Detail, float] = {"fast": 1 / 3, "balanced": 9 / 16, "fine": 1}  # their share of the pixel budget

Ranges = Mapping[str, tuple[float, float]]  # of tensors within a net, by their names in its file: least, greatest


@dataclass(frozen=True)
class NetSpec:
    """One net of a bundle: its file, the sha256 of that file, and its named inputs and outputs."""

    name: str
    file: str
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Bundle:
    """A trained set of nets, opened and verified."""

    path: Path
    name: str
    nets: Mapping[str, NetSpec]
    pixel_budget: int  # pixels of a net's input, at most: those of the finest detail
    patch_px: int = PATCH_PX
    patches: int = 128  # K, the refinement patches per frame
    trained: Mapping[str, Any] = field(default_factory=dict)  # how the weights came to be
    scores: Mapping[str, Any] = field(default_factory=dict)  # what they scored
    ranges: Mapping[str, Ranges] = field(default_factory=dict)  # of the nets that may compute in int8, by net

    @classmethod
    def open(cls, name_or_path: "str | Path") -> "Bundle":
        """Opens a shipped bundle by name ("lite", "full") or any bundle by its folder, and verifies every file.

        Raises BundleError if it is unknown, incomplete, damaged, or of another format version.
        """
        path = _locate(name_or_path)
        manifest = _read_manifest(path)
        try:
            nets = {name: _net_spec(name, entry) for name, entry in manifest["nets"].items()}
            bundle = cls(
                path,
                str(manifest["name"]),
                nets,
                int(manifest["pixel_budget"]),
                int(manifest["patch_px"]),
                int(manifest["patches"]),
                dict(manifest["trained"]),
                dict(manifest["scores"]),
                _read_ranges(path, manifest["int8"]) if "int8" in manifest else {},
            )
            bundle._verify()
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise BundleError(
                f"{path / MANIFEST} is damaged ({error!r}); export or install the bundle again"
            ) from error
        return bundle

    def net_path(self, net: str) -> Path:
        """The ONNX file of a net."""
        return self.path / self.nets[net].file

    def net_size(self, height: int, width: int, detail: Detail = "fine") -> tuple[int, int]:
        """(H, W) of the nets' input for a frame: multiples of 32, the frame's aspect, as many pixels as the detail has.

        These are at most the pixel budget if it is "fine", 9/16 of it if "balanced", a third if "fast". Of a budget of
        262144, a 1280x720 frame is seen as (384, 672), (288, 512) or (224, 384), a square one as (512, 512), (384, 384) or
        (288, 288).
        """
        cells = max(1, int(self.pixel_budget * DETAILS[detail]) // NET_MULTIPLE_PX**2)
        h, w = _fit(cells, height, width)
        return h * NET_MULTIPLE_PX, w * NET_MULTIPLE_PX

    def _verify(self) -> None:
        if self.patch_px != PATCH_PX:
            raise BundleError(f"{self.path} has patches of {self.patch_px} px, this release needs {PATCH_PX}")
        if not NET_MULTIPLE_PX**2 <= self.pixel_budget <= MOST_NET_PIXELS or not 1 <= self.patches <= MOST_PATCHES:
            raise BundleError(
                f"{self.path} has a pixel budget of {self.pixel_budget} and {self.patches} patches, which cannot work"
            )
        for node in NETS:
            spec = self.nets.get(node.name)
            if spec is None:
                raise BundleError(f"{self.path} has no net {node.name!r}; export it again with this release")
            if (spec.inputs, spec.outputs) != _tensors(node):
                raise BundleError(f"{self.path}: net {node.name!r} has other inputs or outputs than this release uses")
            _read_verified(self.path / spec.file, spec.sha256)


@lru_cache  # streams ask for every frame
def _fit(cells: int, height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of at most so many cells that are nearest to a frame's aspect."""
    aspect = math.log(width / height)

    def cost(size: tuple[int, int]) -> float:
        h, w = size
        # An aspect error distorts what the nets see, unused budget only blurs it a little: weigh it double.
        return 2 * abs(math.log(w / h) - aspect) + math.log(cells / (h * w))

    return min(((h, w) for h in range(1, cells + 1) for w in range(1, cells // h + 1)), key=cost)


def shipped_bundles() -> list[str]:
    """Names of the bundles that came with this installation."""
    return sorted(folder.parent.name for folder in SHIPPED.glob(f"*/{MANIFEST}"))


def write_bundle(
    path: "str | Path",
    models: Mapping[str, bytes],
    *,
    name: str,
    pixel_budget: int,
    patches: int,
    trained: Mapping[str, Any],
    scores: Mapping[str, Any],
    ranges: Mapping[str, Ranges] | None = None,
) -> Bundle:
    """Writes a bundle and opens it. models: the ONNX bytes of every net of the graph, by net name. ranges: as in Bundle.

    The folder appears whole or not at all; an older bundle at `path` is replaced, any other folder is not. What else lies
    in the folder of an older one stays there.
    trained and scores must be JSON values. Raises BundleError.
    """
    path = Path(path)
    missing = [node.name for node in NETS if node.name not in models]
    unknown = sorted(set(models) - {node.name for node in NETS})
    if missing or unknown:
        raise BundleError(f"a bundle needs one model per net of the graph: missing {missing}, unknown {unknown}")
    older = _files_of(path)
    if not older and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BundleError(f"{path} exists and is not a bundle; choose another folder or remove it")
    nets = {}
    for node in NETS:
        inputs, outputs = _tensors(node)
        digest = hashlib.sha256(models[node.name]).hexdigest()
        nets[node.name] = NetSpec(node.name, f"{node.name}.onnx", digest, inputs, outputs)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "pixel_budget": pixel_budget,
        "patch_px": PATCH_PX,
        "patches": patches,
        "nets": {key: {k: v for k, v in asdict(spec).items() if k != "name"} for key, spec in nets.items()},
        "trained": dict(trained),
        "scores": dict(scores),
    }
    contents = {spec.file: models[net] for net, spec in nets.items()}
    if ranges:
        contents[INT8] = json.dumps(ranges, indent=1).encode()
        manifest["int8"] = {"file": INT8, "sha256": hashlib.sha256(contents[INT8]).hexdigest()}
    manifest["seal"] = _seal(manifest)
    contents[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
            fresh = Path(scratch) / "new"
            fresh.mkdir()
            for file, content in contents.items():
                (fresh / file).write_bytes(content)
            for other in path.iterdir() if older else ():
                if other.name not in older | contents.keys():
                    (shutil.copytree if other.is_dir() else shutil.copy2)(other, fresh / other.name)
            _move_into_place(fresh, path, Path(scratch) / "old")
    except OSError as error:
        raise BundleError(f"cannot write the bundle {path} ({error.strerror}); choose another folder") from error
    return Bundle.open(path.resolve())


def _move_into_place(fresh: Path, path: Path, aside: Path) -> None:
    """A folder cannot be replaced in one step: the old one moves aside, and comes back if the new one cannot."""
    try:
        if path.exists():
            os.replace(path, aside)
        os.replace(fresh, path)
    except BaseException:  # a Ctrl-C, too: what is aside would be cleared away
        if aside.exists() and not path.exists():
            os.replace(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _files_of(path: Path) -> set[str]:
    """The names of a bundle's own files, whatever its version; none where there is no bundle."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            return set()
        return {MANIFEST, INT8, *(net["file"] for net in manifest["nets"].values())}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()


def _tensors(node: Node) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    return tuple(TENSORS[name] for name in node.reads), tuple(TENSORS[name] for name in node.writes)


def _locate(name_or_path: "str | Path") -> Path:
    if isinstance(name_or_path, str) and name_or_path.isidentifier() and _holds_manifest(SHIPPED / name_or_path):
        return SHIPPED / name_or_path
    path = Path(name_or_path)
    if not _holds_manifest(path):
        names = ", ".join(shipped_bundles()) or "none"
        raise BundleError(
            f"no bundle {str(name_or_path)!r}: wanted a shipped one ({names}) or a folder with a {MANIFEST} in it"
        )
    return path


def _holds_manifest(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).is_file()
    except OSError:  # a name too long for the system, a folder of others
        return False


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"cannot read {file} ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file} is damaged (not JSON: {error}); export or install the bundle again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{file} is not the manifest of a VMFM bundle")
    if manifest.get("version") != VERSION:
        raise BundleError(
            f"{path} is a bundle of format version {manifest.get('version')}, this release reads {VERSION}; "
            "export it again, or install the release that made it"
        )
    if manifest.get("seal") != _seal(manifest):
        raise BundleError(
            f"{file} is damaged or was edited: its seal does not match; export or install the bundle again"
        )
    return manifest


def _seal(manifest: Mapping[str, Any]) -> str:
    """sha256 of everything in the manifest but the seal, so that a flipped byte in K is noticed like one in a net."""
    content = {key: value for key, value in manifest.items() if key != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_verified(file: Path, sha256: str) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {file} ({error.strerror}); export or install the bundle again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(f"{file} is damaged: its sha256 is not the manifest's; export or install the bundle again")
    return content


def _inside(file: str) -> str:
    if Path(file).name != file:
        raise ValueError(f"{file!r} lies outside the bundle")
    return file


def _read_ranges(path: Path, entry: Mapping[str, Any]) -> dict[str, Ranges]:
    content = json.loads(_read_verified(path / _inside(str(entry["file"])), str(entry["sha256"])))
    return {net: {name: _range(*bounds) for name, bounds in ranges.items()} for net, ranges in content.items()}


def _range(low: float, high: float) -> tuple[float, float]:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"a range from {low} to {high}")
    return low, high


def _net_spec(name: str, entry: Mapping[str, Any]) -> NetSpec:
    file = _inside(str(entry["file"]))
    inputs, outputs = (tuple(TensorSpec(**tensor) for tensor in entry[key]) for key in ("inputs", "outputs"))
    return NetSpec(name, file, str(entry["sha256"]), inputs, outputs)
