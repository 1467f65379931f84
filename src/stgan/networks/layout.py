"""How tensors lie in memory and in products, where that makes the difference; the functions stay the same."""

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class InnerProduct(nn.Linear):
    """A linear layer for few rows, such as the codes of one clip's frames.

    MKL multiplies twice as fast when the weights are the left factor (16 rows of 4096 numbers: 8 ms against 15).
    """

    def forward(self, x: Float[Tensor, "batch incoming"]) -> Float[Tensor, "batch outgoing"]:
        return torch.addmm(self.bias[:, None], self.weight, x.mT).mT


def channels_last(network: M) -> M:
    """Store the kernels of a purely 2D or purely 3D convolutional network channels last, in place; same function.

    It is 1.2 to 1.5 times faster for our convolutions on CPUs, and better on GPUs too.
    """
    rank = 5 if any(parameter.ndim == 5 for parameter in network.parameters()) else 4
    layout = torch.channels_last_3d if rank == 5 else torch.channels_last
    for parameter in network.parameters():  # kernels only: other tensors, as C3D's mean volume, may have another rank
        if parameter.ndim == rank:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network
