"""The priors as denoisers of whole clips: where h starts, D(h; sigma), and which codes h stands for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.errors import StganError
from stgan.networks import CodePrior, SequencePrior
from stgan.sampling.objectives import Action
from stgan.sampling.settings import check_range
from stgan.sampling.starts import encode, starting_noise
from stgan.sampling.task import Task

KEPT_APPEARANCE = 3 / 8
"""Share of the appearance coordinates that keep the values of the video a clip starts from: scene and clothes.

The other ones also distinguish a front view from a side view, which an action may have to change."""


class Denoiser(Protocol):
    """A prior over clips. h is "batch time n", the noisy variable."""

    def starts(self, sigma: float) -> list[Tensor]:
        """Values of h to start from at the first noise level; the best one is used."""
        ...

    def denoise(self, h: Tensor, sigma: float) -> Tensor:
        """D(h; sigma), the estimate of h without noise."""
        ...

    def constrain(self, h: Tensor, sigma: float) -> Tensor:
        """h with all that is known about it put back, at noise level sigma."""
        ...

    def codes(self, estimate: Tensor) -> Float[Tensor, "batch time code"]:
        """The codes z of an estimate without noise."""
        ...


@dataclass(frozen=True)
class FramePriorSettings:
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

    def unconditional(self) -> "FramePriorSettings":
        """The same: the code prior knows no actions."""
        return self


class FrameDenoiser:
    """The code prior, frame by frame. h are noisy whitened coordinates of codes.

    A clip has one appearance (person, clothes, background): its coordinates are averaged over time at every step. With
    a video to start from, its foremost appearance coordinates are known. They are put back at every step, with the
    noise of that level, as in inpainting; the rest is edited as in SDEdit (Meng et al. 2022).
    """

    def __init__(self, task: Task, settings: FramePriorSettings, preset: str) -> None:
        if task.networks.code_prior is None:
            raise StganError(f"preset {preset} needs a code prior; choose another preset")
        self.prior: CodePrior = task.networks.code_prior
        self.settings, self.init = settings, task.init
        noise = starting_noise(
            task.frames, self.prior.config.rank, settings.own_noise, settings.own_noise_frames, task.random
        )
        self.noise = self._share(noise)
        if task.init:
            self.known = self._share(self.prior.whiten(encode(task.networks.encoder, task.init.video)))

    def starts(self, sigma: float) -> list[Float[Tensor, "batch time rank"]]:
        noise = sigma * self.noise
        return [self.known + noise if self.init else noise]

    def denoise(self, h: Float[Tensor, "batch time rank"], sigma: float) -> Float[Tensor, "batch time rank"]:
        return self.prior.denoise(h, sigma)

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
class SequencePriorSettings:
    """Of the sequence prior, a diffusion prior trained on clips.

    guidance_scale: w of classifier-free guidance: 0 unconditional, 1 conditional on the action as it was trained, above
                    1 more than that.
    proposals:      so many clips are drawn from the prior alone; the one that the condition networks rate highest is
                    the one that is steered.
    """

    needs: ClassVar[str] = "sequence_prior"
    takes_init: ClassVar[bool] = False
    guidance_scale: float = 1.0
    proposals: int = 1

    def __post_init__(self) -> None:
        check_range("guidance_scale", self.guidance_scale, 0)
        check_range("the number of proposals", self.proposals, 1, whole=True)

    @property
    def conditional(self) -> bool:
        return self.guidance_scale != 0

    def unconditional(self) -> "SequencePriorSettings":
        """With guidance scale 0."""
        return replace(self, guidance_scale=0.0)


class SequenceDenoiser:
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

    def starts(self, sigma: float) -> list[Float[Tensor, "batch time code"]]:
        size = (self.task.frames, self.prior.config.code_size)
        return [sigma * self.task.random.normal(*size) for _ in range(self.proposals)]

    def denoise(self, h: Float[Tensor, "batch time code"], sigma: float) -> Float[Tensor, "batch time code"]:
        if self.action is None or self.w == 0:
            return self.prior.denoise(h, sigma)
        actions = torch.full((len(h),), self.action, device=h.device)
        if self.w == 1:
            return self.prior.denoise(h, sigma, actions)
        both = torch.cat([actions, torch.full_like(actions, self.prior.any_action)])
        conditional, unconditional = self.prior.denoise(h.repeat(2, 1, 1), sigma, both).chunk(2)
        return unconditional + self.w * (conditional - unconditional)

    def constrain(self, h: Float[Tensor, "batch time code"], sigma: float) -> Float[Tensor, "batch time code"]:
        """h as it is: nothing is known beforehand."""
        return h

    def codes(self, estimate: Float[Tensor, "batch time code"]) -> Float[Tensor, "batch time code"]:
        return self.prior.codes(estimate)


PriorSettings = FramePriorSettings | SequencePriorSettings

DENOISERS: dict[type[Any], Callable[[Task, Any, str], Denoiser]] = {
    FramePriorSettings: FrameDenoiser,
    SequencePriorSettings: SequenceDenoiser,
}
"""The denoiser of each class of settings; called with a task, the settings and the preset's name."""
