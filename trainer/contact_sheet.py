"""What the nets make of a few pictures, side by side, for people to look at while a training runs."""

import numpy as np
import torch
from torch import Tensor
from vmfm.trainer import sharpen
from vmfm.trainer.data.compose import Batch
from vmfm.trainer.model import VMFM

COLUMNS = ("image", "truth", "alpha_s", "deviation_s", "alpha_d", "deviation_d", "complementary")


@torch.no_grad()
def contact_sheet(model: VMFM, batch: Batch) -> np.ndarray:
    """A row for each of N pictures, a column for each of COLUMNS: uint8 (N * H, 7 * W, 3). The model is in eval mode."""
    seen = model(batch.image)
    deviation_s = model.complementary.s(batch.image, seen.alpha_s)
    deviation_d = model.complementary.d(batch.image, seen.alpha_d)
    fused, _ = sharpen.fuse(seen.alpha_s, deviation_s, seen.alpha_d, deviation_d)
    maps = (batch.alpha, seen.alpha_s, deviation_s, seen.alpha_d, deviation_d, fused)
    columns: list[Tensor] = [batch.image, *(plane.expand_as(batch.image) for plane in maps)]
    sheet = torch.cat(columns, dim=3).permute(0, 2, 3, 1).flatten(0, 1)
    return (sheet.float() * 255).round().byte().cpu().numpy()
