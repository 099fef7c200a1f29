"""The engine cache: which TensorRT engine belongs to which net, and where it lies.

An engine is good for one ONNX file, one recipe, one version of one TensorRT, and the GPUs and sizes it was built for.
All of that is its key. In the cache's folder an engine is two files: NET-DIGEST.engine, and NET-DIGEST.json with the key
and the engine's own sha256. The second one appears last: an engine without it does not count.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock
from vmfm.runtime.bundle import DETAILS, MOST_PATCHES, NET_MULTIPLE_PX, Bundle
from vmfm.runtime.errors import BackendError
from vmfm.runtime.files import cache_folder, write_whole
from vmfm.runtime.graph import PATCH_PX, TENSORS, Node

RECIPE = "fp16-2"  # how engines are made of ONNX files: changes with every change of that
TORCH2TRT_RECIPE = "torch2trt-1"  # how `vmfm build --converter torch2trt` makes them
STANDARD_FRAMES = ((720, 1280), (1280, 720), (720, 720))  # (H, W): their net sizes get kernels of their own
WIDEST_ASPECT = 4  # of the frames that engines take, either way: 32:9 screens, too
OLDEST_STATIC = 80  # compute capability


@dataclass(frozen=True)
class Profile:
    """A range of sizes that an engine takes, and the one it is best at: (H, W), or for the refinement (K,)."""

    low: tuple[int, ...]
    best: tuple[int, ...]
    high: tuple[int, ...]

    def covers(self, size: tuple[int, ...]) -> bool:
        return all(low <= n <= high for low, n, high in zip(self.low, size, self.high, strict=True))


def profiles_of(bundle: Bundle, node: Node, capabilities: Sequence[int], recipe: str = RECIPE) -> tuple[Profile, ...]:
    """The sizes a net's engine is built for: the usual frames exactly, 16:9 at every detail, then a range for all others.

    Exact sizes leave the compiler nothing to guess. Each costs an RTX engine a few percent of its size; but not before
    compute capability 8.0, where the engine would hold code for each size that is 20 times as large as the weights.
    """
    if recipe == TORCH2TRT_RECIPE:
        size = (bundle.patches,) if "patches" in node.reads else bundle.net_size(*STANDARD_FRAMES[0])
        return (Profile(size, size, size),)
    if "patches" in node.reads:
        return (Profile((1,), (bundle.patches,), (MOST_PATCHES,)),)
    usual = [bundle.net_size(*frame) for frame in STANDARD_FRAMES]
    exact = list(dict.fromkeys([*usual, *(bundle.net_size(*STANDARD_FRAMES[0], detail) for detail in DETAILS)]))
    longest = int(math.sqrt(bundle.pixel_budget * WIDEST_ASPECT)) // NET_MULTIPLE_PX * NET_MULTIPLE_PX
    longest = max(longest, *(side for size in exact for side in size))
    least = NET_MULTIPLE_PX
    flexible = Profile((least, least), exact[0], (longest, longest))
    if min(capabilities) < OLDEST_STATIC:
        return (flexible,)
    return (*(Profile(size, size, size) for size in exact), flexible)


def tensor_shape(tensor: str, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The shape of a net's tensor at a size, (H, W) or (K,)."""
    channels = TENSORS[tensor].channels
    if len(size) == 1:
        return size[0], channels, PATCH_PX, PATCH_PX
    return 1, channels, size[0], size[1]


