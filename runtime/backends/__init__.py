"""The backends by name, and how "auto" picks one. Their libraries are imported only when one is opened."""

import importlib
from dataclasses import dataclass

from vmfm.runtime.backends.base import Backend
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.errors import BackendError, VmfmError
from vmfm.runtime.gpus import Gpus, find_gpus
from vmfm.runtime.graph import Node


@dataclass(frozen=True)
class Entry:
    """Where a backend lives, what opens it (its class, or a function), and what to install if its library is missing."""

    module: str
    opener: str
    install: str
    uses_gpu: bool


# Best first: "auto" takes the first that really opens.
BACKENDS: dict[str, Entry] = {
    "tensorrt": Entry(
        "vmfm.runtime.backends.tensorrt_backend",
        "TensorRTBackend",
        "pip install 'vmfm[rtx,cuda]' (GeForce RTX) or 'vmfm[tensorrt,cuda]'",
        uses_gpu=True,
    ),
    "torch": Entry(
        "vmfm.runtime.backends.torch_backend", "open_torch_backend", "pip install 'vmfm[torch-gpu]'", uses_gpu=True
    ),
    "cpu": Entry("vmfm.runtime.backends.openvino_backend", "OpenVinoBackend", "pip install openvino", uses_gpu=False),
    "cpu-f32": Entry(
        "vmfm.runtime.backends.openvino_backend", "OpenVinoF32Backend", "pip install openvino", uses_gpu=False
    ),
}


def open_backend(name: str, bundle: Bundle, nodes: tuple[Node, ...]) -> Backend:
    """Opens a backend by name, or the best that works for "auto", and completes its `note` with the reason.

    Raises BackendError for an unknown name, or with every backend's reason if none works.
    """
    if name == "auto":
        return _open_best(bundle, nodes, find_gpus())
    if name not in BACKENDS:
        raise BackendError(f"no backend {name!r}; there are: auto, {', '.join(BACKENDS)}")
    return _open(name, bundle, nodes)


def _open_best(bundle: Bundle, nodes: tuple[Node, ...], gpus: Gpus) -> Backend:
    reasons = [] if gpus.devices else [f"no NVIDIA GPU to use: {gpus.problem}"]
    for name, entry in BACKENDS.items():
        if entry.uses_gpu and not gpus.devices:
            continue
        try:
            backend = _open(name, bundle, nodes)
        except BackendError as error:
            reasons.append(f"not {name}: {error}")
            continue
        if entry.uses_gpu and not backend.on_gpu:
            reasons.append(f"not {name}: {backend.note}")
            backend.close()
            continue
        backend.note = "; ".join([backend.note, *reasons])
        return backend
    raise BackendError("no backend works here: " + "; ".join(reasons))


def _open(name: str, bundle: Bundle, nodes: tuple[Node, ...]) -> Backend:
    entry = BACKENDS[name]
    try:
        opener = getattr(importlib.import_module(entry.module), entry.opener)
    except ImportError as error:
        raise BackendError(f"backend {name!r} is not installed ({error}); {entry.install}") from error
    except Exception as error:  # a broken installation: a library's own library is missing, versions do not agree
        raise BackendError(f"backend {name!r} cannot be loaded ({error!r}); {entry.install}") from error
    try:
        return opener(bundle, nodes)
    except VmfmError:
        raise
    except Exception as error:  # a library of another version than ours knows, or one that is broken
        raise BackendError(f"backend {name!r} cannot be opened ({error!r}); {entry.install}") from error
