"""What goes wrong in the studio itself."""

from vmfm.runtime import VmfmError


class StudioError(VmfmError):
    """A page, or who started the studio, asks for what it cannot do."""
