"""Activation maximization: Eq. 8 solved by PPGN's update (Nguyen et al. 2017, as in its published code)."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Variable = Float[Tensor, "batch *n"]
"""What is optimised, of each clip: codes, coordinates of codes, or pixels."""

Norm = Literal["mean", "rms"]

Clips = Int[Tensor, " some"]
"""Numbers of the clips of the batch that are not done yet, of which alone a step is computed."""

Objective = Callable[[Variable, int, Clips], Float[Tensor, " some"]]
"""(h of some clips, iteration, their numbers) to one value a clip."""


def value_and_gradient(
    objective: Objective, h: Variable, iteration: int, clips: Clips
) -> tuple[Float[Tensor, " some"], Variable]:
    """The objective of each clip and its gradient with respect to that clip's h."""
    h = h.detach().requires_grad_(True)
    with torch.enable_grad():
        value = objective(h, iteration, clips)
        (gradient,) = torch.autograd.grad(value.sum(), h)
    return value.detach(), gradient


def falling(start: float, end: float, steps: int) -> list[float]:
    """`steps` values that go linearly from `start` to `end`."""
    return [start + (end - start) * step / max(1, steps - 1) for step in range(steps)]


def size(d: Variable, norm: Norm) -> Float[Tensor, "batch *ones"]:
    """|d| of each clip: the mean of absolute values, or the root mean square; never 0."""
    axes = tuple(range(1, d.ndim))
    value = d.abs().mean(axes, keepdim=True) if norm == "mean" else d.square().mean(axes, keepdim=True).sqrt()
    return value.clamp(min=torch.finfo(d.dtype).tiny)


def activation_maximization(
    h: Variable,
    objective: Objective,
    *,
    learning_rates: Sequence[float],
    epsilon1: float,
    epsilon2: float,
    epsilon3: float,
    reconstruct: Callable[[Variable, int], Variable],
    noise: Callable[[Clips], Variable],
    project: Callable[[Variable, int], Variable],
    norm: Norm = "mean",
    goal: float = math.inf,
    patience: int = 1,
    on_step: Callable[[Variable, Tensor, int], None] | None = None,
) -> tuple[Variable, Int[Tensor, " batch"]]:
    """Maximize `objective` over h, which is the codes z(t), coordinates of them, or pixels.

        d = epsilon1 (R(h) - h) + epsilon2 dJ/dh + epsilon3 N(0, 1)
        h = project(h + lr d / |d|)

    J(h) = log Phi_y(G(h)) - lambda |h| of Eq. 8, one value a clip. |d| is per clip: the mean of absolute values
    as in PPGN's code, or the root mean square (`norm`). `project` keeps h where codes are: in [0, 30] in PPGN; in the
    robust preset it is a denoising step of the code prior.

    Args:
        learning_rates: lr of each iteration; their number is that of the iterations. Where it is 0, nothing but
            `project` is computed.
        objective: J; like `reconstruct` and `noise` it is asked about those clips alone that are not done.
        reconstruct: R of PPGN, called with (h, iteration), and only if epsilon1 is not 0.
        noise: a fresh N(0, 1) of the shape of h of these clips, only called if epsilon3 is not 0.
        project: called with (h, iteration) of all clips after each step.
        goal, patience: a clip whose J exceeded `goal` at `patience` iterations in a row is done: it leaves the batch
            that steps are computed for, and only `project` goes on.
        on_step: called last with (h, J before each clip's last step, iteration); J is NaN before its first step.

    Returns:
        h after the last step, and the number of steps that each clip took.
    """
    met = torch.zeros(len(h), dtype=torch.long, device=h.device)  # iterations in a row with J > goal
    steps = torch.zeros_like(met)
    value = h.new_full((len(h),), math.nan)
    for iteration, lr in enumerate(learning_rates):
        clips = (met < patience).nonzero().flatten()
        if lr and len(clips):
            moving = h[clips]
            values, gradient = value_and_gradient(objective, moving, iteration, clips)
            d = epsilon2 * gradient
            if epsilon1:
                d = d + epsilon1 * (reconstruct(moving, iteration) - moving)
            if epsilon3:
                d = d + epsilon3 * noise(clips)
            h = h.index_copy(0, clips, moving + lr * d / size(d, norm))
            value = value.index_copy(0, clips, values)
            steps[clips] += 1
            met[clips] = torch.where(values > goal, met[clips] + 1, 0)
        h = project(h, iteration)
        if on_step:
            on_step(h, value, iteration)
    return h, steps
