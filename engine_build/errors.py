"""Errors of engine_build that a person can act on."""

from vmfm.runtime.errors import VmfmError


class ExportError(VmfmError):
    """A checkpoint could not be turned into a bundle."""


class BuildError(VmfmError):
    """A bundle could not be turned into engines."""


class QuantiseError(VmfmError):
    """A bundle could not be given int8."""
