"""What a sampler is given: the networks, the objective, and the randomness of each clip."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.devices import arithmetic
from stgan.errors import StganError
from stgan.networks import Encoder, ImageGenerator, inflate
from stgan.networks.map_codec import MapCodec
from stgan.networks.map_generator import MapVideoGenerator
from stgan.networks.map_prior import MapPrior
from stgan.networks.preprocessing import center_square, to_unit_range
from stgan.sampling.objectives import Action, Activation, ConditionNetwork, Evidence
from stgan.sampling.randomness import ClipRandomness
from stgan.sampling.settings import Inflation, SamplerSettings
from stgan.sampling.starts import Init
from stgan.sampling.transforms import transform

Objective = Action | Activation | Evidence
"""Phi of Eq. 8: videos to one value a clip."""

Videos = Float[Tensor, "batch 3 time height width"]

OnIteration = Callable[[int, Tensor, Callable[[], Tensor]], None]
"""Called after each iteration with its number, the objective of each clip, and a function that renders the videos."""

Timer = Callable[..., Tensor]
"""Called as (part, function, *inputs) in place of function(*inputs). The parts are "prior", "generator", "condition",
"reconstruction_generator" and "reconstruction_encoder"."""


def untimed(part: str, function: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """The timer that measures nothing."""
    return function(*inputs)


@dataclass(frozen=True)
class Networks:
    """The networks of a model, in eval mode, on one device and of one precision.

    side:    side of the square in the middle of the generator's frames that a video keeps; None: the whole frame.
    inflate: makes the video generator from the image generator, a temporal kernel and a padding.
    """

    image_generator: ImageGenerator
    encoder: Encoder
    condition: tuple[ConditionNetwork, ...]
    map_codec: MapCodec | None = None
    frame_prior: MapPrior | None = None
    clip_prior: MapPrior | None = None
    side: int | None = None
    inflate: Callable[..., Callable[[Tensor], Tensor]] = inflate

    def crop(self, videos: Videos) -> Float[Tensor, "batch 3 time side side"]:
        """The square in the middle that a video keeps."""
        return center_square(videos, self.side)


@dataclass(frozen=True)
class Optimised:
    """What a sampler returns: videos (not clamped), their codes (None without a generator), steps of each clip."""

    videos: Videos
    codes: Float[Tensor, "batch time *code"] | None
    steps: Int[Tensor, " batch"]


@dataclass(frozen=True)
class Task:
    """Clips to sample, one for each stream of `random`.

    phi:    the objective, without transforms and regularization.
    frames: of a video; an `init` has as many.
    init:   the video to start from; None: noise alone.
    timer:  calls the networks (see `Timer`).
    """

    networks: Networks
    phi: Objective
    random: ClipRandomness
    frames: int
    init: Init | None = None
    on_iteration: OnIteration | None = None
    timer: Timer = untimed

    def generator(self, inflation: Inflation) -> Callable[[Tensor], Tensor]:
        """G: codes "batch time code" to videos, RGB, nominally in [0, 1], cropped to what a video keeps."""
        network = self.networks.inflate(self.networks.image_generator, inflation.kernel, inflation.padding)
        return lambda codes: self.timer("generator", lambda z: self.networks.crop(network(z)), codes)

    @property
    def map_codec(self) -> MapCodec:
        """E and G of maps. Raises StganError if the networks have none."""
        if self.networks.map_codec is None:
            raise StganError("there are priors, but no map codec; choose another preset")
        return self.networks.map_codec

    def map_generator(self, inflation: Inflation) -> Callable[[Tensor], Tensor]:
        """G: maps "batch time channels y x" to videos, as `generator` does with codes."""
        network = MapVideoGenerator(self.map_codec.generator, inflation.kernel, inflation.padding)
        return lambda maps: self.timer("generator", lambda z: self.networks.crop(network(z)), maps)

    def objective(
        self,
        z: Float[Tensor, "some *n"],
        generator: Callable[[Tensor], Tensor],
        settings: SamplerSettings,
        clips: Int[Tensor, " videos"],
    ) -> Float[Tensor, " videos"]:
        """J of Eq. 8 of the videos that the generator makes of z: Phi(G(z)) - lambda |z|, on transformed videos.

        clips: their numbers; those of z, or these several times if the generator shows each clip several times.
        """
        dtype, random = self.random.dtype, self.random.of(clips)
        with arithmetic(settings.precision, torch.device(self.random.device)):
            videos = generator(z).to(dtype)  # bfloat16 cannot express shifts by single pixels
            value = self.timer("condition", self.phi, transform(videos, settings.transforms, random)).to(dtype)
        if settings.regularization:
            value = value - settings.regularization * z.abs().flatten(1).sum(1).repeat(len(value) // len(z))
        return value

    def report(self, iteration: int, value: Float[Tensor, " batch"], render: Callable[[], Tensor]) -> None:
        """Call `on_iteration`, if there is one. `render` makes the videos."""
        if self.on_iteration:
            self.on_iteration(iteration, value, lambda: to_unit_range(render()))
