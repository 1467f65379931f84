"""From an action to videos: where each preset starts, what it maximizes, and what keeps its codes natural."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from stgan.networks import CodePrior, Encoder, ImageGenerator, VideoGenerator, inflate
from stgan.networks.preprocessing import to_unit_range
from stgan.sampling.activation_maximization import Codes, activation_maximization, falling
from stgan.sampling.presets import Preset
from stgan.sampling.randomness import ClipRandomness

OnIteration = Callable[[int, Tensor, Callable[[], Tensor]], None]
"""Called after each iteration with its number, the objective of each clip, and a function that renders the videos."""


@runtime_checkable
class ConditionNetwork(Protocol):
    """Phi: what steers. LRCN and C3D are two."""

    def log_probabilities(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> Float[Tensor, "batch classes"]: ...


@dataclass(frozen=True)
class Networks:
    """What a sampler needs; all in eval mode, on one device."""

    image_generator: ImageGenerator
    encoder: Encoder
    code_prior: CodePrior
    condition: tuple[ConditionNetwork, ...]


@dataclass(frozen=True)
class Samples:
    """Generated videos, RGB in [0, 1], with the codes they came from and what steered thought of them at the end."""

    videos: Float[Tensor, "batch 3 time height width"]
    codes: Float[Tensor, "batch time code"]
    probability: Float[Tensor, " batch"]
    steps: Int[Tensor, " batch"]
    """Steps up the gradient that each clip took: the preset's iterations, or fewer if it was done before."""


def sample(
    networks: Networks,
    action: int,
    seeds: Sequence[int],
    preset: Preset,
    *,
    frames: int = 16,
    on_iteration: OnIteration | None = None,
) -> Samples:
    """One video a seed, of the action with this number. A clip depends on its own seed only."""
    device = next(networks.image_generator.parameters()).device
    random = ClipRandomness(seeds, device)
    generator = inflate(networks.image_generator, preset.temporal_kernel, preset.temporal_padding)
    optimise = _in_whitened_space if preset.space == "whitened" else _in_code_space
    with torch.no_grad():
        codes, steps = optimise(networks, generator, action, preset, frames, random, on_iteration)
        videos = to_unit_range(generator(codes))
        probability = log_probability(networks.condition, videos, action).exp()
    return Samples(videos, codes, probability, steps)


def _in_code_space(
    networks: Networks,
    generator: VideoGenerator,
    action: int,
    preset: Preset,
    frames: int,
    random: ClipRandomness,
    on_iteration: OnIteration | None,
) -> tuple[Float[Tensor, "batch time code"], Int[Tensor, " batch"]]:
    """The paper: PPGN's update of z(t), from N(0, 1)."""
    code_size = networks.image_generator.config.code_size

    def objective(h: Codes, iteration: int) -> Float[Tensor, " batch"]:
        """J of Eq. 8."""
        videos = disturb(generator(h), preset, random)
        return log_probability(networks.condition, videos, action) - preset.regularization * h.abs().sum((1, 2))

    def reconstruct(h: Codes) -> Codes:
        """PPGN's R(h) = E(G(h)), frame by frame."""
        return networks.encoder(networks.image_generator(h.flatten(0, 1))).view_as(h)

    def on_step(h: Codes, value: Tensor, iteration: int) -> None:
        if on_iteration:
            on_iteration(iteration, value, lambda: to_unit_range(generator(h)))

    return activation_maximization(
        random.normal(frames, code_size),
        objective,
        learning_rates=falling(*preset.learning_rate, preset.iterations),
        epsilon1=preset.epsilon1,
        epsilon2=preset.epsilon2,
        epsilon3=preset.epsilon3,
        reconstruct=reconstruct,
        noise=lambda: random.normal(frames, code_size),
        project=lambda h, iteration: h.clamp(0, 30),
        on_step=on_step,
    )


