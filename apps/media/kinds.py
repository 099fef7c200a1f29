"""Which file name extension means what."""

import re
from pathlib import Path

NUMBER = re.compile(r"%0?(\d*)d")  # where a pattern like frame_%04d.png has its numbers

IMAGE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif"])
VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
        ".gif",
        ".mxf",
    ]
)
WRITABLE_VIDEO_SUFFIXES = frozenset([".mp4", ".m4v", ".mov", ".mkv", ".webm"])
TRANSPARENT_VIDEO_SUFFIXES = frozenset([".mov", ".webm", ".mkv"])
WRITABLE_IMAGE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".exr"])
TRANSPARENT_IMAGE_SUFFIXES = frozenset([".png", ".webp", ".tif", ".tiff", ".exr"])
DEEP_IMAGE_SUFFIXES = frozenset([".png", ".tif", ".tiff"])  # hold 16 bits


def is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_pattern(path: Path) -> bool:
    """Whether it names numbered images: frame_%04d.png. A file that is really called so is itself."""
    numbers = path.suffix.lower() in IMAGE_SUFFIXES | WRITABLE_IMAGE_SUFFIXES and NUMBER.search(path.name)
    return bool(numbers) and not path.is_file()


def is_sequence(path: Path) -> bool:
    """Whether it stands for many images that make one video: a pattern, or a folder."""
    return is_pattern(path) or path.is_dir()


def is_still(path: Path) -> bool:
    """One image."""
    return is_image(path) and not is_pattern(path)


def numbered(pattern: Path, number: int) -> Path:
    """The file of a pattern."""
    return pattern.with_name(NUMBER.sub(lambda place: f"{number:0{place[1] or 0}d}", pattern.name, count=1))
