"""How much moves in a clip, and whether it is motion: measured on pixels, without a network.

Flicker and standstill are looked for in blocks of a sixteenth of the picture's shorter side, whose mean colours sensor
noise and compression leave nearly alone.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from stgan.metrics.blocks import block_colours

VISIBLE = 4.0
"""A change of a block's mean colour that can be seen, in 0-255 units.

A still picture changes by up to 3.5 with the sensor noise of the Weizmann clips, and by up to 3 when it is compressed.
Of a person who moves, 98 of 100 steps of the Weizmann clips change some block by more than 4.6.
"""
FROZEN_CLIP = 0.25
"""A clip is frozen if more than this share of its frames is held.

In every window of the Weizmann clips it is 0.07 or less, in 97 of 100 clips of J-HMDB no more than this.
"""
FLICKERING_CLIP = (0.2, 0.1)
"""A clip flickers if its flicker is more than the first, in 0-255 units, and more than this share of its motion.

The first is what sensor noise and compression leave (95 of 100 windows of the Weizmann clips have less); the share is
0.065 at most in the Weizmann clips and 0.072 in those of J-HMDB.
"""
_BLOCKS = 16  # along the shorter side


def motion(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Mean absolute difference of neighbouring frames in 0-255 units; 0 for a single frame.

    Noise, flicker and a moving camera count too.
    """
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    return 255 * videos.diff(dim=2).abs().mean((1, 2, 3, 4))


def visible_motion(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Mean absolute change, from frame to frame, of the colours of the blocks that change visibly, the others counted
    as 0; in 0-255 units; 0 for a single frame.

    Sensor noise does not count, so that clips with and without it compare; nor does what is too faint or too small.
    """
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    change = block_colours(videos, _BLOCKS).diff(dim=2).abs()
    return (change * (change.amax(1, keepdim=True) >= VISIBLE)).mean((1, 2, 3, 4))


def flicker(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Mean change to and fro of the blocks' colours in 0-255 units; 0 for fewer than four frames.

    Of three changes in a row that go up, down and up again (or down, up, down), the smallest; of any others, nothing.
    What moves changes a place for good, or once as it passes, and does not count, however fast; frames that alternate
    between two pictures count in full, and have as much flicker as motion.
    """
    if videos.shape[2] < 4:
        return videos.new_zeros(len(videos))
    change = block_colours(videos, _BLOCKS).diff(dim=2)
    first, second, third = change[:, :, :-2], change[:, :, 1:-1], change[:, :, 2:]
    smallest = first.abs().minimum(second.abs()).minimum(third.abs())
    return (smallest * ((first * second < 0) & (second * third < 0))).mean((1, 2, 3, 4))


def frozen(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Share, from 0 to 1, of the steps from frame to frame in which no block changes visibly; 1 for a single frame."""
    if videos.shape[2] < 2:
        return videos.new_ones(len(videos))
    largest = block_colours(videos, _BLOCKS).diff(dim=2).abs().amax((1, 3, 4))
    return (largest < VISIBLE).to(videos.dtype).mean(1)


def held(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Share, from 0 to 1, of three frames in a row among which no block changes visibly; 1 for fewer than three frames.

    Frames that a film repeats to reach another frame rate are not held; nor is someone who moves too slowly to be seen
    from one frame to the next, but not from the first to the third.
    """
    if videos.shape[2] < 3:
        return videos.new_ones(len(videos))
    three = block_colours(videos, _BLOCKS).unfold(2, 3, 1)
    largest = (three.amax(-1) - three.amin(-1)).amax((1, 3, 4))
    return (largest < VISIBLE).to(videos.dtype).mean(1)


def is_frozen(held: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which clips count as frozen, by their `held`."""
    return held > FROZEN_CLIP


def is_flickering(flicker: Float[Tensor, " n"], motion: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which clips count as flickering, by their `flicker` and `motion`."""
    least, share = FLICKERING_CLIP
    return (flicker > least) & (flicker > share * motion)
