"""Runs a trained bundle on frames: numpy and one backend library, never torch at import.

from vmfm.runtime import MattingStream
with MattingStream("lite") as stream:
    matte = stream.step(frame)
"""

from vmfm.runtime.bundle import Bundle, Detail, shipped_bundles
from vmfm.runtime.composite import composite, estimate_foreground
from vmfm.runtime.errors import BackendError, BundleError, FrameError, MediaError, StreamError, VmfmError
from vmfm.runtime.graph import Over, Result
from vmfm.runtime.stream import Matte, MattingStream

__all__ = [
    "BackendError",
    "Bundle",
    "BundleError",
    "Detail",
    "FrameError",
    "Matte",
    "MattingStream",
    "MediaError",
    "Over",
    "Result",
    "StreamError",
    "VmfmError",
    "composite",
    "estimate_foreground",
    "shipped_bundles",
]
