"""Denoising steered by classifiers: the presets `robust` (prior of frames) and `motion` (prior of clips)."""

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
from stgan.sampling.denoising import Solver, exponential_sigmas
from stgan.sampling.map_priors import Frames, PriorSettings, denoiser
from stgan.sampling.objectives import Action
from stgan.sampling.settings import Inflation, SamplerSettings, check_pair, check_range
from stgan.sampling.task import Optimised, Task, Videos


@dataclass(frozen=True, kw_only=True)
class GuidedSettings(SamplerSettings):
    """
    prior:        which prior denoises, and its own settings.
    inflation:    of the generator.
    noise_level:  sigma at the start and at the end, falling by a constant factor; in units of the codes' deviation.
    step_size:    root mean square of a step up the gradient, in units of the present noise level; 0: no steps.
    multistep:    whether the solver is DPM-Solver++(2M) or Euler's.
    guided_below: steps are taken at noise levels of at most this; None: at all of them.
    frame:        how the middle frame, which a clip prior animates, is drawn first: by the same procedure with the
                  frame prior. None: without such a frame.
    """

    prior: PriorSettings
    inflation: Inflation
    noise_level: tuple[float, float]
    step_size: float
    guided_below: float | None = None
    multistep: bool = True
    frame: "GuidedSettings | None" = None

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
        return replace(self, prior=self.prior.unconditional(), frame=self.frame and self.frame.unconditional())


def guided(task: Task, settings: GuidedSettings) -> Optimised:
    """G of the codes that `denoised` finds."""
    codes, steps = denoised(task, settings)
    return Optimised(task.map_generator(settings.inflation)(codes), codes, steps)


def denoised(task: Task, settings: GuidedSettings) -> tuple[Float[Tensor, "batch time *code"], Int[Tensor, " batch"]]:
    """From noise to codes along the prior's denoising, with steps up the gradient of J of Eq. 8 in between:

        h = h + step_size sigma g / |g|,  g = dJ(D(h; sigma)) / dh
        h = D~ + sigma' / sigma (h - D~)

    The second line is a step of the probability flow ODE to the next noise level sigma' (Song et al. 2021, Karras et
    al. 2022), with D~ = D(h; sigma) or extrapolated from it (see `Solver`). It is PPGN's R(h) - h with a denoiser for
    each noise level instead of one. The condition networks see G of the denoised estimate: natural frames at every
    iteration, rough ones first. |g| is a clip's root mean square.

    Content first, then motion: with `settings.frame`, a frame is drawn by this procedure, which the clip prior then
    animates. With a video to start from, its own frame is animated, and the first noise level is lower: the less noise,
    the more of the video stays.
    """
    s, process, ascent = settings, Denoising(task, settings), Ascent(task, settings)
    first, last = s.noise_level
    sigmas = exponential_sigmas(last * (first / last) ** task.init.strength if task.init else first, last, s.iterations)
    h, solver = process.start(sigmas), process.solver()
    for iteration, (sigma, following) in enumerate(pairwise(sigmas)):
        clips = ascent.clips()
        if s.step_size and (s.guided_below is None or sigma <= s.guided_below) and len(clips):
            g = ascent.gradient(process.objective, h[clips], clips, sigma)
            h = h.index_copy(0, clips, h[clips] + s.step_size * sigma * g / root_mean_square(g))
        h = solver.step(h, sigma, following)
        task.report(iteration, ascent.value, partial(process.videos, h, following))
    return process.codes(h, last), ascent.steps


def drawn_frames(task: Task, settings: GuidedSettings) -> Frames | None:
    """The middle frames, if they are drawn first. The condition networks that take single frames steer them."""
    if settings.frame is None or task.init:
        return None
    how, alone = replace(settings.frame, precision=settings.precision), replace(task, frames=1, on_iteration=None)
    if isinstance(task.phi, Action):
        alone = replace(alone, phi=task.phi.of_frames())
    else:  # a target may be at a time that a frame does not have
        how = replace(how, step_size=0.0)
    codes, _ = denoised(alone, how)
    return codes[:, 0]


class Denoising:
    """Where h, noisy codes, begins, what it means at a noise level, and how it gets to the next one."""

    def __init__(self, task: Task, settings: GuidedSettings) -> None:
        self.task, self.settings = task, settings
        self.prior = denoiser(task, settings.prior, settings.name, drawn_frames(task, settings))
        self.generator = task.map_generator(settings.inflation)

    def start(self, sigmas: list[float]) -> Variable:
        """h at the first noise level: for each clip, of several starts the one whose unguided video Phi rates highest.

        A choice among the prior's own clips takes no gradient, so it cannot lead to noise that fools a network.
        """
        h, batch = self.prior.starts(sigmas[0]), len(self.task.random)
        if len(h) == batch:
            return h
        start, solver = h, self.solver()
        for sigma, following in pairwise(sigmas):
            h = solver.step(h, sigma, following)
        codes = self.codes(h, sigmas[-1])
        with arithmetic(self.settings.precision, h.device):
            videos = to_unit_range(self.generator(codes))
            values = self.task.timer("condition", self.task.phi, videos).unflatten(0, (-1, batch))
        rows = values.argmax(0) * batch + torch.arange(batch, device=h.device)
        self.prior.keep(rows)
        return start[rows]

    def codes(
        self, h: Variable, sigma: float, clips: Int[Tensor, " some"] | None = None
    ) -> Float[Tensor, "some time *code"]:
        """D(h; sigma). clips: the numbers of the clips in h; None: all of them."""
        with arithmetic(self.settings.precision, h.device):
            return self.task.timer("prior", self.prior.denoise, h, sigma, clips).to(h.dtype)

    def videos(self, h: Variable, sigma: float) -> Videos:
        """G of these codes."""
        return self.generator(self.codes(h, sigma))

    def objective(
        self, h: Float[Tensor, "some *n"], clips: Int[Tensor, " some"], sigma: float
    ) -> Float[Tensor, " some"]:
        """J of these codes, of some clips."""
        return self.task.objective(self.codes(h, sigma, clips), self.generator, self.settings, clips)

    def solver(self) -> Solver:
        """One that begins."""
        return Solver(self.codes, self.settings.multistep)
