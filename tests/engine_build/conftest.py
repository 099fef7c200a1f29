from collections.abc import Callable

import pytest
import torch
from torch import nn
from vmfm.trainer.config import TINY
from vmfm.trainer.model import VMFM


def lively(model: nn.Module) -> nn.Module:
    """Gives untrained weights what trained ones have: batch norms that do something, and outputs that vary."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_model() -> VMFM:
    torch.manual_seed(0)
    return lively(VMFM(TINY))


@pytest.fixture(scope="session")
def enliven() -> Callable[[nn.Module], nn.Module]:
    return lively
