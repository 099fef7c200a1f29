"""The backends by name, and how "auto" picks one. Their libraries are imported only when one is opened."""

import importlib
import os
from dataclasses import dataclass

from vmfm.runtime.backends.base import Backend
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.errors import BackendError
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
    "torch": Entry(
        "vmfm.runtime.backends.torch_backend", "open_torch_backend", "pip install 'vmfm[torch-gpu]'", uses_gpu=True
    ),
    "cpu": Entry("vmfm.runtime.backends.openvino_backend", "OpenVinoBackend", "pip install openvino", uses_gpu=False),
}


def open_backend(name: str, bundle: Bundle, nodes: tuple[Node, ...]) -> Backend:
    """Opens a backend by name, or the best that works for "auto", and completes its `note` with the reason.

    Raises BackendError for an unknown name, or with every backend's reason if none works.
    """
    if name != "auto":
        if name not in BACKENDS:
            raise BackendError(f"no backend {name!r}; there are: auto, {', '.join(BACKENDS)}")
        return _open(name, bundle, nodes)
    failures: list[str] = []
    for candidate, entry in BACKENDS.items():
        if entry.uses_gpu and not nvidia_gpu_present():
            continue
        try:
            backend = _open(candidate, bundle, nodes)
        except BackendError as error:
            failures.append(str(error))
            continue
        if entry.uses_gpu and not backend.on_gpu:
            failures.append(backend.note)
            backend.close()
            continue
        backend.note = "; ".join([backend.note, *failures])
        return backend
    raise BackendError("no backend works here: " + "; ".join(failures))


def nvidia_gpu_present() -> bool:
    """Whether an NVIDIA driver runs on this computer. Asks the system, loads nothing."""
    windows_driver = os.path.join(os.environ.get("SystemRoot", ""), "System32", "nvcuda.dll")
    return os.path.exists("/proc/driver/nvidia/version") or (os.name == "nt" and os.path.exists(windows_driver))


def _open(name: str, bundle: Bundle, nodes: tuple[Node, ...]) -> Backend:
    entry = BACKENDS[name]
    try:
        opener = getattr(importlib.import_module(entry.module), entry.opener)
    except ImportError as error:
        raise BackendError(f"backend {name!r} is not installed ({error}); {entry.install}") from error
    return opener(bundle, nodes)