def _in_whitened_space(
    networks: Networks,
    generator: VideoGenerator,
    action: int,
    preset: Preset,
    frames: int,
    random: ClipRandomness,
    on_iteration: OnIteration | None,
) -> tuple[Float[Tensor, "batch time code"], Int[Tensor, " batch"]]:
    """Activation maximization from strong noise to none, along the code prior's denoising.

    h are noisy coordinates of the codes. What the condition network sees is G of their denoised estimate,
    D(h; sigma), hence natural frames at every iteration, rough ones first. After a step up its gradient, h moves
    along the denoiser's ODE to the next, lower noise level (Song et al. 2021, Karras et al. 2022): PPGN's
    R(h) - h with a denoiser for every noise level instead of one. Coordinates of appearance are averaged over
    time throughout: one person, one set of clothes, one background.
    """
    prior = networks.code_prior
    sigmas = geometric(*preset.noise_level, preset.iterations + 1)

    def codes_of(h: Codes, sigma: float) -> Float[Tensor, "batch time code"]:
        return prior.unwhiten(prior.share_appearance(prior.denoise(h, sigma)))

    def objective(h: Codes, iteration: int) -> Float[Tensor, " batch"]:
        """J of Eq. 8 at the denoised estimate."""
        codes = codes_of(h, sigmas[iteration])
        videos = disturb(generator(codes), preset, random)
        return log_probability(networks.condition, videos, action) - preset.regularization * codes.abs().sum((1, 2))

    def project(h: Codes, iteration: int) -> Codes:
        """To the next noise level, by Euler's method."""
        h = prior.share_appearance(h)
        estimate = prior.denoise(h, sigmas[iteration])
        return prior.share_appearance(estimate + sigmas[iteration + 1] / sigmas[iteration] * (h - estimate))

    def on_step(h: Codes, value: Tensor, iteration: int) -> None:
        if on_iteration:
            on_iteration(iteration, value, lambda: to_unit_range(generator(codes_of(h, sigmas[iteration + 1]))))

    h, steps = activation_maximization(
        sigmas[0] * prior.share_appearance(starting_noise(preset, frames, prior.config.rank, random)),
        objective,
        learning_rates=[preset.guidance * sigma for sigma in sigmas[:-1]],
        epsilon1=0.0,
        epsilon2=1.0,
        epsilon3=0.0,
        reconstruct=lambda h: h,
        noise=lambda: random.normal(frames, prior.config.rank),
        project=project,
        norm="rms",
        goal=math.log(preset.goal),
        patience=preset.patience,
        on_step=on_step,
    )
    return codes_of(h, sigmas[-1]), steps


def log_probability(
    condition: Sequence[ConditionNetwork], videos: Float[Tensor, "batch 3 time height width"], action: int
) -> Float[Tensor, " batch"]:
    """log Phi_y(G(z)); of several condition networks the mean."""
    return torch.stack([network.log_probabilities(videos)[:, action] for network in condition]).mean(0)


def geometric(start: float, end: float, steps: int) -> list[float]:
    """`steps` values that go from `start` to `end` by a constant factor."""
    return [start * (end / start) ** (step / max(1, steps - 1)) for step in range(steps)]


def starting_noise(preset: Preset, frames: int, rank: int, random: ClipRandomness) -> Codes:
    """N(0, 1) coordinates, alike from frame to frame: a common part and one of each frame's own, smooth over time."""
    common, own = random.normal(1, rank), random.normal(frames, rank)
    own = torch.einsum("ts,bsn->btn", smoothing_matrix(frames, preset.own_noise_frames).to(own), own)
    return (1 - preset.own_noise) ** 0.5 * common + preset.own_noise**0.5 * own


def smoothing_matrix(frames: int, width: float) -> Float[Tensor, "frames frames"]:
    """Turns white noise into noise of unit variance that is smooth over about `width` frames (float64).

    A Gaussian window around each frame, scaled to unit variance; the identity for width 0.
    """
    if width == 0:
        return torch.eye(frames, dtype=torch.float64)
    time = torch.arange(frames, dtype=torch.float64)
    window = torch.exp(-(((time[:, None] - time[None]) / width) ** 2))
    return window / window.square().sum(1, keepdim=True).sqrt()


def disturb(
    videos: Float[Tensor, "batch 3 time height width"], preset: Preset, random: ClipRandomness
) -> Float[Tensor, "batch 3 time height width"]:
    """Shift, brighten and add noise at random, each clip by its own draw; what is out of range is cut."""
    if not (preset.shift or preset.brightness or preset.video_noise):
        return videos
    batch, channels, _, height, width = videos.shape
    draws = random.uniform(3).to(videos)
    shift = ((2 * draws[:, :2] - 1) * preset.shift).round()
    theta = torch.eye(2, 3, device=videos.device, dtype=videos.dtype).repeat(batch, 1, 1)
    theta[:, :, 2] = 2 * shift / videos.new_tensor([width, height])
    grid = F.affine_grid(theta, [batch, channels, height, width], align_corners=False)
    moved = F.grid_sample(videos.flatten(1, 2), grid, padding_mode="border", align_corners=False)
    videos = moved.view_as(videos) + preset.brightness * (2 * draws[:, 2] - 1).view(-1, 1, 1, 1, 1)
    if preset.video_noise:
        videos = videos + preset.video_noise * random.normal(*videos.shape[1:])
    return to_unit_range(videos)
