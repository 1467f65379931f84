"""Priors of vector codes as denoisers of whole clips. h is "batch time n"."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.errors import StganError
from stgan.networks import CodePrior, SequencePrior
from stgan.sampling.denoising import ClipSettings, Denoiser
from stgan.sampling.objectives import Action
from stgan.sampling.settings import Inflation, check_range
from stgan.sampling.starts import encode, starting_noise
from stgan.sampling.task import Task

KEPT_APPEARANCE = 3 / 8
"""Share of the appearance coordinates that keep the values of the video a clip starts from: scene and clothes.

The other ones also distinguish a front view from a side view, which an action may have to change."""


@dataclass(frozen=True)
class CodePriorSettings:
    """Of the code prior, which knows single frames: what ties the frames of a clip together.

    own_noise:        share of the starting noise's variance that a frame has for itself; all frames share the rest.
    own_noise_frames: how many frames (standard deviation) a frame's own noise is smooth over; 0: not smooth.
    share_appearance: whether the appearance coordinates are averaged over time at every step.
    """

    needs: ClassVar[str] = "code_prior"
    conditional: ClassVar[bool] = False
    takes_init: ClassVar[bool] = True
    own_noise: float = 0.3
    own_noise_frames: float = 6.0
    share_appearance: bool = True

    def __post_init__(self) -> None:
        check_range("own_noise", self.own_noise, 0, 1)
        check_range("own_noise_frames", self.own_noise_frames, 0)

    def unconditional(self) -> "CodePriorSettings":
        """The same: the code prior knows no actions."""
        return self


class CodeDenoiser(Denoiser):
    """The code prior, frame by frame. h are noisy whitened coordinates of codes.

    A clip has one appearance (person, clothes, background): its coordinates are averaged over time at every step. With
    a video to start from, its foremost appearance coordinates are known. They are put back at every step, with the
    noise of that level, as in inpainting; the rest is edited as in SDEdit (Meng et al. 2022).
    """

    def __init__(self, task: Task, settings: CodePriorSettings, preset: str) -> None:
        if task.networks.code_prior is None:
            raise StganError(f"preset {preset} needs a code prior; choose another preset")
        self.prior: CodePrior = task.networks.code_prior
        self.settings, self.init, self.task = settings, task.init, task
        noise = starting_noise(
            task.frames, (self.prior.config.rank,), settings.own_noise, settings.own_noise_frames, task.random
        )
        self.noise = self._share(noise)
        if task.init:
            self.known = self._share(self.prior.whiten(encode(task.networks.encoder, task.init.video)))

    def starts(self, sigma: float) -> Float[Tensor, "batch time rank"]:
        noise = sigma * self.noise
        return self.known + noise if self.init else noise

    def denoise(
        self, h: Float[Tensor, "some time rank"], sigma: float, clips: Int[Tensor, " some"] | None = None
    ) -> Float[Tensor, "some time rank"]:
        return self.prior.denoise(h, sigma)

    def generator(self, inflation: Inflation) -> Callable[[Tensor], Tensor]:
        return self.task.generator(inflation)

    def constrain(self, h: Float[Tensor, "batch time rank"], sigma: float) -> Float[Tensor, "batch time rank"]:
        h = self._share(h)
        if not self.init:
            return h
        kept = round(KEPT_APPEARANCE * self.prior.config.appearance_rank)
        known = (self.known + sigma * self.noise if sigma else self.known).expand_as(h)
        return torch.cat([known[..., :kept], h[..., kept:]], -1)

    def codes(self, estimate: Float[Tensor, "batch time rank"]) -> Float[Tensor, "batch time code"]:
        return self.prior.unwhiten(self.constrain(estimate, 0.0))

    def _share(self, h: Float[Tensor, "batch time rank"]) -> Float[Tensor, "batch time rank"]:
        return self.prior.share_appearance(h) if self.settings.share_appearance else h


@dataclass(frozen=True)
class SequencePriorSettings(ClipSettings):
    """Of the sequence prior."""

    needs: ClassVar[str] = "sequence_prior"
    takes_init: ClassVar[bool] = False


class SequenceDenoiser(Denoiser):
    """The sequence prior, all frames at once. h are noisy sequences of codes.

    It is conditional on the action by classifier-free guidance (Ho & Salimans 2022), where w is the guidance scale:

        D(h; sigma) + w (D(h; sigma, action) - D(h; sigma))
    """

    def __init__(self, task: Task, settings: SequencePriorSettings, preset: str) -> None:
        if task.init:
            raise StganError(f"preset {preset} starts from noise alone; choose robust to start from a video")
        if task.networks.sequence_prior is None:
            raise StganError(f"preset {preset} needs a sequence prior; choose another preset")
        self.prior: SequencePrior = task.networks.sequence_prior
        self.w, self.proposals, self.task = settings.guidance_scale, settings.proposals, task
        self.action = task.phi.number if isinstance(task.phi, Action) else None

    def starts(self, sigma: float) -> Float[Tensor, "rows time code"]:
        size = (self.task.frames, self.prior.config.code_size)
        return sigma * torch.cat([self.task.random.normal(*size) for _ in range(self.proposals)])

    def denoise(
        self, h: Float[Tensor, "some time code"], sigma: float, clips: Int[Tensor, " some"] | None = None
    ) -> Float[Tensor, "some time code"]:
        if self.action is None or self.w == 0:
            return self.prior.denoise(h, sigma)
        actions = torch.full((len(h),), self.action, device=h.device)
        if self.w == 1:
            return self.prior.denoise(h, sigma, actions)
        both = torch.cat([actions, torch.full_like(actions, self.prior.any_action)])
        conditional, unconditional = self.prior.denoise(h.repeat(2, 1, 1), sigma, both).chunk(2)
        return unconditional + self.w * (conditional - unconditional)

    def generator(self, inflation: Inflation) -> Callable[[Tensor], Tensor]:
        return self.task.generator(inflation)

    def codes(self, estimate: Float[Tensor, "batch time code"]) -> Float[Tensor, "batch time code"]:
        return self.prior.codes(estimate)
