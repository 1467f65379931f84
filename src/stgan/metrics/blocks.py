"""Mean colours of the blocks of a picture, which sensor noise and compression hardly change."""

from math import isfinite

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

TOLERANCE = 1e-3
"""How far values of a video may lie beyond [0, 1], by rounding."""


def block_colours(
    videos: Float[Tensor, "n 3 time height width"], blocks: int
) -> Float[Tensor, "n 3 time rows columns"]:
    """Mean colours, in 0-255 units, of square blocks. About `blocks` of them lie along the shorter side.

    Pixels beyond the last whole block are left out. If there are fewer pixels than blocks, a block is a pixel.
    """
    side = max(1, min(videos.shape[3:]) // blocks)
    if side == 1:  # pooling would take ten times as long
        return 255 * videos
    return 255 * avg_pool2d(videos.flatten(0, 2), side).unflatten(0, videos.shape[:3])


def check_pixels(videos: Float[Tensor, "n channels time height width"]) -> None:
    """Raise ValueError unless these are RGB videos in [0, 1]. Metrics of pixels give numbers for anything."""
    if videos.shape[1] != 3:
        raise ValueError(f"videos have three channels, red, green and blue, not {videos.shape[1]}")
    if not videos.numel():
        return
    low, high = map(float, videos.aminmax())  # NaN if a value is
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
        found = "some are not finite" if not isfinite(low + high) else f"these are from {low:.3g} to {high:.3g}"
        raise ValueError(f"values of videos are in [0, 1]; {found}")
