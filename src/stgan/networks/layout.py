"""Memory layout: channels last is 1.2 to 1.5 times faster for our convolutions on CPUs, and better on GPUs too."""

from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def channels_last(network: M) -> M:
    """Store the kernels of a purely 2D or purely 3D convolutional network channels last, in place; same function."""
    volumetric = any(parameter.ndim == 5 for parameter in network.parameters())
    layout = torch.channels_last_3d if volumetric else torch.channels_last
    return network.to(memory_format=layout)  # type: ignore[call-overload]
