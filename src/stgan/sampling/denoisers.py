"""The priors as denoisers of whole clips: where h starts, and D(h; sigma). h are maps, "batch time channels y x"."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.errors import StganError
from stgan.networks.map_prior import Given, MapPrior
from stgan.sampling.objectives import Action
from stgan.sampling.settings import check_range
from stgan.sampling.starts import encode_maps, starting_noise
from stgan.sampling.task import Task

Maps = Float[Tensor, "batch time channels y x"]


class Denoiser(Protocol):
    """A prior over clips."""

    def starts(self, sigma: float) -> list[Maps]:
        """Values of h to start from at the first noise level; the best one is used."""
        ...

    def denoise(self, h: Maps, sigma: float) -> Maps:
        """D(h; sigma), the estimate of h without noise."""
        ...


@dataclass(frozen=True)
class FramePriorSettings:
    """Of the frame prior, which knows single frames: what ties the frames of a clip together.

    own_noise:        share of the starting noise's variance that a frame has for itself; all frames share the rest.
    own_noise_frames: how many frames (standard deviation) a frame's own noise is smooth over; 0: not smooth.
    """

    needs: ClassVar[str] = "frame_prior"
    conditional: ClassVar[bool] = False
    own_noise: float = 0.3
    own_noise_frames: float = 6.0

    def __post_init__(self) -> None:
        check_range("own_noise", self.own_noise, 0, 1)
        check_range("own_noise_frames", self.own_noise_frames, 0)

    def unconditional(self) -> "FramePriorSettings":
        """The same: the frame prior is not conditional."""
        return self


class FrameDenoiser:
    """The frame prior, frame by frame. A video to start from is edited as in SDEdit (Meng et al. 2022)."""

    def __init__(self, task: Task, settings: FramePriorSettings, preset: str) -> None:
        self.prior = _prior(task.networks.frame_prior, "frame prior", preset)
        c = self.prior.config
        self.noise = starting_noise(
            task.frames, (c.channels, c.grid, c.grid), settings.own_noise, settings.own_noise_frames, task.random
        )
        self.init = encode_maps(task.map_codec.encoder, task.init.video) if task.init else None

    def starts(self, sigma: float) -> list[Maps]:
        noise = sigma * self.noise
        return [noise if self.init is None else self.init + noise]

    def denoise(self, h: Maps, sigma: float) -> Maps:
        return self.prior.denoise(h.flatten(0, 1).unsqueeze(1), sigma).squeeze(1).unflatten(0, h.shape[:2])


@dataclass(frozen=True)
class ClipPriorSettings:
    """Of the clip prior, which is trained on clips.

    guidance_scale: w of classifier-free guidance: 0 unconditional, 1 conditional on the action as it was trained, above
                    1 more than that.
    proposals:      so many clips are drawn from the prior alone; the one that the condition networks rate highest is
                    the one that is guided.
    """

    needs: ClassVar[str] = "clip_prior"
    guidance_scale: float = 1.0
    proposals: int = 1

    def __post_init__(self) -> None:
        check_range("guidance_scale", self.guidance_scale, 0)
        check_range("the number of proposals", self.proposals, 1, whole=True)

    @property
    def conditional(self) -> bool:
        return self.guidance_scale != 0

    def unconditional(self) -> "ClipPriorSettings":
        """With guidance scale 0."""
        return replace(self, guidance_scale=0.0)


class ClipDenoiser:
    """The clip prior, all frames at once.

    It is conditional on the action by classifier-free guidance (Ho & Salimans 2022), where w is the guidance scale:

        D(h; sigma) + w (D(h; sigma, action) - D(h; sigma))

    Of a video to start from, the middle frame is given: the clip shows this scene and this person. With a strength
    below 1, the clip also starts from the video's motion, as in SDEdit (Meng et al. 2022).
    """

    def __init__(self, task: Task, settings: ClipPriorSettings, preset: str) -> None:
        self.prior = _prior(task.networks.clip_prior, "clip prior", preset)
        self.w, self.proposals, self.task = settings.guidance_scale, settings.proposals, task
        self.action = task.phi.number if isinstance(task.phi, Action) else None
        self.init = encode_maps(task.map_codec.encoder, task.init.video) if task.init else None
        self.strength = task.init.strength if task.init else 1.0

    def starts(self, sigma: float) -> list[Maps]:
        c = self.prior.config
        size = (self.task.frames, c.channels, c.grid, c.grid)
        start = 0.0 if self.init is None or self.strength == 1 else self.init
        return [start + sigma * self.task.random.normal(*size) for _ in range(self.proposals)]

    def denoise(self, h: Maps, sigma: float) -> Maps:
        given = self._given(len(h))
        if self.action is None or self.w == 0:
            return self.prior.denoise(h, sigma, None, given)
        actions = torch.full((len(h),), self.action, device=h.device)
        conditional = self.prior.denoise(h, sigma, actions, given)
        if self.w == 1:
            return conditional
        unconditional = self.prior.denoise(h, sigma, None, given)
        return unconditional + self.w * (conditional - unconditional)

    def _given(self, batch: int) -> Given | None:
        """The middle frame of the video to start from."""
        if self.init is None:
            return None
        middle = self.task.frames // 2
        return Given(
            self.init[:, middle].expand(batch, -1, -1, -1), torch.full((batch,), middle, device=self.init.device)
        )


def _prior(prior: MapPrior | None, name: str, preset: str) -> MapPrior:
    if prior is None:
        raise StganError(f"preset {preset} needs a {name}; choose another preset")
    return prior


PriorSettings = FramePriorSettings | ClipPriorSettings

DENOISERS: dict[type[Any], Callable[[Task, Any, str], Denoiser]] = {
    FramePriorSettings: FrameDenoiser,
    ClipPriorSettings: ClipDenoiser,
}
"""The denoiser of each class of settings; called with a task, the settings and the preset's name."""
