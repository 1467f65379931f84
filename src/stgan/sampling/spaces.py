"""Where activation maximization takes place: in codes (the paper), in the code prior's coordinates, or in pixels.

A space says where h starts, what codes and what videos it means at an iteration, how natural it is kept (R, the
projection), and how long a step is. `sample` does the rest, alike in all of them.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.devices import arithmetic
from stgan.errors import StganError
from stgan.networks import CodePrior, Encoder, ImageGenerator, SequencePrior, inflate
from stgan.networks.preprocessing import center_square, flatten_time, to_unit_range
from stgan.sampling.activation_maximization import Norm, Variable, falling
from stgan.sampling.objectives import Action, Activation, ConditionNetwork
from stgan.sampling.presets import Preset
from stgan.sampling.randomness import ClipRandomness
from stgan.sampling.starts import Init, starting_noise

LARGEST_CODE = 30.0
"""PPGN's clipping of codes; they are ReLU activations, hence the lower end of 0."""

KEPT_APPEARANCE = 3 / 8
"""How much of the coordinates of appearance stays the video's that is started from: scene and clothes.

The others also tell a frontal view from one from the side, which an action may have to change."""

GREY_LEVEL = 1 / 255
"""The unit of noise and of steps in pixel space, so that the paper's constants mean there what they mean on bytes."""


Phi = Action | Activation


