"""What Cycles renders beside the colour: alpha, depth and, by Cryptomatte, how much of a pixel each object covers."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RANKS = (("R", "G"), ("B", "A"))  # (id, coverage) pairs in a Cryptomatte layer
LAYERS = 3


@dataclass(frozen=True)
class Passes:
    """All (H, W) float32."""

    color: np.ndarray  # (H, W, 3) scene-linear, premultiplied by alpha
    alpha: np.ndarray  # [0, 1]
    depth: np.ndarray  # metres along the camera's axis; huge where there is nothing
    coverage: dict[str, np.ndarray]  # of each object, [0, 1]


def murmur3(text: str) -> int:
    """The 32-bit hash that Cryptomatte names objects by."""
    data, mask, h = text.encode(), 0xFFFFFFFF, 0

    def scrambled(k: int) -> int:
        k = k * 0xCC9E2D51 & mask
        k = (k << 15 | k >> 17) & mask
        return k * 0x1B873593 & mask

    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        h ^= scrambled(int.from_bytes(data[i : i + 4], "little"))
        h = (h << 13 | h >> 19) & mask
        h = (h * 5 + 0xE6546B64) & mask
    if whole < len(data):
        h ^= scrambled(int.from_bytes(data[whole:], "little"))
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & mask
    h = (h ^ h >> 13) * 0xC2B2AE35 & mask
    return h ^ h >> 16


def object_id(name: str) -> np.float32:
    """The hash as the float that Cryptomatte stores; exponents that would make it no number are avoided."""
    h = murmur3(name)
    if h >> 23 & 255 in (0, 255):
        h ^= 1 << 23
    return np.float32(struct.unpack("<f", struct.pack("<I", h))[0])


def decode(channels: Mapping[str, np.ndarray], names: Sequence[str]) -> Passes:
    """Passes from the channels of a multilayer EXR, by their names."""

    def channel(ending: str) -> np.ndarray:
        return next(values for key, values in channels.items() if key.lower().endswith(ending.lower()))

    alpha = channel("Combined.A").clip(0, 1).astype(np.float32)
    coverage = {name: np.zeros_like(alpha) for name in names}
    ids = {name: object_id(name) for name in names}
    known = {key.lower(): values for key, values in channels.items()}
    for layer in range(LAYERS):
        for id_key, weight_key in RANKS:
            ends = tuple(f"cryptoobject{layer:02d}.{key.lower()}" for key in (id_key, weight_key))
            found = [next((v for k, v in known.items() if k.endswith(end)), None) for end in ends]
            if found[0] is None or found[1] is None:
                continue
            for name in names:
                coverage[name] += found[1] * (np.abs(found[0] - ids[name]) <= abs(ids[name]) * 1e-6)
    color = np.stack([channel(f"Combined.{c}") for c in "RGB"], -1).astype(np.float32)
    return Passes(color, alpha, channel("Depth.Z").astype(np.float32), coverage)


def read_passes(path: Path, names: Sequence[str]) -> Passes:
    import OpenEXR

    file = OpenEXR.File(str(path), separate_channels=True)
    channels = {key: np.asarray(channel.pixels) for part in file.parts for key, channel in part.channels.items()}
    return decode(channels, names)
