"""Faster memory layouts and products of layers. The functions that the networks compute stay the same."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

M = TypeVar("M", bound=nn.Module)


@runtime_checkable
class Normalised(Protocol):
    """A network in which a batch normalization may directly follow a layer."""

    def normalised(self) -> Iterator[tuple[str, str]]:
        """The names of such layers and their normalizations."""
        ...


def fold_batch_norm(network: M) -> M:
    """Fold each batch normalization into the weights of the layer before it: the same function, for inference.

    Returns a copy, or the network itself if it has no batch normalization. The outputs of the folded layers differ
    from those of the original ones.
    """
    pairs = [
        (f"{prefix}.{layer}".lstrip("."), f"{prefix}.{norm}".lstrip("."))
        for prefix, module in network.named_modules()
        if isinstance(module, Normalised)
        for layer, norm in module.normalised()
    ]
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
    """A linear layer that is fast for few rows, such as the codes of one clip's frames.

    MKL multiplies 1.4 to 2 times as fast when the weights are the left factor (16 rows of 4096 numbers, forward pass).
    """

    def forward(self, x: Float[Tensor, "batch incoming"]) -> Float[Tensor, "batch outgoing"]:
        return torch.addmm(self.bias[:, None], self.weight, x.mT).mT


def pad_same(x: Tensor, window: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Add zeros around "batch channels ...", as TensorFlow's SAME does: an odd zero goes after the data."""
    padding: list[int] = []
    for size, extent, step in zip(x.shape[2:], window, stride, strict=True):
        missing = max((-(-size // step) - 1) * step + extent - size, 0)
        padding = [missing // 2, missing - missing // 2, *padding]  # F.pad begins with the last dimension
    return F.pad(x, padding) if any(padding) else x


def channels_last(network: M) -> M:
    """Store the kernels of a purely 2D or purely 3D convolutional network channels last, in place.

    This makes our convolutions 1.2 to 1.5 times faster on CPUs, and faster on GPUs too.
    """
    rank = 5 if any(parameter.ndim == 5 for parameter in network.parameters()) else 4
    layout = torch.channels_last_3d if rank == 5 else torch.channels_last
    for parameter in network.parameters():  # kernels only: other tensors have other ranks
        if parameter.ndim == rank:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network
