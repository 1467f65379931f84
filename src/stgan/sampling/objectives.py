"""What is maximized: the log probability of an action (Eq. 8), or the activation of a part of a condition network.

The second is the original activation maximization (Erhan et al. 2009). PPGN (Nguyen et al. 2017) maximizes hidden units
as well as classes, with the same update.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.preprocessing import Preprocessing
from stgan.sampling.targets import Target, record
from stgan.spacing import window_starts


@runtime_checkable
class ConditionNetwork(Protocol):
    """Phi: a classifier that steers, such as LRCN or C3D."""

    def log_probabilities(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> Float[Tensor, "batch classes"]: ...


def window_of(network: object) -> int | None:
    """The number of frames that a network takes; None for any number."""
    return getattr(getattr(network, "config", None), "frames", None)


def input_side(network: Any) -> int | None:
    """The side of a network's square input, in pixels; None for any."""
    pixels = _preprocessing(network)
    return pixels.size if pixels else None


def least_side(network: Any) -> int:
    """The side of the smallest square frames that a network takes, in pixels: 1 unless it crops."""
    pixels = _preprocessing(network)
    return pixels.size if pixels and pixels.size and pixels.fit == "crop" else 1


def visible_side(network: Any, side: int) -> int:
    """The side of the central square that a network sees of square frames, in pixels: all of it unless it crops."""
    crop = least_side(network)
    return side if crop == 1 else min(side, crop)


def _preprocessing(network: Any) -> Preprocessing | None:
    config = getattr(network, "config", None)
    return getattr(getattr(config, "frame", config), "preprocessing", None)


def over_windows(
    function: Callable[[Tensor], Float[Tensor, "batch *n"]],
    videos: Float[Tensor, "batch 3 time height width"],
    window: int | None,
) -> Float[Tensor, "batch *n"]:
    """Apply a function of videos of `window` frames; for longer videos, its mean over windows that overlap by half.

    The last window ends with the video. A single frame stands still for a window. With the window None, the function
    gets whole videos.
    """
    if window is None or videos.shape[2] == window:
        return function(videos)
    if videos.shape[2] == 1:
        return function(videos.expand(-1, -1, window, -1, -1))
    starts = window_starts(videos.shape[2], window)
    windows = torch.cat([videos[:, :, start : start + window] for start in starts])
    return function(windows).unflatten(0, (len(starts), len(videos))).mean(0)


def log_probability(
    condition: Sequence[ConditionNetwork], videos: Float[Tensor, "batch 3 time height width"], action: int
) -> Float[Tensor, " batch"]:
    """log Phi_y(G(z)) of Eq. 8: the mean over condition networks and windows."""
    values = [over_windows(network.log_probabilities, videos, window_of(network)) for network in condition]
    return torch.stack([value[:, action] for value in values]).mean(0)


@dataclass(frozen=True)
class Action:
    """log Phi_y of Eq. 8: the log probability of the action with this number under the condition networks."""

    condition: tuple[ConditionNetwork, ...]
    number: int

    def __call__(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, " batch"]:
        return log_probability(self.condition, videos, self.number)

    def of_frames(self) -> "Action":
        """By the networks that take any number of frames, even one; if none does, by all."""
        return replace(self, condition=tuple(n for n in self.condition if window_of(n) is None) or self.condition)


@dataclass(frozen=True)
class Evidence:
    """log Phi_y minus its mean over all classes, the mean over condition networks and windows.

    With a softmax, that is the logit of the action minus the mean logit. Its gradient shows the action; that of
    log Phi_y, as long as this is small, mostly hides the classes that are more probable.
    """

    condition: tuple[ConditionNetwork, ...]
    number: int

    def __call__(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, " batch"]:
        values = [over_windows(network.log_probabilities, videos, window_of(network)) for network in self.condition]
        return torch.stack([value[:, self.number] - value.mean(1) for value in values]).mean(0)


@dataclass(frozen=True)
class Activation:
    """Phi_h of Eq. 8 for any h: the value of a layer, a channel or a unit of one condition network."""

    network: nn.Module
    target: Target

    def __call__(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, " batch"]:
        def value(clips: Tensor) -> Tensor:
            outputs = record(self.network, clips, [self.target.layer])
            return self.target.value(outputs[self.target.layer].values)

        return over_windows(value, videos, window_of(self.network))
