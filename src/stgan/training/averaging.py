"""The moving average of a network's weights over its training steps, which is what a training returns."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(network: nn.Module, decay: float, use_buffers: bool = False) -> AveragedModel:
    """The exponential moving average, whose decay rises to `decay`: min(decay, (1 + t) / (10 + t)) after t steps.

    With a constant one, a short training would remember the random weights that it began with.
    """

    def update(averages: Sequence[Tensor], weights: Sequence[Tensor], steps: Tensor | int) -> None:
        t = int(steps)
        share = 1 - min(decay, (1 + t) / (10 + t))
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight.to(average.dtype), share)
            else:
                average.copy_(weight)

    return AveragedModel(network, multi_avg_fn=torch.no_grad()(update), use_buffers=use_buffers)
