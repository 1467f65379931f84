"""Batch normalization over a batch that several processes share.

`torch.nn.SyncBatchNorm` does this on GPUs only. This works on CPUs (gloo) and GPUs (nccl).
"""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

M = TypeVar("M", bound=nn.Module)


class _SumOverProcesses(torch.autograd.Function):
    """The sum of the values of all processes. In the backward pass, gradients are summed over all processes too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(_BatchNorm):
    """Batch normalization with the mean and variance over the rows of all processes."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Allow any number of dimensions after (batch, channels)."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float()
        over = [0, *range(2, x.ndim)]
        shape = (1, -1, *([1] * (x.ndim - 2)))
        count = x.new_tensor([x.numel() / x.shape[1]])
        sums = _SumOverProcesses.apply(torch.cat([x.sum(over), x.square().sum(over), count]))
        total, squares, number = sums.split([self.num_features, self.num_features, 1])
        mean = total / number
        variance = squares / number - mean.square()
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.momentum is not None and self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * number / (number - 1), self.momentum)
        normal = (x - mean.view(shape)) * (variance.clamp(min=0) + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)


def share_batch_norm(network: M, world_size: int) -> M:
    """With several processes, replace every batch normalization by a `SharedBatchNorm`, in place."""
    if world_size > 1:
        for parent in network.modules():
            for name, child in parent.named_children():
                if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                    shared = SharedBatchNorm(child.num_features, child.eps, child.momentum, child.affine)
                    shared.load_state_dict(child.state_dict())
                    setattr(parent, name, shared.to(next(child.buffers()).device))
    return network
