"""Denoising guided by classifiers: the presets `robust` (prior of frames) and `motion` (prior of clips)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.devices import arithmetic
from stgan.errors import StganError
from stgan.networks.preprocessing import to_unit_range
from stgan.sampling.ascent import Ascent, Variable, root_mean_square
from stgan.sampling.denoisers import DENOISERS, PriorSettings
from stgan.sampling.settings import Inflation, SamplerSettings, check_pair, check_range
from stgan.sampling.task import Optimised, Task, Videos


@dataclass(frozen=True, kw_only=True)
class GuidedSettings(SamplerSettings):
    """
    prior:        which prior denoises, and its own settings.
    inflation:    of the generator.
    noise_level:  sigma at the start and at the end, falling by a constant factor; in units of the prior's variable.
    step_size:    root mean square of a step up the gradient, in units of the present noise level; 0: no steps.
    guided_below: steps are taken at noise levels of at most this; None: at all of them.
    """

    prior: PriorSettings
    inflation: Inflation
    noise_level: tuple[float, float]
    step_size: float
    guided_below: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("step_size", self.step_size, 0)
        check_pair("noise_level", self.noise_level)
        if not 0 < self.noise_level[1] <= self.noise_level[0]:
            raise StganError(f"noise_level falls from a first to a last value above 0, unlike {self.noise_level}")
        if self.guided_below is not None:  # below the last level no step would ever be taken; step_size=0 says that
            check_range("guided_below", self.guided_below, self.noise_level[1])

    @property
    def needs(self) -> str:
        return self.prior.needs

    @property
    def conditional(self) -> bool:
        return self.prior.conditional

    def unconditional(self) -> "GuidedSettings":
        return replace(self, prior=self.prior.unconditional())


def guided(task: Task, settings: GuidedSettings) -> Optimised:
    """From noise to codes along the prior's denoising, with steps up the gradient of J of Eq. 8 in between:

        h = h + step_size sigma g / |g|,  g = dJ(D(h; sigma)) / dh
        h = sigma' / sigma h + (1 - sigma' / sigma) D~

    The second line is the step of DPM-Solver++(2M) (Lu et al. 2022) to the next noise level sigma', with D~
    extrapolated from D(h; sigma) and the estimate before it. It is PPGN's R(h) - h with a denoiser for each noise level
    instead of one. The condition networks see G of the denoised estimate: natural frames at every iteration, rough ones
    first. |g| is a clip's root mean square.

    With a video to start from, the first noise level is lower: the less noise, the more of the video stays.
    """
    s, process, ascent = settings, Denoising(task, settings), Ascent(task, settings)
    first, last = s.noise_level
    sigmas = karras_sigmas(last * (first / last) ** task.init.strength if task.init else first, last, s.iterations)
    h, solver = process.start(sigmas), Solver(process.denoise)
    for iteration, (sigma, following) in enumerate(pairwise(sigmas)):
        clips = ascent.clips()
        if s.step_size and (s.guided_below is None or sigma <= s.guided_below) and len(clips):
            g = ascent.gradient(process.objective, h[clips], clips, sigma)
            h = h.index_copy(0, clips, h[clips] + s.step_size * sigma * g / root_mean_square(g))
        h = solver.step(h, sigma, following)
        task.report(iteration, ascent.value, partial(process.videos, h, following))
    codes = process.denoise(h, last)
    return Optimised(process.generator(codes), codes, ascent.steps)


class Denoising:
    """What h means at a noise level."""

    def __init__(self, task: Task, settings: GuidedSettings) -> None:
        self.task, self.settings = task, settings
        self.prior = DENOISERS[type(settings.prior)](task, settings.prior, settings.name)
        self.generator = task.map_generator(settings.inflation)

    def start(self, sigmas: list[float]) -> Variable:
        """h at the first noise level: for each clip, of several starts the one whose unguided video Phi rates highest.

        A choice among the prior's own clips takes no gradient, so it cannot lead to noise that fools a network.
        """
        starts = self.prior.starts(sigmas[0])
        if len(starts) == 1:
            return starts[0]
        values = []
        for h in starts:
            solver = Solver(self.denoise)
            for sigma, following in pairwise(sigmas):
                h = solver.step(h, sigma, following)
            with arithmetic(self.settings.precision, h.device):
                videos = to_unit_range(self.generator(self.denoise(h, sigmas[-1])))
                values.append(self.task.timer("condition", self.task.phi, videos))
        best = torch.stack(values).argmax(0)
        return torch.stack(starts)[best, torch.arange(len(best), device=best.device)]

    def denoise(self, h: Variable, sigma: float) -> Variable:
        """D(h; sigma)."""
        return self.task.timer("prior", self.prior.denoise, h, sigma)

    def videos(self, h: Variable, sigma: float) -> Videos:
        """G of D(h; sigma)."""
        return self.generator(self.denoise(h, sigma))

    def objective(
        self, h: Float[Tensor, "some *n"], clips: Int[Tensor, " some"], sigma: float
    ) -> Float[Tensor, " some"]:
        """J of D(h; sigma), of some clips."""
        return self.task.objective(self.denoise(h, sigma), self.generator, self.settings, clips)


class Solver:
    """DPM-Solver++(2M) of the probability flow ODE (Lu et al. 2022, Algorithm 2), in the noise levels of Karras et al.

    One evaluation a step; the first step is Euler's.
    """

    def __init__(self, denoise: Callable[[Variable, float], Variable]) -> None:
        self.denoise = denoise
        self.before: Variable | None = None  # the last estimate
        self.width = 0.0  # of the last step, in log sigma

    def step(self, h: Variable, sigma: float, following: float) -> Variable:
        """h at the next noise level."""
        estimate, width = self.denoise(h, sigma), math.log(sigma / following)
        extrapolated = estimate
        if self.before is not None:
            extrapolated = estimate + width / (2 * self.width) * (estimate - self.before)
        self.before, self.width = estimate, width
        return following / sigma * h + (1 - following / sigma) * extrapolated


def karras_sigmas(first: float, last: float, steps: int, rho: float = 7.0) -> list[float]:
    """Noise levels before and after each of `steps` steps, from `first` to `last` (Karras et al. 2022, Eq. 5)."""
    ends = first ** (1 / rho), last ** (1 / rho)
    return [(ends[0] + step / steps * (ends[1] - ends[0])) ** rho for step in range(steps + 1)]
