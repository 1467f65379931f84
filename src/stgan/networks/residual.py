"""Residual blocks of the map networks: no normalisation, so that a crop is coded as it is inside its frame."""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Mix = Callable[[Tensor], Tensor]
"""The temporal half of an inflated layer: each frame becomes a weighted mean of its neighbours."""


def unmixed(x: Tensor) -> Tensor:
    """For single images."""
    return x


def start_at_zero(layer: nn.Module) -> None:
    """Set all parameters of a layer to 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))). The last convolution starts at 0, so a deep network starts as a shallow one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(
        self, x: Float[Tensor, "batch width height _width"], mix: Mix = unmixed
    ) -> Float[Tensor, "batch width height _width"]:
        branch = self.conv1(mix(F.leaky_relu(x, 0.2)))
        return x + self.conv2(mix(F.leaky_relu_(branch, 0.2)))
