"""Whether a clip keeps its colours, and how much clips of one action differ."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.metrics.neighbours import mean_distance


def appearance_drift(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Mean absolute difference of neighbouring frames' mean colours in 0-255 units; 0 for a single frame.

    Motion within the frame leaves a mean colour nearly alone; clothes or a background that change do not.
    """
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    return 255 * videos.mean((3, 4)).diff(dim=2).abs().mean((1, 2))


def variety(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, ""]:
    """Mean absolute difference, over pairs of clips, of their frames averaged over time, in 0-255 units.

    Clips of one action: who is shown, in what, where. 0 for equal clips. Raises ValueError for fewer than two.
    """
    if len(videos) < 2:
        raise ValueError("variety is a difference: it takes two clips or more")
    pictures = 255 * videos.mean(2).flatten(1)
    return torch.stack([(a - b).abs().mean() for i, a in enumerate(pictures) for b in pictures[:i]]).mean()


def diversity(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean Euclidean distance between the features of two clips of one action, averaged over actions; float64.

    0 where all clips of an action are the same; in the features' unit, so to be read beside that of real clips. Every
    action counts alike, whatever its number of clips; actions of a single clip are left out.

    Raises ValueError where no action has two clips, and for features that are not finite.
    """
    actions = [features[labels == label] for label in labels.unique()]
    means = [mean_distance(clips) for clips in actions if len(clips) > 1]
    if not means:
        raise ValueError("diversity is that of clips of one action: it takes two clips or more of one")
    return torch.stack(means).mean()
