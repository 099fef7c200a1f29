"""Sizes of the nets: `full` is the paper's, `lite` is for CPUs. Everything else follows from these numbers."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from vmfm.trainer.errors import TrainerError
from vmfm.trainer.plain import build

# The nets to choose from for each modality; the second of each is the paper's own choice.
MODALITY_NETS = {
    "segmentation": ("autoencoder", "mask_rcnn"),
    "depth": ("autoencoder", "densedepth"),
    "interaction": ("autoencoder", "hourglass"),
}


@dataclass(frozen=True)
class NetConfig:
    """One size of VMFM.

    The nets are fully convolutional: `pixel_budget` is how many pixels they run at where they look closely, and less
    where they must be fast (see Bundle.net_size); the aspect follows the frame, both sides multiples of 32.
    """

    name: str
    pixel_budget: int  # H * W of the nets' input
    foreground_width: int  # channels of the first convolution of SFPnet and DFPnet; 64 in Table 6
    complementary_width: int  # channels of the first convolution of CL; 32 in Table 7
    decoder_channels: tuple[int, int, int, int]  # of the modality nets, at 1/16, 1/8, 1/4, 1/2
    encoder_blocks: int = 15  # of the 16 inverted residuals of EfficientNet-Lite0
    last_expansions: tuple[int, int, int] = (6, 6, 6)  # of the last one in S-, D- and I-Net; 6 is as published
    fusion_dilations: tuple[int, int, int] = (
        1,
        2,
        4,
    )  # open in Table 6: same weights, a field of view that spans a hand
    patches: int = 256  # K, how many 16x16 patches a frame the refinement sharpens by default
    segmentation: str = "autoencoder"  # S-Net, D-Net and I-Net: a name in MODALITY_NETS
    depth: str = "autoencoder"
    interaction: str = "autoencoder"
    modality_width: float = 1.0  # scales the channels of densedepth and hourglass; 1 is as published

    def __post_init__(self) -> None:
        for modality, names in MODALITY_NETS.items():
            if (name := getattr(self, modality)) not in names:
                raise TrainerError(f"there is no {modality} net {name!r}; wanted one of {', '.join(names)}")

    def to_json(self) -> dict[str, Any]:
        """A dict of plain numbers, strings and lists."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The config `to_json` came from. Raises TrainerError on a field this version does not know."""
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise TrainerError(
                f"the net config has unknown fields {sorted(unknown)}; wanted a subset of {sorted(known)}"
            )
        plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**plain)


LITE = NetConfig(
    "lite",
    512 * 512,
    foreground_width=12,
    complementary_width=8,
    decoder_channels=(64, 48, 32, 24),
    last_expansions=(6, 6, 4),
)
FULL = NetConfig(
    "full",
    512 * 512,
    foreground_width=64,
    complementary_width=32,
    decoder_channels=(64, 48, 32, 24),
    patches=512,
    last_expansions=(6, 6, 4),  # as in lite, whose S, D and I it can begin with
)
TINY = NetConfig(
    "tiny",
    64 * 64,
    foreground_width=4,
    complementary_width=4,
    decoder_channels=(8, 8, 8, 8),
    patches=16,
    modality_width=1 / 16,
)

CONFIGS = {config.name: config for config in (LITE, FULL, TINY)}


def net_config(value: Any) -> NetConfig:
    """What a recipe calls `net`: a size by name, or a table of `size` and the fields that differ from it.

    net = "lite"   or   net = { size = "lite", depth = "densedepth" }. Raises TrainerError on anything else.
    """
    changes = dict(value) if isinstance(value, dict) else {"size": value}
    size = changes.pop("size", None)
    if not isinstance(size, str) or size not in CONFIGS:
        raise TrainerError(f"net is {size!r}; wanted one of {', '.join(CONFIGS)}")
    return build(NetConfig, CONFIGS[size].to_json() | changes, "net")
