"""Every error a user of VMFM can meet: what was given, what was wanted, what to do about it."""


class VmfmError(Exception):
    """Base of all errors the runtime raises on purpose; the command line prints them as one sentence."""

    user_facing = True


class BundleError(VmfmError):
    """A bundle is unknown, incomplete, damaged, or of another format version."""


class BackendError(VmfmError):
    """A backend is unknown, cannot be used on this computer, or failed while running."""


class FrameError(VmfmError):
    """A frame, alpha or background has the wrong type, shape or size."""


class StreamError(VmfmError):
    """A stream is used out of turn: after it was closed, or with more frames in flight than it has slots."""


class MediaError(VmfmError):
    """A video, image or other media file cannot be read or written."""
