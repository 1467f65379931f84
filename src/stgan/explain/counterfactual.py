"""The smallest change of a clip that makes a classifier say something else."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.explain.answers import log_probabilities
from stgan.sampling.objectives import ConditionNetwork
from stgan.sampling.settings import check_range
from stgan.sampling.spectral import SpectralSpace

GOAL = 0.5
"""The probability that the other action has in the changed clip, at least."""


@dataclass(frozen=True, kw_only=True)
class CounterfactualSettings:
    """
    iterations:  the largest number of steps.
    step:        root mean square change of the video in a step, of 255.
    momentum:    share of the previous direction that is kept.
    closeness:   what a mean square change of 1 (of 255, squared) costs at first, in units of the log probability. It
                 falls to 0 in the first half of the steps, so that a clip that is hard to change may change more.
    bisections:  how often the distance between the original and the changed clip is halved.
    """

    iterations: int = 40
    step: float = 1.0
    momentum: float = 0.5
    closeness: float = 0.02
    bisections: int = 5

    def __post_init__(self) -> None:
        check_range("iterations", self.iterations, 1, 100_000, whole=True)
        check_range("step", self.step, 1e-3, 255)
        check_range("momentum", self.momentum, 0, 0.999)
        check_range("closeness", self.closeness, 0)
        check_range("bisections", self.bisections, 0, 30, whole=True)


@dataclass(frozen=True)
class Counterfactual:
    """A changed clip.

    video:   RGB in [0, 1], whole multiples of 1/255.
    flipped: whether the network says the other action, with a probability of at least 0.5.
    steps:   that were taken.
    share:   of the way from the original to the first clip that flipped, after bisection; 1 if none flipped.
    """

    video: Float[Tensor, "3 time height width"]
    flipped: bool
    steps: int
    share: float


def find_counterfactual(
    network: ConditionNetwork,
    video: Float[Tensor, "3 time height width"],
    to: int,
    settings: CounterfactualSettings | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> Counterfactual:
    """Change a video, squares of RGB in [0, 1], until the network says the action `to`, and as little as that takes.

    The video moves in the space of its Fourier coefficients h (`SpectralSpace`), up the gradient of

        log p_to - max over other classes c of log p_c - closeness |V(h) - V(h0)|^2

    in steps that change the video by `step` of 255 on average (root mean square). The gradient in that space changes
    large and slow parts of a video most, as they have most energy in natural video; the gradient at pixels would change
    it by noise that nobody sees (Szegedy et al. 2014). The first video that the network calls `to`, with a probability
    of at least 0.5, as it is and as bytes, ends the ascent. Bisection between it and the original finds the smallest
    share of the change that is enough.

    on_step: called after each step with its number, from 1 on.
    """
    s = settings or CounterfactualSettings()
    space = SpectralSpace(video.shape[1], video.shape[-1], video.device)
    h, original = space.coefficients(video), video[None]
    start, direction, step = space.videos(h), torch.zeros_like(h), 0
    while True:
        h.requires_grad_(True)
        with torch.enable_grad():
            videos = space.videos(h)
            values = log_probabilities(network, videos)
        found = (original + videos.detach() - start).clamp(0, 1)
        flipped = _is_clear(values.detach(), to) and _says(network, found, to)
        if flipped or step == s.iterations:
            break
        closeness = s.closeness * max(0.0, 1 - 2 * step / s.iterations)
        change = (255 * (videos - start)).square().mean()
        (gradient,) = torch.autograd.grad(_lead(values, to).sum() - closeness * change, h)
        h = h.detach()
        direction = s.momentum * direction + gradient / gradient.norm().clamp(min=1e-30)
        h = h + _stride(space, h, videos.detach(), direction, s.step) * direction
        step += 1
        on_step(step)
    share = _smallest_share(network, original, found, to, s.bisections) if flipped and step else 1.0
    return Counterfactual(_rounded(original + share * (found - original))[0], flipped, step, share)


def _lead(values: Float[Tensor, "1 classes"], to: int) -> Float[Tensor, " 1"]:
    """By how much log p_to exceeds the log p of the strongest other class."""
    return values[:, to] - torch.cat([values[:, :to], values[:, to + 1 :]], 1).amax(1)


def _is_clear(values: Float[Tensor, "1 classes"], to: int) -> bool:
    """Whether the action is the most probable one, with a probability of at least 0.5."""
    return int(values.argmax()) == to and float(values[0, to].exp()) >= GOAL


def _stride(space: SpectralSpace, h: Tensor, videos: Tensor, direction: Tensor, step: float) -> float:
    """The length that changes the video by `step` of 255, as the change grows in proportion to it."""
    trial = 1e-2 * float(h.norm()) / max(float(direction.norm()), 1e-30)
    change = 255 * float((space.videos(h + trial * direction) - videos).square().mean().sqrt())
    return trial * step / max(change, 1e-12)


@torch.no_grad()
def _says(network: ConditionNetwork, videos: Float[Tensor, "1 3 time height width"], to: int) -> bool:
    """Whether the network says the action, of the video as it is and of its bytes."""
    return all(_is_clear(log_probabilities(network, each), to) for each in (videos, _rounded(videos)))


def _smallest_share(network: ConditionNetwork, original: Tensor, found: Tensor, to: int, bisections: int) -> float:
    """The smallest share of the change, to within 2^-bisections, that the network calls `to`."""
    low, high = 0.0, 1.0
    for _ in range(bisections):
        middle = (low + high) / 2
        if _says(network, original + middle * (found - original), to):
            high = middle
        else:
            low = middle
    return high


def _rounded(videos: Tensor) -> Tensor:
    return (255 * videos).round() / 255
