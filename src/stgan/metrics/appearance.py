"""Whether a clip keeps its background and its colours, and how much clips of one action differ."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.metrics.blocks import block_colours
from stgan.metrics.neighbours import mean_distance

# Blocks along the shorter side. Of the background: large enough for noise to average out, small enough for a person to
# cover less than half of them. Of the colours: sorted values know no places, so that blocks are there for speed alone.
_BACKGROUND, _COLOURS = 8, 64


def appearance_change(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """How much a clip's appearance changes from frame to frame, in 0-255 units: the mean of `background_change` and
    `colour_change`. Where the whole picture grows brighter by c levels a frame, it is c; 0 for a single frame.

    Motion of one person before a background that stays leaves it nearly alone.
    """
    return (background_change(videos) + colour_change(videos)) / 2


def background_change(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Change of the background from frame to frame, in 0-255 units: that of the middle one of the picture's blocks.

    Blocks of an eighth of the shorter side; a block's change is the mean over colours of the absolute difference of its
    mean colour; in each step the median over blocks, then the mean over steps. What moves may be in any blocks but half
    of them. 0 for a single frame.
    """
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    changes = block_colours(videos, _BACKGROUND).diff(dim=2).abs().mean(1).flatten(2)
    return changes.median(2).values.mean(1)


def colour_change(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Change of the colours in the picture from frame to frame, in 0-255 units, wherever they are: clothes, background.

    The 1-Wasserstein distance between neighbouring frames' values of each colour channel (the mean absolute difference
    of the sorted values), of blocks of a 64th of the shorter side; mean over channels and steps. It is at least the
    difference of the mean colours. What only moves to other places changes nothing. 0 for a single frame.
    """
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    values = block_colours(videos, _COLOURS).flatten(3)
    # On a CPU, numpy sorts fifteen times as fast as PyTorch does.
    ordered = (
        torch.from_numpy(np.sort(values.detach().numpy())) if values.device.type == "cpu" else values.sort(3).values
    )
    return ordered.diff(dim=2).abs().mean((1, 2, 3))


def pixel_diversity(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, ""]:
    """Mean absolute difference, over pairs of clips, of their frames averaged over time, in 0-255 units.

    Clips of one action: who is shown, in what, where. 0 for equal clips. Raises ValueError for fewer than two.
    """
    if len(videos) < 2:
        raise ValueError("pixel diversity is a difference: it takes two clips or more")
    pictures = 255 * videos.mean(2).flatten(1)
    return torch.stack([(a - b).abs().mean() for i, a in enumerate(pictures) for b in pictures[:i]]).mean()


def feature_diversity(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean Euclidean distance between the features of two clips of one action, averaged over actions; float64.

    0 where all clips of an action are the same; in the features' unit, so to be read beside that of real clips. Every
    action counts alike, whatever its number of clips; actions of a single clip are left out.

    Raises ValueError where no action has two clips, and for features that are not finite.
    """
    actions = [features[labels == label] for label in labels.unique()]
    means = [mean_distance(clips) for clips in actions if len(clips) > 1]
    if not means:
        raise ValueError("feature diversity is that of clips of one action: it takes two clips or more of one")
    return torch.stack(means).mean()
