"""Motion, flicker and standstill of a clip, measured on pixels, without a network.

Most are measured on blocks of a sixteenth of the picture's shorter side, because sensor noise and compression hardly
change the mean colours of such blocks.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from stgan.metrics.blocks import block_colours, check_pixels

VISIBLE = 4.0
"""The smallest visible change of a block's mean colour, in 0-255 units.

A still picture changes by up to 3.5 with the sensor noise of the Weizmann clips, and by up to 3 when it is compressed.
In the Weizmann clips, 98 of 100 steps of a moving person change some block by more than 4.6.
"""
FROZEN_CLIP = 0.25
"""A clip is frozen if its `held` is above this.

In every window of the Weizmann clips, `held` is at most 0.07; in 97 of 100 clips of J-HMDB, it is at most this.
"""
FLICKERING_CLIP = (0.2, 0.1)
"""A clip flickers if its flicker is above the first, in 0-255 units, and above the second times its motion.

The first is due to sensor noise and compression (95 of 100 windows of the Weizmann clips have less). Flicker over
motion is at most 0.065 in the Weizmann clips and 0.072 in those of J-HMDB.
"""
_BLOCKS = 16  # along the shorter side

Colours = Float[Tensor, "n 3 time rows columns"]


def block_means(videos: Float[Tensor, "n 3 time height width"]) -> Colours:
    """The mean colours of blocks that all of these metrics but `motion` are measured on, and may be given."""
    check_pixels(videos)
    return block_colours(videos, _BLOCKS)


def motion(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Mean absolute difference of neighbouring frames in 0-255 units; 0 for a single frame.

    Noise, flicker and a moving camera count too.
    """
    check_pixels(videos)
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    return 255 * videos.diff(dim=2).abs().mean((1, 2, 3, 4))


def visible_motion(
    videos: Float[Tensor, "n 3 time height width"], colours: Colours | None = None
) -> Float[Tensor, " n"]:
    """Mean absolute change of the blocks' colours from frame to frame, in 0-255 units; 0 for a single frame.

    Blocks that do not change visibly count as 0. So sensor noise does not count, and clips with and without it can be
    compared; neither do changes that are too faint or too small.
    """
    colours = block_means(videos) if colours is None else colours
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    change = colours.diff(dim=2).abs()
    return (change * (change.amax(1, keepdim=True) >= VISIBLE)).mean((1, 2, 3, 4))


def flicker(videos: Float[Tensor, "n 3 time height width"], colours: Colours | None = None) -> Float[Tensor, " n"]:
    """Mean change of the blocks' colours that goes to and fro, in 0-255 units; 0 for fewer than four frames.

    If three changes in a row go up, down and up (or down, up, down), the smallest of them counts; else nothing. Motion
    does not count, however fast, because it changes a place once or twice. Frames that alternate between two pictures
    have as much flicker as motion.
    """
    colours = block_means(videos) if colours is None else colours
    if videos.shape[2] < 4:
        return videos.new_zeros(len(videos))
    change = colours.diff(dim=2)
    first, second, third = change[:, :, :-2], change[:, :, 1:-1], change[:, :, 2:]
    smallest = first.abs().minimum(second.abs()).minimum(third.abs())
    return (smallest * ((first * second < 0) & (second * third < 0))).mean((1, 2, 3, 4))


def frozen(videos: Float[Tensor, "n 3 time height width"], colours: Colours | None = None) -> Float[Tensor, " n"]:
    """Share, from 0 to 1, of the steps from frame to frame in which no block changes visibly; 1 for a single frame."""
    colours = block_means(videos) if colours is None else colours
    if videos.shape[2] < 2:
        return videos.new_ones(len(videos))
    largest = colours.diff(dim=2).abs().amax((1, 3, 4))
    return (largest < VISIBLE).to(videos.dtype).mean(1)


def held(videos: Float[Tensor, "n 3 time height width"], colours: Colours | None = None) -> Float[Tensor, " n"]:
    """Share, from 0 to 1, of three frames in a row among which no block changes visibly; 1 for fewer than three frames.

    A frame that is repeated once to reach another frame rate does not count. Neither does motion that is visible from
    the first to the third frame only.
    """
    colours = block_means(videos) if colours is None else colours
    if videos.shape[2] < 3:
        return videos.new_ones(len(videos))
    three = colours.unfold(2, 3, 1)
    largest = (three.amax(-1) - three.amin(-1)).amax((1, 3, 4))
    return (largest < VISIBLE).to(videos.dtype).mean(1)


def is_frozen(held: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which clips count as frozen, by their `held`."""
    return held > FROZEN_CLIP


def is_flickering(flicker: Float[Tensor, " n"], motion: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which clips count as flickering, by their `flicker` and `motion`."""
    least, share = FLICKERING_CLIP
    return (flicker > least) & (flicker > share * motion)