@dataclass(frozen=True)
class Networks:
    """What a sampler needs; all in eval mode, on one device, of one precision."""

    image_generator: ImageGenerator
    encoder: Encoder
    condition: tuple[ConditionNetwork, ...]
    code_prior: CodePrior | None = None
    sequence_prior: SequencePrior | None = None
    side: int | None = None
    """Of the square in the middle of the generator's frames that a video keeps, and that steers; None: all of them."""

    def kept(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch 3 time side side"]:
        """That square of videos."""
        return center_square(videos, self.side)


@runtime_checkable
class Space(Protocol):
    """h, one a clip, and what it means at an iteration."""

    norm: Norm
    learning_rates: list[float]

    def start(self) -> Variable:
        """h before the first iteration."""
        ...

    def codes(self, h: Variable, iteration: int) -> Variable:
        """z of Eq. 8."""
        ...

    def videos(self, codes: Variable) -> Float[Tensor, "batch 3 time height width"]:
        """G(z), RGB, nominally in [0, 1], the square that is kept."""
        ...

    def reconstruct(self, h: Variable, iteration: int) -> Variable:
        """R(h) of PPGN."""
        ...

    def project(self, h: Variable, iteration: int) -> Variable:
        """Back to where h may be, after a step."""
        ...


class CodeSpace:
    """The paper: PPGN's update of the codes z(t), from N(0, 1)."""

    norm: Norm = "mean"

    def __init__(
        self,
        networks: Networks,
        preset: Preset,
        frames: int,
        random: ClipRandomness,
        init: Init | None,
        phi: Phi,
    ) -> None:
        self.networks, self.preset, self.frames, self.random, self.init = networks, preset, frames, random, init
        self.generator = inflate(networks.image_generator, preset.temporal_kernel, preset.temporal_padding)
        self.learning_rates = falling(*preset.learning_rate, preset.iterations)

    def start(self) -> Float[Tensor, "batch time code"]:
        if self.init:
            return encode(self.networks.encoder, self.init.video).expand(len(self.random), -1, -1)
        return self.random.normal(self.frames, self.networks.image_generator.config.code_size)

    def codes(self, h: Float[Tensor, "batch time code"], iteration: int) -> Float[Tensor, "batch time code"]:
        return h

    def videos(self, codes: Float[Tensor, "batch time code"]) -> Float[Tensor, "batch 3 time height width"]:
        return self.networks.kept(self.generator(codes))

    def reconstruct(self, h: Float[Tensor, "batch time code"], iteration: int) -> Float[Tensor, "batch time code"]:
        """PPGN's R(h) = E(G(h)), frame by frame."""
        with arithmetic(self.preset.precision, h.device):
            return self.networks.encoder(self.networks.image_generator(h.flatten(0, 1))).to(h.dtype).view_as(h)

    def project(self, h: Float[Tensor, "batch time code"], iteration: int) -> Float[Tensor, "batch time code"]:
        return h.clamp(0, LARGEST_CODE)


class WhitenedSpace:
    """From strong noise to none, along the code prior's denoising.

    h are noisy coordinates of the codes. What the condition network sees is G of their denoised estimate,
    D(h; sigma), hence natural frames at every iteration, rough ones first. After a step up its gradient, h moves
    along the denoiser's ODE to the next, lower noise level (Song et al. 2021, Karras et al. 2022): PPGN's
    R(h) - h with a denoiser for every noise level instead of one. Coordinates of appearance are averaged over
    time throughout: one person, one set of clothes, one background.

    From a video the annealing starts at a lower noise level, at the noisy coordinates of its frames, as SDEdit
    (Meng et al. 2022) edits images: the less noise, the more of it stays. The foremost coordinates of appearance stay
    in any case: they are known, and are put back at every step with the noise of its level, as in inpainting.
    """

    norm: Norm = "rms"

    def __init__(
        self,
        networks: Networks,
        preset: Preset,
        frames: int,
        random: ClipRandomness,
        init: Init | None,
        phi: Phi,
    ) -> None:
        if networks.code_prior is None:
            raise StganError(f"preset {preset.name} needs a code prior; choose another preset")
        self.networks, self.preset, self.init, self.prior = networks, preset, init, networks.code_prior
        self.generator = inflate(networks.image_generator, preset.temporal_kernel, preset.temporal_padding)
        first, last = preset.noise_level
        if init:
            first = last * (first / last) ** init.strength
        self.sigmas = geometric(first, last, preset.iterations + 1)
        self.learning_rates = [preset.guidance * sigma for sigma in self.sigmas[:-1]]
        self.noise = self._share(starting_noise(preset, frames, self.prior.config.rank, random))
        if init:
            self.known = self._share(self.prior.whiten(encode(networks.encoder, init.video)))

    def start(self) -> Float[Tensor, "batch time rank"]:
        noise = self.sigmas[0] * self.noise
        return self.known + noise if self.init else noise

    def codes(self, h: Float[Tensor, "batch time rank"], iteration: int) -> Float[Tensor, "batch time code"]:
        """The codes of the denoised estimate, in which what is kept of the video is free of noise."""
        return self.prior.unwhiten(self._keep(self.prior.denoise(h, self.sigmas[iteration]), 0.0))

    def videos(self, codes: Float[Tensor, "batch time code"]) -> Float[Tensor, "batch 3 time height width"]:
        return self.networks.kept(self.generator(codes))

    def reconstruct(self, h: Float[Tensor, "batch time rank"], iteration: int) -> Float[Tensor, "batch time rank"]:
        """PPGN's R, the denoiser at the present noise level."""
        return self.prior.denoise(h, self.sigmas[iteration])

    def project(self, h: Float[Tensor, "batch time rank"], iteration: int) -> Float[Tensor, "batch time rank"]:
        """To the next noise level, by Euler's method."""
        sigma, following = self.sigmas[iteration : iteration + 2]
        h = self._keep(h, sigma)
        estimate = self.prior.denoise(h, sigma)
        return self._keep(estimate + following / sigma * (h - estimate), following)

    def _share(self, h: Float[Tensor, "batch time rank"]) -> Float[Tensor, "batch time rank"]:
        return self.prior.share_appearance(h) if self.preset.share_appearance else h

    def _keep(self, h: Float[Tensor, "batch time rank"], sigma: float) -> Float[Tensor, "batch time rank"]:
        """One appearance throughout; with what is kept of the video to start from, under noise of this level."""
        h = self._share(h)
        if not self.init:
            return h
        kept = round(KEPT_APPEARANCE * self.prior.config.appearance_rank)
        known = (self.known + sigma * self.noise if sigma else self.known).expand_as(h)
        return torch.cat([known[..., :kept], h[..., kept:]], -1)


class SequenceSpace:
    """From strong noise to none, along the sequence prior's denoising, steered once there is a person to look at.

    The noise to start from is the best of several: each is denoised without steering, and Phi of what comes out is
    compared. To choose among clips of people is to steer without a gradient, so no noise that fools can arise.

    h are noisy sequences of codes. As in `WhitenedSpace` the condition network sees G of their denoised estimate and h
    moves along the denoiser's ODE; but the denoiser sees all frames at once, and is told the action, heeded by
    classifier-free guidance (Ho & Salimans 2022):

        D(h; sigma) + w (D(h; sigma, action) - D(h; sigma))
    """

    norm: Norm = "rms"

    def __init__(
        self,
        networks: Networks,
        preset: Preset,
        frames: int,
        random: ClipRandomness,
        init: Init | None,
        phi: Phi,
    ) -> None:
        if init:
            raise StganError(f"preset {preset.name} starts from noise alone; choose robust to start from a video")
        if networks.sequence_prior is None:
            raise StganError(f"preset {preset.name} needs a sequence prior; choose another preset")
        self.networks, self.preset, self.prior = networks, preset, networks.sequence_prior
        self.w, self.proposals = preset.action_guidance, preset.proposals
        self.frames, self.random, self.phi = frames, random, phi
        self.action = phi.number if isinstance(phi, Action) else None
        self.generator = inflate(networks.image_generator, preset.temporal_kernel, preset.temporal_padding)
        self.sigmas = geometric(*preset.noise_level, preset.iterations + 1)
        self.learning_rates = [
            preset.guidance * sigma if sigma <= preset.steered_below else 0.0 for sigma in self.sigmas[:-1]
        ]

    def start(self) -> Float[Tensor, "batch time code"]:
        proposals = [
            self.sigmas[0] * self.random.normal(self.frames, self.prior.config.code_size) for _ in range(self.proposals)
        ]
        if self.proposals == 1:
            return proposals[0]
        h, last = torch.cat(proposals), len(self.learning_rates)
        for iteration in range(last):
            h = self.project(h, iteration)
        codes = self.codes(h, last)
        with arithmetic(self.preset.precision, h.device):
            values = self.phi(to_unit_range(self.videos(codes))).unflatten(0, (self.proposals, -1))
        return torch.stack(proposals)[values.argmax(0), torch.arange(values.shape[1], device=values.device)]

    def codes(self, h: Float[Tensor, "batch time code"], iteration: int) -> Float[Tensor, "batch time code"]:
        """The codes of the denoised estimate."""
        return self.prior.codes(self.reconstruct(h, iteration))

    def videos(self, codes: Float[Tensor, "batch time code"]) -> Float[Tensor, "batch 3 time height width"]:
        return self.networks.kept(self.generator(codes))

    def reconstruct(self, h: Float[Tensor, "batch time code"], iteration: int) -> Float[Tensor, "batch time code"]:
        """PPGN's R: the denoiser at the present noise level."""
        sigma = self.sigmas[iteration]
        if self.action is None or self.w == 0:
            return self.prior.denoise(h, sigma)
        actions = torch.full((len(h),), self.action, device=h.device)
        if self.w == 1:
            return self.prior.denoise(h, sigma, actions)
        both = torch.cat([actions, torch.full_like(actions, self.prior.any_action)])
        told, untold = self.prior.denoise(h.repeat(2, 1, 1), sigma, both).chunk(2)
        return untold + self.w * (told - untold)

    def project(self, h: Float[Tensor, "batch time code"], iteration: int) -> Float[Tensor, "batch time code"]:
        """To the next noise level, by Euler's method."""
        sigma, following = self.sigmas[iteration : iteration + 2]
        estimate = self.reconstruct(h, iteration)
        return estimate + following / sigma * (h - estimate)


class PixelSpace:
    """Without the generator, as a contrast: h is the video itself, as its difference to mid-grey."""

    norm: Norm = "mean"

    def __init__(
        self,
        networks: Networks,
        preset: Preset,
        frames: int,
        random: ClipRandomness,
        init: Init | None,
        phi: Phi,
    ) -> None:
        self.networks, self.frames, self.random, self.init = networks, frames, random, init
        self.image_size = networks.image_generator.config.image_size
        self.learning_rates = [GREY_LEVEL * rate for rate in falling(*preset.learning_rate, preset.iterations)]

    def start(self) -> Float[Tensor, "batch 3 time height width"]:
        if self.init:
            return (self.init.video - 0.5).expand(len(self.random), -1, -1, -1, -1)
        return GREY_LEVEL * self.random.normal(3, self.frames, self.image_size, self.image_size)

    def codes(
        self, h: Float[Tensor, "batch 3 time height width"], iteration: int
    ) -> Float[Tensor, "batch 3 time height width"]:
        return h

    def videos(self, codes: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch 3 time height width"]:
        return self.networks.kept(codes + 0.5)

    def reconstruct(
        self, h: Float[Tensor, "batch 3 time height width"], iteration: int
    ) -> Float[Tensor, "batch 3 time height width"]:
        """h itself: without a generator nothing is reconstructed."""
        return h

    def project(
        self, h: Float[Tensor, "batch 3 time height width"], iteration: int
    ) -> Float[Tensor, "batch 3 time height width"]:
        return h.clamp(-0.5, 0.5)


SPACES: dict[str, type[CodeSpace] | type[WhitenedSpace] | type[SequenceSpace] | type[PixelSpace]] = {
    "codes": CodeSpace,
    "whitened": WhitenedSpace,
    "sequences": SequenceSpace,
    "pixels": PixelSpace,
}
"""By `Preset.space`."""


def encode(encoder: Encoder, video: Float[Tensor, "3 time height width"]) -> Float[Tensor, "1 time code"]:
    """The code of each frame: the inversion of a video, as far as the generator inverts the encoder."""
    return encoder(flatten_time(video.unsqueeze(0))).unsqueeze(0)


def geometric(start: float, end: float, steps: int) -> list[float]:
    """`steps` values that go from `start` to `end` by a constant factor."""
    return [start * (end / start) ** (step / max(1, steps - 1)) for step in range(steps)]