@dataclass(frozen=True)
class EngineKey:
    """Everything that changes an engine."""

    net: str
    onnx_sha256: str
    profiles: tuple[Profile, ...]
    flavor: str
    version: str  # of the flavor
    capabilities: tuple[int, ...]  # of the GPUs that it runs on; 89 is 8.9
    device: str = ""  # the GPU's name, for flavors that tune an engine to the very GPU
    recipe: str = RECIPE

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        node: Node,
        flavor: str,
        version: str,
        capabilities: Sequence[int],
        device: str = "",
        recipe: str = RECIPE,
    ) -> Self:
        """The key of a bundle's net."""
        capabilities = tuple(sorted(capabilities))
        profiles = profiles_of(bundle, node, capabilities, recipe)
        return cls(node.name, bundle.nets[node.name].sha256, profiles, flavor, version, capabilities, device, recipe)

    @property
    def stem(self) -> str:
        """The engine's file name without its ending."""
        content = json.dumps(self.to_json(), sort_keys=True)
        return f"{self.net}-{hashlib.sha256(content.encode()).hexdigest()[:20]}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class EngineCache:
    """A folder of engines. The folder need not exist before the first store()."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: by default `engines` in the folder where VMFM keeps what can be made again."""
        self.folder = folder or cache_folder() / "engines"

    def engine_file(self, key: EngineKey) -> Path:
        return self.folder / f"{key.stem}.engine"

    def problem(self, key: EngineKey) -> str:
        """Why there is no good engine for a key, in a few words; "" if there is one."""
        try:
            self.load(key)
        except BackendError as error:
            return str(error)
        return ""

    def load(self, key: EngineKey) -> bytes:
        """The engine of a key, verified. Raises BackendError saying what is wrong with it."""
        file = self.engine_file(key)
        if not file.exists() and not self._sidecar(key).exists():
            raise BackendError("not built yet")
        try:
            record = json.loads(self._sidecar(key).read_text(encoding="utf-8"))
            engine = file.read_bytes()
            size, digest, its_key = int(record["bytes"]), record["sha256"], record["key"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BackendError(f"incomplete or unreadable ({type(error).__name__})") from error
        if len(engine) != size:
            raise BackendError(f"{'truncated' if len(engine) < size else 'too long'}: {len(engine)} bytes of {size}")
        if its_key != json.loads(json.dumps(key.to_json())):
            raise BackendError("foreign: its record is that of another engine")
        if hashlib.sha256(engine).hexdigest() != digest:
            raise BackendError("damaged: its sha256 is not the recorded one")
        return engine

    def store(self, key: EngineKey, engine: bytes) -> Path:
        """Writes an engine; whoever looks meanwhile finds the old one, the new one, or none, but no half one."""
        record = {"key": key.to_json(), "bytes": len(engine), "sha256": hashlib.sha256(engine).hexdigest()}
        file = self.engine_file(key)
        try:
            self._sidecar(key).unlink(missing_ok=True)
            write_whole(file, engine)
            write_whole(self._sidecar(key), json.dumps(record, indent=2).encode())
        except OSError as error:
            raise BackendError(
                f"cannot write the engine {file} ({error.strerror}); free some space, or choose another folder with --out"
            ) from error
        return file

    def forget(self, key: EngineKey) -> None:
        """Makes an engine that turned out to be no good count as not built, where the folder may be written."""
        with suppress(OSError):
            self._sidecar(key).unlink(missing_ok=True)

    def find(self, bundle: Bundle, node: Node, flavor: str, version: str, capability: int, device: str) -> EngineKey:
        """The key of an engine here that serves a GPU: by itself, or among others. Raises BackendError."""
        reasons = ["not built yet"]
        lists = dict.fromkeys([(capability,), *self._built_for(node.name)])
        for recipe in (RECIPE, TORCH2TRT_RECIPE):
            for capabilities in lists:
                key = EngineKey.of(bundle, node, flavor, version, capabilities, device, recipe)
                if capability in capabilities:
                    if not (reason := self.problem(key)):
                        return key
                    reasons.append(reason)
        raise BackendError(max(reasons, key=lambda reason: reason != "not built yet"))

    @contextmanager
    def lock(self, key: EngineKey) -> Iterator[None]:
        """Held by one process at a time per key; the others wait. A process that dies lets go of it."""

        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(self.folder / f".{key.stem}.lock"))
            except OSError as error:
                raise BackendError(
                    f"cannot write to {self.folder} ({error.strerror}); choose another folder"
                ) from error
            yield

    def nbytes(self) -> int:
        """What the folder holds."""
        return sum(file.stat().st_size for file in self.folder.glob("*") if file.is_file())

    def _sidecar(self, key: EngineKey) -> Path:
        return self.folder / f"{key.stem}.json"

    def _built_for(self, net: str) -> list[tuple[int, ...]]:
        """The lists of GPUs that engines of a net were built for, as far as their records can be read."""
        found: dict[tuple[int, ...], None] = {}
        for file in sorted(self.folder.glob(f"{net}-*.json")):
            try:
                found[tuple(int(n) for n in json.loads(file.read_text(encoding="utf-8"))["key"]["capabilities"])] = None
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return [capabilities for capabilities in found if capabilities]
