"""Sizes of pictures, as people write them."""

from vmfm.runtime import FrameError


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) from WIDTHxHEIGHT. Raises FrameError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise FrameError(f"size {text!r} is not understood: wanted WIDTHxHEIGHT, for example 1280x720")
    return int(height), int(width)
