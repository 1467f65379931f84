"""Priors of map codes as denoisers of whole clips. h are maps, "batch time channels y x"."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.errors import StganError
from stgan.networks.map_prior import Given, MapPrior, exact, with_frame
from stgan.sampling.denoising import Denoiser
from stgan.sampling.objectives import Action
from stgan.sampling.settings import check_range
from stgan.sampling.starts import averaging_matrix, encode, starting_noise
from stgan.sampling.task import Task

Maps = Float[Tensor, "batch time channels y x"]
Frames = Float[Tensor, "batch channels y x"]


@dataclass(frozen=True)
class FramePriorSettings:
    """Of the frame prior, which knows single frames: what ties the frames of a clip together.

    guidance_scale:   w of classifier-free guidance: 0 not told the action, above 1 more than it was trained.
    own_noise:        share of the starting noise's variance that a frame has for itself; all frames share the rest.
    own_noise_frames: how many frames (standard deviation) a frame's own noise is smooth over; 0: not smooth.
    scene:            so many of the lowest frequencies over height and over width are the same in all frames: light and
                      walls.
    smooth_frames:    so many frames are averaged, as long as there is more noise than `smooth_above`.
    """

    needs: ClassVar[str] = "frame_prior"
    guidance_scale: float = 0.0
    own_noise: float = 0.3
    own_noise_frames: float = 6.0
    scene: int = 2
    smooth_frames: float = 3.0
    smooth_above: float = 0.3

    def __post_init__(self) -> None:
        check_range("own_noise", self.own_noise, 0, 1)
        for name in ("guidance_scale", "own_noise_frames", "smooth_frames", "smooth_above"):
            check_range(name, getattr(self, name), 0)
        check_range("scene", self.scene, 0, whole=True)

    @property
    def conditional(self) -> bool:
        """Whether it is told the action."""
        return self.guidance_scale != 0

    def unconditional(self) -> "FramePriorSettings":
        """With guidance scale 0."""
        return replace(self, guidance_scale=0.0)


class FrameDenoiser(Denoiser):
    """The frame prior, frame by frame.

    A video to start from is edited as in SDEdit (Meng et al. 2022).
    """

    def __init__(self, task: Task, settings: FramePriorSettings, preset: str) -> None:
        self.prior, self.task = _prior(task.networks.frame_prior, "frame prior", preset), task
        self.settings = settings
        self.action = action_of(task, settings.guidance_scale)
        c = self.prior.config
        self.noise = starting_noise(
            task.frames, (c.channels, c.grid, c.grid), settings.own_noise, settings.own_noise_frames, task.random
        )
        self.init = encode(task.map_codec.encoder, task.init.video) if task.init else None

    def starts(self, sigma: float) -> Maps:
        if self.init is not None:
            return self.init + sigma * self.noise
        return (
            self.prior.start(self.noise.flatten(0, 1).unsqueeze(1), sigma).squeeze(1).unflatten(0, self.noise.shape[:2])
        )

    def denoise(self, h: Maps, sigma: float, clips: Int[Tensor, " some"] | None = None) -> Maps:
        frames = h.flatten(0, 1).unsqueeze(1)
        estimate = told(self.prior, frames, sigma, self.action, self.settings.guidance_scale)
        estimate = estimate.squeeze(1).unflatten(0, h.shape[:2])
        with exact(h):
            if sigma > self.settings.smooth_above:
                mean = averaging_matrix(h.shape[1], self.settings.smooth_frames).to(estimate)
                estimate = torch.einsum("st,btcyx->bscyx", mean, estimate)
            return self._one_scene(estimate)

    def _one_scene(self, maps: Maps) -> Maps:
        """The same maps, but their lowest frequencies over space are the means over time."""
        basis = self.prior.space_basis[: self.settings.scene]
        low = basis @ maps @ basis.mT
        return maps + basis.mT @ (low.mean(1, keepdim=True) - low) @ basis


@dataclass(frozen=True)
class ClipPriorSettings:
    """Of the clip prior, which is trained on clips and their actions.

    guidance_scale: w of classifier-free guidance: 0 unconditional, 1 conditional on the action as it was trained, above
                    1 more than that.
    frame_guidance: the same of the given frame: above 1, scene and people stay more as they are in it.
    proposals:      so many clips are drawn from the prior alone; the one that the condition networks rate highest is
                    the one that is steered.
    temperature:    of the clip prior's starting noise: below 1, clips move less and have less grain.
    """

    needs: ClassVar[str] = "clip_prior"
    guidance_scale: float = 1.0
    frame_guidance: float = 1.0
    proposals: int = 1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_range("guidance_scale", self.guidance_scale, 0)
        check_range("frame_guidance", self.frame_guidance, 0)
        check_range("the number of proposals", self.proposals, 1, whole=True)
        check_range("temperature", self.temperature, 0, 2)

    @property
    def conditional(self) -> bool:
        """Whether it is told the action."""
        return self.guidance_scale != 0

    def unconditional(self) -> "ClipPriorSettings":
        """With guidance scale 0."""
        return replace(self, guidance_scale=0.0)


class ClipDenoiser(Denoiser):
    """The clip prior, all frames at once.

    The middle frame is given: that of the video to start from, or `frames`, one of each clip. With a strength below 1,
    a clip also starts from the video's motion, as in SDEdit (Meng et al. 2022).
    """

    def __init__(self, task: Task, settings: ClipPriorSettings, preset: str, frames: Frames | None = None) -> None:
        self.prior = _prior(task.networks.clip_prior, "clip prior", preset)
        self.settings, self.task = settings, task
        self.action = action_of(task, settings.guidance_scale)
        self.motion: Maps | float = 0.0
        if task.init:
            maps = encode(task.map_codec.encoder, task.init.video)
            frames = maps[:, task.frames // 2].expand(len(task.random), -1, -1, -1)
            self.motion = maps if task.init.strength < 1 else 0.0
        self.given = None if frames is None else frames.repeat(settings.proposals, 1, 1, 1)

    def starts(self, sigma: float) -> Maps:
        return self.motion + self.settings.temperature * sigma * self._noise(self.task.frames)

    def denoise(self, h: Maps, sigma: float, clips: Int[Tensor, " some"] | None = None) -> Maps:
        given = None
        if self.given is not None:
            maps = self.given if clips is None else self.given[clips]
            given = Given(maps, torch.full((len(h),), self.task.frames // 2, device=h.device))
        v = self.settings.frame_guidance
        return told(self.prior, h, sigma, self.action, self.settings.guidance_scale, given, v)

    def keep(self, rows: Int[Tensor, " batch"]) -> None:
        self.given = None if self.given is None else self.given[rows]

    def _noise(self, frames: int) -> Maps:
        """N(0, 1) for every proposal of every clip."""
        c = self.prior.config
        size = (frames, c.channels, c.grid, c.grid)
        return torch.cat([self.task.random.normal(*size) for _ in range(self.settings.proposals)])


def action_of(task: Task, guidance_scale: float) -> int | None:
    """The number of the action that a prior is told; None if it is told none."""
    return task.phi.number if isinstance(task.phi, Action) and guidance_scale else None


def told(
    prior: MapPrior,
    h: Maps,
    sigma: float,
    action: int | None,
    guidance_scale: float,
    given: Given | None = None,
    frame_guidance: float = 1.0,
) -> Maps:
    """D by classifier-free guidance (Ho & Salimans 2022) on two conditions (Brooks et al. 2023, Eq. 3):

        D(h; sigma) + v (D(h; sigma, frame) - D(h; sigma)) + w (D(h; sigma, frame, action) - D(h; sigma, frame))

    with the frame guidance v and the guidance scale w. What its factor cancels is not computed.
    """
    v = 1.0 if given is None else frame_guidance
    w = 0.0 if action is None else guidance_scale
    actions = torch.full((len(h),), action or 0, device=h.device)
    estimates = ((1 - v, None, None), (v - w, None, given), (w, actions, given))
    parts = [factor * prior.denoise(h, sigma, *known) for factor, *known in estimates if factor]
    estimate = torch.stack(parts).sum(0)
    return estimate if given is None else with_frame(estimate, given)


PriorSettings = FramePriorSettings | ClipPriorSettings


def denoiser(task: Task, settings: PriorSettings, preset: str, frames: Frames | None) -> Denoiser:
    """The prior that these settings are of. frames: that a clip prior animates, one of each clip, or None.

    Raises StganError if the model of the task has no such prior; preset: its name.
    """
    if isinstance(settings, FramePriorSettings):
        return FrameDenoiser(task, settings, preset)
    return ClipDenoiser(task, settings, preset, frames)


def _prior(prior: MapPrior | None, name: str, preset: str) -> MapPrior:
    if prior is None:
        raise StganError(f"preset {preset} needs a {name}; choose another preset")
    return prior
