"""How much moves in a clip, and whether it is motion: measured on pixels, without a network.

Flicker and standstill are looked for in blocks of a sixteenth of the picture's shorter side, whose mean colours sensor
noise and compression leave nearly alone.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

VISIBLE = 4.0
"""A change of a block's mean colour that can be seen, in 0-255 units.

A still picture changes by up to 3.5 with the sensor noise of the Weizmann clips, and by up to 3 when it is compressed.
Of a person who moves, 98 of 100 steps of the Weizmann clips change some block by more than 4.6.
"""
_BLOCKS = 16  # along the shorter side


def motion(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Mean absolute difference of neighbouring frames in 0-255 units; 0 for a single frame.

    Noise, flicker and a moving camera count too.
    """
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    return 255 * videos.diff(dim=2).abs().mean((1, 2, 3, 4))


def flicker(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Mean change to and fro of the blocks' colours in 0-255 units; 0 for fewer than four frames.

    Of three changes in a row that go up, down and up again (or down, up, down), the smallest; of any others, nothing.
    What moves changes a place for good, or once as it passes, and does not count, however fast; frames that alternate
    between two pictures count in full, and have as much flicker as motion.
    """
    if videos.shape[2] < 4:
        return videos.new_zeros(len(videos))
    change = _blocks(videos).diff(dim=2)
    first, second, third = change[:, :, :-2], change[:, :, 1:-1], change[:, :, 2:]
    smallest = first.abs().minimum(second.abs()).minimum(third.abs())
    return (smallest * ((first * second < 0) & (second * third < 0))).mean((1, 2, 3, 4))


def frozen(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Share, from 0 to 1, of the steps from frame to frame in which no block changes visibly; 1 for a single frame."""
    if videos.shape[2] < 2:
        return videos.new_ones(len(videos))
    largest = _blocks(videos).diff(dim=2).abs().amax((1, 3, 4))
    return (largest < VISIBLE).to(videos.dtype).mean(1)


def _blocks(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, "n 3 time rows columns"]:
    """Mean colours of square blocks, in 0-255 units; pixels beyond the last whole block are left out."""
    side = max(1, min(videos.shape[3:]) // _BLOCKS)
    return 255 * avg_pool2d(videos.flatten(0, 2), side).unflatten(0, videos.shape[:3])
