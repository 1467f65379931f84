"""What guided denoising asks of a prior, and the solver that follows it from noise to a clip."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from jaxtyping import Int
from torch import Tensor

from stgan.sampling.ascent import Variable


class Denoiser(ABC):
    """A prior over clips. h are noisy codes, a row a clip."""

    @abstractmethod
    def starts(self, sigma: float) -> Variable:
        """h of all clips at the first noise level, then further proposals of all clips."""

    @abstractmethod
    def denoise(self, h: Variable, sigma: float, clips: Int[Tensor, " some"] | None = None) -> Variable:
        """D(h; sigma), the estimate of h without noise. clips: the numbers of the clips in h; None: all of them."""

    def keep(self, rows: Int[Tensor, " batch"]) -> None:  # noqa: B027, not every prior knows anything of single rows
        """Of what `starts` returned, only these rows are used from now on."""


class Solver:
    """Steps of the probability flow ODE between noise levels (Song et al. 2021, Karras et al. 2022).

    Euler's, or those of DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2), which extrapolate the estimate from the one
    before it. Both need one evaluation a step.
    """

    def __init__(self, denoise: Callable[[Variable, float], Variable], multistep: bool) -> None:
        self.denoise, self.multistep = denoise, multistep
        self.before: Variable | None = None  # the last estimate
        self.width = 0.0  # of the last step, in log sigma

    def step(self, h: Variable, sigma: float, following: float) -> Variable:
        """h at the next noise level."""
        estimate, width = self.denoise(h, sigma), math.log(sigma / following)
        extrapolated = estimate
        if self.multistep and self.before is not None:
            extrapolated = estimate + width / (2 * self.width) * (estimate - self.before)
        self.before, self.width = estimate, width
        return extrapolated + following / sigma * (h - extrapolated)


def exponential_sigmas(first: float, last: float, steps: int) -> list[float]:
    """Noise levels before and after each of `steps` steps, from `first` to `last` by a constant factor."""
    return [first * (last / first) ** (step / steps) for step in range(steps + 1)]
