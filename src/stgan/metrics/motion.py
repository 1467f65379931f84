"""How much moves in a clip: measured on pixels, without a network."""

from jaxtyping import Float
from torch import Tensor


def motion(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Mean absolute difference of neighbouring frames in 0-255 units; 0 for a single frame."""
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    return 255 * videos.diff(dim=2).abs().mean((1, 2, 3, 4))
