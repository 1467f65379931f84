"""Gradient steps of a batch, in which each clip stops at its own goal."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.sampling.objectives import Action
from stgan.sampling.settings import SamplerSettings
from stgan.sampling.task import Task

Variable = Float[Tensor, "batch *n"]
"""What is optimised, of each clip: codes, coordinates of codes, or pixels."""


class Ascent:
    """Which clips of a batch still take steps, and the gradients of these clips.

    value: J of each clip before its last step; NaN before its first one.
    steps: number of steps that each clip took.
    """

    def __init__(self, task: Task, settings: SamplerSettings) -> None:
        clips, device = len(task.random), task.random.device
        has_goal = settings.goal < 1 and isinstance(task.phi, Action)
        self.goal, self.patience = math.log(settings.goal) if has_goal else math.inf, settings.patience
        self.value = torch.full((clips,), math.nan, device=device, dtype=task.random.dtype)
        self.steps = torch.zeros(clips, dtype=torch.long, device=device)
        self._in_a_row = torch.zeros_like(self.steps)  # iterations with J > goal

    def clips(self) -> Int[Tensor, " some"]:
        """The numbers of the clips that have not reached the goal at `patience` iterations in a row."""
        return (self._in_a_row < self.patience).nonzero().flatten()

    def gradient(
        self,
        objective: Callable[..., Tensor],
        h: Float[Tensor, "some *n"],
        clips: Int[Tensor, " some"],
        *arguments: float,
    ) -> Float[Tensor, "some *n"]:
        """dJ/dh of these clips, each with respect to its own h. It counts as a step of theirs.

        objective: (h, clips, *arguments) to one value J a clip.
        """
        h = h.detach().requires_grad_(True)
        with torch.enable_grad():
            value = objective(h, clips, *arguments)
            (gradient,) = torch.autograd.grad(value.sum(), h)
        value = value.detach()
        self.value = self.value.index_copy(0, clips, value)
        self.steps[clips] += 1
        self._in_a_row[clips] = torch.where(value > self.goal, self._in_a_row[clips] + 1, 0)
        return gradient


def mean_absolute(d: Variable) -> Float[Tensor, "batch *ones"]:
    """|d| of each clip as in PPGN's code: the mean of absolute values; never 0."""
    return _never_zero(d.abs().mean(tuple(range(1, d.ndim)), keepdim=True))


def root_mean_square(d: Variable) -> Float[Tensor, "batch *ones"]:
    """|d| of each clip: the root mean square; never 0."""
    return _never_zero(d.square().mean(tuple(range(1, d.ndim)), keepdim=True).sqrt())


def _never_zero(size: Tensor) -> Tensor:
    return size.clamp(min=torch.finfo(size.dtype).tiny)
