"""From an action to videos: a preset's start, objective and projection, handed to activation maximization."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stgan.networks import CodePrior, Encoder, ImageGenerator, inflate
from stgan.networks.preprocessing import to_unit_range
from stgan.sampling.activation_maximization import Codes, activation_maximization, falling
from stgan.sampling.presets import Preset
from stgan.sampling.randomness import ClipRandomness


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
    iterations: int


def sample(
    networks: Networks,
    action: int,
    seeds: Sequence[int],
    preset: Preset,
    *,
    frames: int = 16,
    on_iteration: Callable[[int, Tensor, Callable[[], Tensor]], None] | None = None,
) -> Samples:
    """One video a seed of the action with this number.

    A clip depends on its own seed only. `on_iteration(iteration, objective, render)` is called after each step;
    `render()` makes the videos of that moment.
    """
    device = next(networks.image_generator.parameters()).device
    random = ClipRandomness(seeds, device)
    generator = inflate(networks.image_generator, preset.temporal_kernel, preset.temporal_padding)
    prior, whitened = networks.code_prior, preset.space == "whitened"
    decode: Callable[[Codes], Codes] = prior.unwhiten if whitened else lambda h: h

    def render(h: Codes) -> Float[Tensor, "batch 3 time height width"]:
        return generator(decode(h))

    def objective(h: Codes) -> Float[Tensor, " batch"]:
        """J of Eq. 8."""
        videos = render(h)
        views = [disturb(videos, preset, random) for _ in range(preset.views)]
        log_p = torch.stack([log_probability(networks.condition, view, action) for view in views]).mean(0)
        return log_p - preset.regularization * h.abs().sum((1, 2))

    def reconstruct(h: Codes) -> Codes:
        """PPGN's R(h) = E(G(h)), frame by frame."""
        images = networks.image_generator(h.flatten(0, 1))
        return networks.encoder(images).view_as(h)

    def project(h: Codes, iteration: int) -> Codes:
        if not whitened:
            return h.clamp(0, 30)
        return toward_prior(h, prior, preset, iteration)

    def done(h: Codes, value: Tensor, iteration: int) -> bool:
        if on_iteration:
            on_iteration(iteration, value, lambda: to_unit_range(render(h)))
        return False

    with torch.no_grad():
        if whitened:
            h = start_from_prior(prior, preset, frames, random)
        else:
            h = random.normal(frames, networks.image_generator.config.code_size)
        h = activation_maximization(
            h,
            objective,
            iterations=preset.iterations,
            learning_rate=preset.learning_rate,
            epsilon1=preset.epsilon1,
            epsilon2=preset.epsilon2,
            epsilon3=preset.epsilon3,
            reconstruct=reconstruct,
            noise=lambda: random.normal(*h.shape[1:]),
            project=project,
            norm="rms" if whitened else "mean",
            done=done,
        )
        videos = to_unit_range(render(h))
        probability = log_probability(networks.condition, videos, action).exp()
    return Samples(videos, decode(h), probability, preset.iterations)


def log_probability(
    condition: Sequence[ConditionNetwork], videos: Float[Tensor, "batch 3 time height width"], action: int
) -> Float[Tensor, " batch"]:
    """log Phi_y(G(z)); of several condition networks the mean."""
    return torch.stack([network.log_probabilities(videos)[:, action] for network in condition]).mean(0)


def start_from_prior(prior: CodePrior, preset: Preset, frames: int, random: ClipRandomness) -> Codes:
    """One sample of the code prior a clip, repeated over time, with a little noise a frame."""
    start = prior.sample(random.normal(prior.config.rank)).unsqueeze(1)
    return start + preset.start_noise * random.normal(frames, prior.config.rank)


def toward_prior(h: Codes, prior: CodePrior, preset: Preset, iteration: int) -> Codes:
    """Keep coordinates where those of real frames are, and the frames of a clip one person."""
    last = preset.iterations
    if preset.smoothing:
        h = smooth_over_time(h, preset.smoothing)
    if preset.share_appearance:
        h = prior.share_appearance(h)
    sigma = preset.prior_sigma[0] * (preset.prior_sigma[1] / preset.prior_sigma[0]) ** falling(
        0.0, 1.0, iteration, last
    )
    pull = falling(*preset.prior_pull, iteration, last)
    h = h + pull * (prior.denoise(h, sigma) - h)
    return prior.share_appearance(h) if preset.share_appearance else h


def smooth_over_time(h: Codes, weight: float) -> Codes:
    """Blend each frame with the mean of its neighbours; the edge frames with their only one."""
    neighbours = (torch.cat([h[:, 1:2], h[:, :-1]], 1) + torch.cat([h[:, 1:], h[:, -2:-1]], 1)) / 2
    return (1 - weight) * h + weight * neighbours


def disturb(
    videos: Float[Tensor, "batch 3 time height width"], preset: Preset, random: ClipRandomness
) -> Float[Tensor, "batch 3 time height width"]:
    """Shift, blur, brighten and add noise at random, each clip by its own draw; what is out of range is cut."""
    if not (preset.shift or preset.blur or preset.brightness or preset.video_noise):
        return videos
    batch, channels, _, height, width = videos.shape
    draws = random.uniform(4).to(videos)
    shift = (2 * draws[:, :2] - 1) * preset.shift
    theta = torch.eye(2, 3, device=videos.device, dtype=videos.dtype).repeat(batch, 1, 1)
    theta[:, :, 2] = 2 * shift.round() / videos.new_tensor([width, height])
    grid = F.affine_grid(theta, [batch, channels, height, width], align_corners=False)
    moved = F.grid_sample(videos.flatten(1, 2), grid, padding_mode="border", align_corners=False)
    videos = moved.view_as(videos) + preset.brightness * (2 * draws[:, 2] - 1).view(-1, 1, 1, 1, 1)
    if preset.video_noise:
        videos = videos + preset.video_noise * random.normal(*videos.shape[1:])
    return to_unit_range(videos)
