"""How tensors lie in memory and in products, where that makes the difference; the functions stay the same."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

M = TypeVar("M", bound=nn.Module)


@runtime_checkable
class Normalised(Protocol):
    """A network some of whose layers may have a batch normalization directly behind them."""

    def normalised(self) -> Iterator[tuple[str, str]]:
        """The names of such a layer and its normalization."""
        ...


def fold_batch_norm(network: M) -> M:
    """The network with each batch normalization folded into the weights of the layer before it: the same function.

    A copy, for inference, where there are any; else the network itself. What leaves the layers themselves differs.
    """
    pairs: list[tuple[str, str]] = list(network.normalised()) if isinstance(network, Normalised) else []
    if not pairs:
        return network
    folded = copy.deepcopy(network).eval()
    for layer, norm in pairs:
        fuse: Callable[[Any, Any], nn.Module] = fuse_conv_bn_eval
        if isinstance(folded.get_submodule(layer), nn.Linear):
            fuse = fuse_linear_bn_eval
        fused = fuse(folded.get_submodule(layer), folded.get_submodule(norm))
        for name, module in ((layer, fused), (norm, nn.Identity())):
            parent, _, own = name.rpartition(".")
            setattr(folded.get_submodule(parent), own, module)  # set_submodule came with PyTorch 2.5
    return channels_last(folded.requires_grad_(False))


class InnerProduct(nn.Linear):
    """A linear layer for few rows, such as the codes of one clip's frames.

    MKL multiplies 1.4 to 2 times as fast when the weights are the left factor (16 rows of 4096 numbers, forward).
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
