"""What a classifier says of a video: probabilities of the whole video and over time, and the log odds of an action."""

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.errors import StganError
from stgan.sampling.objectives import ConditionNetwork, over_windows, window_of
from stgan.spacing import window_starts

SHORT_WINDOW = 8
"""Frames of the windows over time of a network that takes any number of frames."""


def log_probabilities(
    network: ConditionNetwork, videos: Float[Tensor, "batch 3 time height width"]
) -> Float[Tensor, "batch classes"]:
    """The logarithms of probabilities that sum to 1.

    Of videos longer than the network's window, they are the normalised means over windows that overlap by half.
    """
    return over_windows(network.log_probabilities, videos, window_of(network)).log_softmax(1)


def log_odds(
    network: ConditionNetwork, videos: Float[Tensor, "batch 3 time height width"], action: int
) -> Float[Tensor, " batch"]:
    """log p - log(1 - p) of an action. Unlike p and log p, it still changes where the network is certain."""
    values = log_probabilities(network, videos)
    others = torch.cat([values[:, :action], values[:, action + 1 :]], 1)
    return values[:, action] - others.logsumexp(1)


@torch.no_grad()
def over_time(
    network: ConditionNetwork, video: Float[Tensor, "3 time height width"]
) -> tuple[list[int], int, Float[Tensor, "windows classes"]]:
    """Start frames of windows that overlap by half, frames of a window, and the probabilities of each window."""
    length = min(window_of(network) or SHORT_WINDOW, video.shape[1])
    starts = window_starts(video.shape[1], length)
    try:
        values = [network.log_probabilities(video[None, :, start : start + length]).softmax(1) for start in starts]
    except StganError:  # the windows are too short for it
        starts, length, values = [0], video.shape[1], [network.log_probabilities(video[None]).softmax(1)]
    return starts, length, torch.cat(values)
