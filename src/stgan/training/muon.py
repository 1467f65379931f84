"""Muon: steps of layers' weights whose directions all have the same size (Jordan et al. 2024, Liu et al. 2025)."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

_SMALLEST = 16  # sides of weights for which a direction means something


class Muon(torch.optim.AdamW):
    """The weights W of layers, as matrices of rows x columns, move along their momentum M made orthogonal:

        M <- mu M + (1 - mu) g
        W <- (1 - lr decay) W - 0.2 lr sqrt(max(rows, columns)) O(mu M + (1 - mu) g)

    with the gradient g. The root mean square of such a step is that of AdamW's, so that one learning rate fits both.
    Embeddings, norms, biases and layers with at most 16 inputs or outputs are AdamW's.
    """

    def __init__(self, network: nn.Module, lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        layers = (each for each in network.modules() if isinstance(each, nn.Linear | nn.Conv2d | nn.Conv3d))
        matrices = [each.weight for each in layers if min(each.weight.flatten(1).shape) > _SMALLEST]
        known = {id(each) for each in matrices}
        others = [each for each in network.parameters() if id(each) not in known]
        super().__init__(others, lr, betas=(0.9, 0.99), weight_decay=weight_decay)
        self.add_param_group({"params": matrices, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """As all optimizers; the gradients of matrices are gone afterwards."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for weight in group["params"] if "momentum" in group else []:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state |= {"mean": torch.zeros_like(weight), "step": torch.zeros(())}  # AdamW looks for its steps
                mean = state["mean"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(mean, group["momentum"]).flatten(1)  # Nesterov's
                size = 0.2 * group["lr"] * math.sqrt(max(ahead.shape))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(size * orthogonal(ahead).view_as(weight))
                weight.grad = None  # so that AdamW passes it over
        super().step()
        return loss


def orthogonal(matrix: Float[Tensor, "rows columns"], iterations: int = 5) -> Float[Tensor, "rows columns"]:
    """Nearly the nearest orthogonal matrix: singular values between 0.7 and 1.2 instead of their own.

    By an iteration of Newton and Schulz' kind with Jordan's coefficients, which lift small singular values fast.
    """
    x = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(iterations):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if matrix.shape[0] > matrix.shape[1] else x
