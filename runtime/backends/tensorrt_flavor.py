"""The TensorRTs that VMFM builds with and runs on, and all that differs between them.

"rtx": TensorRT for RTX (module tensorrt_rtx). Builds within seconds, on any computer, for a list of GPUs, and finishes the
engine for the GPU at hand when it is loaded, which it remembers in a runtime cache. Knows GeForce RTX cards.
"tensorrt": TensorRT 10.11 and newer (module tensorrt). Builds within minutes, on and for the GPU at hand, of any kind.
"""

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vmfm.runtime.errors import BackendError

MODULES = {"rtx": "tensorrt_rtx", "tensorrt": "tensorrt"}  # by preference
LABELS = {"rtx": "TensorRT for RTX", "tensorrt": "TensorRT"}
OLDEST = {"rtx": (1, 0), "tensorrt": (10, 11)}  # before 10.11 an engine has no runtime config


@dataclass(frozen=True)
class Flavor:
    """One of the two, imported. library: its module; the two offer the same names but for what is handled here."""

    name: str
    library: Any

    @property
    def version(self) -> str:
        """Engines of one version are refused by another."""
        return str(self.library.__version__)

    @property
    def label(self) -> str:
        """For people: "TensorRT for RTX 1.7.1.116"."""
        return f"{LABELS[self.name]} {self.version}"

    @cached_property
    def capabilities(self) -> tuple[int, ...] | None:
        """The GPUs it can build for without having one, as compute capabilities (89 is 8.9); None: only the one here."""
        known = getattr(self.library, "ComputeCapability", None)
        if known is None:
            return None
        numbers = (re.fullmatch(r"SM(\d+)", name) for name in known.__members__)
        return tuple(sorted(int(number[1]) for number in numbers if number))

    def log(self) -> Any:
        """A logger that prints nothing; its `errors` hold what went wrong. It has to outlive whatever it is given to."""
        library = self.library

        class Log(library.ILogger):  # type: ignore[name-defined]
            def __init__(self) -> None:
                library.ILogger.__init__(self)
                self.errors: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity in (library.ILogger.INTERNAL_ERROR, library.ILogger.ERROR):
                    self.errors.append(message.strip())

        return Log()

    def aim(self, config: Any, capabilities: Sequence[int]) -> None:
        """Makes a builder's config aim at these GPUs, where that can be chosen."""
        if self.capabilities is None:
            return
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            config.set_compute_capability(getattr(self.library.ComputeCapability, f"SM{capability}"), index)

    def runtime_config(self, engine: Any, cache: Any = None) -> Any:
        """How an engine is to run: memory for the sizes in use only; on RTX also one CUDA graph per net and the cache."""
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(
            self.library.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
        )
        if hasattr(config, "cuda_graph_strategy"):
            config.cuda_graph_strategy = self.library.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if cache is not None and hasattr(config, "set_runtime_cache"):
            config.set_runtime_cache(cache)
        return config

    def runtime_cache(self, engine: Any) -> Any:
        """An empty store of what the library compiles on this GPU for engines; None where there is no such thing."""
        config = engine.create_runtime_config()
        return config.create_runtime_cache() if hasattr(config, "create_runtime_cache") else None


def open_flavor(name: str = "auto") -> Flavor:
    """Imports a TensorRT: "rtx", "tensorrt", or for "auto" the first that is installed. Raises BackendError."""
    if name != "auto" and name not in MODULES:
        raise BackendError(f"no TensorRT flavor {name!r}; there are: auto, {', '.join(MODULES)}")
    failures = []
    for flavor, module in MODULES.items():
        if name in ("auto", flavor):
            try:
                return _checked(Flavor(flavor, importlib.import_module(module)))
            except (ImportError, OSError, BackendError) as error:
                failures.append(f"{LABELS[flavor]}: {error} (pip install 'vmfm[{flavor}]')")
    raise BackendError(f"TensorRT is not usable here: {'; '.join(failures)}")


def _checked(flavor: Flavor) -> Flavor:
    oldest = OLDEST[flavor.name]
    if tuple(int(part) for part in re.findall(r"\d+", flavor.version)[:2]) < oldest:
        raise BackendError(f"version {flavor.version} is too old, wanted {oldest[0]}.{oldest[1]} or newer")
    return flavor
