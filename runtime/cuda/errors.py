"""What a failure of CUDA means to a person, and what to do about it. One table for every library that reports them."""

from collections.abc import Iterator
from contextlib import contextmanager

from vmfm.runtime.errors import BackendError

# Part of a library's message (lower case) -> hint. The first match counts.
_HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("out of memory", "out_of_memory", "cudaerrormemoryallocation", "outofmemory"),
        (
            "the GPU's memory is full: close other programs that use it, submit smaller frames, keep fewer frames in "
            "flight (slots=1), or take the lite bundle"
        ),
    ),
    (
        ("libcuda.so", "nvcuda.dll", "stub library", "stub_library"),
        "no NVIDIA driver runs here: install it (and, in a container, start it with --gpus all)",
    ),
    (
        ("dll load failed",),
        "a library that PyCUDA needs is missing: the NVIDIA driver, or the CUDA toolkit that PyCUDA was compiled with",
    ),
    (
        ("no cuda-capable device", "no_device", "no cuda gpus", "invalid device ordinal", "no nvidia driver"),
        "the driver sees no NVIDIA GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    ),
    (
        ("insufficient for cuda", "driver version", "system driver mismatch", "unsupported toolchain", "too old"),
        "the NVIDIA driver is too old: update it to release 580 or newer",
    ),
    (
        ("no kernel image", "no_binary_for_gpu", "invalid source", "kernel image is invalid", "invalid_image"),
        (
            "the GPU or its driver cannot run this code: VMFM needs compute capability 7.5 (RTX 20 series) or newer and "
            "driver release 580 or newer"
        ),
    ),
    (
        ("illegal address", "illegal memory", "misaligned", "illegal instruction", "launch failure", "launch_failed"),
        "a kernel went astray and the GPU's context is lost: open a new stream in a new process, and please report it",
    ),
    (
        ("device lost", "fallen off", "ecc", "unknown error", "launch timed out", "device-side", "is not available"),
        "the GPU was lost: check nvidia-smi and the system log, then start the program again",
    ),
)


def hint(message: str) -> str:
    """What to do about a failure that a CUDA library describes like this; empty if nothing is known."""
    lowered = message.lower()
    return next((text for parts, text in _HINTS if any(part in lowered for part in parts)), "")


def cuda_error(doing: str, error: object) -> BackendError:
    """The error to raise when CUDA fails. doing: what was tried, e.g. "allocate 33 MB"."""
    message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    known = hint(str(error))
    return BackendError(f"CUDA could not {doing} ({message})" + (f"; {known}" if known else ""))


@contextmanager
def told(doing: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turns errors of these kinds into a BackendError that says what was tried and what to do."""
    try:
        yield
    except kinds as error:
        raise cuda_error(doing, error) from error
