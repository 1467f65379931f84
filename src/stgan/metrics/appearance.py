"""How much background and colours change within a clip, and how much clips of one action differ."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.metrics.blocks import block_colours, check_pixels
from stgan.metrics.neighbours import mean_distance

# Blocks along the shorter side. Those of the background are so large that noise averages out, and so small that a
# person covers less than half of them. Those of the colours only save time, because sorted values have no places.
_BACKGROUND, _COLOURS = 8, 64
_BYTES = 1e-4
"""Values this near to whole numbers are bytes. On a CPU, numpy sorts floats 3 times as fast as PyTorch, and bytes 25
times as fast."""


def appearance_change(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """How much a clip's appearance changes from frame to frame, in 0-255 units: the mean of `background_change` and
    `colour_change`. If the whole picture grows brighter by c levels a frame, it is c; 0 for a single frame.

    The motion of one person before a constant background hardly changes it.
    """
    return (background_change(videos) + colour_change(videos)) / 2


def background_change(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Change of the background from frame to frame, in 0-255 units: the median change of the picture's blocks.

    A block is an eighth of the shorter side wide. Its change is the mean over colour channels of the absolute
    difference of its mean colour. The median over blocks is taken in each step, then the mean over steps. So anything
    may move in fewer than half of the blocks. 0 for a single frame.
    """
    check_pixels(videos)
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    changes = block_colours(videos, _BACKGROUND).diff(dim=2).abs().mean(1).flatten(2)
    return changes.median(2).values.mean(1)


def colour_change(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Change of the colours in the picture from frame to frame, wherever they are, in 0-255 units.

    This is the 1-Wasserstein distance between neighbouring frames' values of a colour channel (the mean absolute
    difference of the sorted values), of blocks that are a 64th of the shorter side wide; mean over channels and steps.
    It is at least the difference of the mean colours. Motion to another place changes nothing. 0 for a single frame.
    """
    check_pixels(videos)
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    values = block_colours(videos, _COLOURS).flatten(3)
    levels = values.round()
    if values.device.type != "cpu":
        ordered = values.sort(3).values
    elif (values - levels).abs().max() < _BYTES:
        ordered = torch.from_numpy(np.sort(levels.detach().to(torch.uint8).numpy(), kind="stable")).to(values.dtype)
    else:
        ordered = torch.from_numpy(np.sort(values.detach().numpy()))
    return ordered.diff(dim=2).abs().mean((1, 2, 3))


def pixel_diversity(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, ""]:
    """Mean absolute difference, over pairs of clips, of their frames averaged over time, in 0-255 units.

    For clips of one action, it measures how much person, clothes and place differ. 0 for equal clips. Raises ValueError
    for fewer than two.
    """
    check_pixels(videos)
    if len(videos) < 2:
        raise ValueError("pixel diversity needs two clips or more")
    pictures = 255 * videos.mean(2).flatten(1)
    return torch.stack([(a - b).abs().mean() for i, a in enumerate(pictures) for b in pictures[:i]]).mean()


def feature_diversity(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean Euclidean distance between the features of two clips of one action, averaged over actions; float64.

    0 if all clips of an action are the same. The unit is that of the features, so compare it with that of real clips.
    Every action has the same weight, whatever its number of clips. Actions with a single clip are left out.

    Raises ValueError if no action has two clips, and for features that are not finite.
    """
    actions = [features[labels == label] for label in labels.unique()]
    means = [mean_distance(clips) for clips in actions if len(clips) > 1]
    if not means:
        raise ValueError("feature diversity needs two clips or more of one action")
    return torch.stack(means).mean()
