"""Activation maximization: Eq. 8 solved by PPGN's update (Nguyen et al. 2017, as in its published code)."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Codes = Float[Tensor, "batch time n"]
Objective = Callable[[Codes], Float[Tensor, " batch"]]


def value_and_gradient(objective: Objective, h: Codes) -> tuple[Float[Tensor, " batch"], Codes]:
    """The objective of each clip and its gradient with respect to that clip's h."""
    h = h.detach().requires_grad_(True)
    with torch.enable_grad():
        value = objective(h)
        (gradient,) = torch.autograd.grad(value.sum(), h)
    return value.detach(), gradient


def falling(start: float, end: float, step: int, steps: int) -> float:
    """A value that goes linearly from `start` at the first step to `end` at the last."""
    return start + (end - start) * step / max(1, steps - 1)


def activation_maximization(
    h: Codes,
    objective: Objective,
    *,
    iterations: int,
    learning_rate: tuple[float, float],
    epsilon1: float,
    epsilon2: float,
    epsilon3: float,
    reconstruct: Callable[[Codes], Codes],
    noise: Callable[[], Codes],
    project: Callable[[Codes, int], Codes],
    norm: Literal["mean", "rms"] = "mean",
    done: Callable[[Codes, Tensor, int], bool] | None = None,
) -> Codes:
    """Maximize `objective` over h, which is the codes z(t) or coordinates of them.

        d = epsilon1 (R(h) - h) + epsilon2 dJ/dh + epsilon3 N(0, 1)
        h = project(h + lr d / |d|)

    J(h) = log Phi_y(G(h)) - lambda |h| of Eq. 8, one value a clip. |d| is per clip: the mean of absolute values
    as in PPGN's code, or the root mean square. The learning rate falls linearly from its first value to its
    second. `project` keeps h where codes are: [0, 30] in PPGN, near the code prior in the robust preset.

    Args:
        reconstruct: R of PPGN, only called if epsilon1 is not 0.
        noise: a fresh N(0, 1) of h's shape, only called if epsilon3 is not 0.
        done: called after each step with (h, J before the step, iteration); True ends the loop.

    Returns:
        h after the last step.
    """
    for iteration in range(iterations):
        value, gradient = value_and_gradient(objective, h)
        d = epsilon2 * gradient
        if epsilon1:
            d = d + epsilon1 * (reconstruct(h) - h)
        if epsilon3:
            d = d + epsilon3 * noise()
        size = d.abs().mean((1, 2), keepdim=True) if norm == "mean" else d.square().mean((1, 2), keepdim=True).sqrt()
        lr = falling(*learning_rate, iteration, iterations)
        h = project(h + lr * d / size.clamp(min=torch.finfo(d.dtype).tiny), iteration)
        if done and done(h, value, iteration):
            break
    return h
