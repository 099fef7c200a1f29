"""VMFM: all nets of the paper under one roof (Figures 2 and 4)."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from vmfm.trainer.config import NetConfig
from vmfm.trainer.nets.complementary import ComplementaryNet
from vmfm.trainer.nets.densedepth import DenseDepth
from vmfm.trainer.nets.encoder import Encoder
from vmfm.trainer.nets.foreground import ForegroundNet
from vmfm.trainer.nets.hourglass import StackedHourglass
from vmfm.trainer.nets.mask_rcnn import MaskRCNN
from vmfm.trainer.nets.modality import AutoEncoder, ModalityNet
from vmfm.trainer.nets.refinement import RefinementNet


@dataclass(frozen=True)
class Prediction:
    """What one forward pass knows of a batch; every tensor (N, 1, H, W) in [0, 1]."""

    segmentation: Tensor
    depth: Tensor
    heatmap: Tensor
    alpha_s: Tensor
    alpha_d: Tensor


MODALITY_NETS: dict[str, Callable[[NetConfig, int], ModalityNet]] = {
    "autoencoder": lambda config, expansion: AutoEncoder(
        Encoder(config.encoder_blocks, expansion), config.decoder_channels
    ),
    "mask_rcnn": lambda config, _: MaskRCNN(),
    "densedepth": lambda config, _: DenseDepth(config.modality_width),
    "hourglass": lambda config, _: StackedHourglass(config.modality_width),
}


class VMFM(nn.Module):
    """Everything that is trained and shipped. `pretrained` begins with published weights in S, D and I that have some."""

    def __init__(self, config: NetConfig, *, pretrained: bool = False) -> None:
        super().__init__()
        self.config = config
        expansion_s, expansion_d, expansion_i = config.last_expansions
        self.segmentation = MODALITY_NETS[config.segmentation](config, expansion_s)
        self.depth = MODALITY_NETS[config.depth](config, expansion_d)
        self.interaction = MODALITY_NETS[config.interaction](config, expansion_i)
        if pretrained:
            for net in (self.segmentation, self.depth, self.interaction):
                net.load_pretrained()
        self.foreground_s = ForegroundNet(config.foreground_width, config.fusion_dilations)
        self.foreground_d = ForegroundNet(config.foreground_width, config.fusion_dilations)
        self.complementary = ComplementaryNet(config.complementary_width)
        self.refinement = RefinementNet()

    def forward(self, image: Tensor) -> Prediction:
        """image (N, 3, H, W) RGB in [0, 1], H and W multiples of 32."""
        segmentation, depth, heatmap = self.segmentation(image), self.depth(image), self.interaction(image)
        return Prediction(
            segmentation,
            depth,
            heatmap,
            alpha_s=self.foreground_s(image, heatmap, segmentation),
            alpha_d=self.foreground_d(image, heatmap, depth),
        )

    @property
    def replayable(self) -> bool:
        """Whether a training step does the same work for every batch of a size."""
        return all(net.replayable for net in (self.segmentation, self.depth, self.interaction))

    def export_nets(self) -> dict[str, nn.Module]:
        """The bundle's nets by name; each reads and writes the tensors that the runtime's graph table says."""
        return {
            "segmentation": self.segmentation,
            "depth": self.depth,
            "interaction": self.interaction,
            "foreground_s": self.foreground_s,
            "foreground_d": self.foreground_d,
            "complementary_s": self.complementary.s,
            "complementary_d": self.complementary.d,
            "refinement": self.refinement,
        }
