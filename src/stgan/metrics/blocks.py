"""Mean colours of the blocks of a picture, which sensor noise and compression hardly change."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d


def block_colours(
    videos: Float[Tensor, "n 3 time height width"], blocks: int
) -> Float[Tensor, "n 3 time rows columns"]:
    """Mean colours, in 0-255 units, of square blocks. About `blocks` of them lie along the shorter side.

    Pixels beyond the last whole block are left out. If there are fewer pixels than blocks, a block is a pixel.
    """
    side = max(1, min(videos.shape[3:]) // blocks)
    return 255 * avg_pool2d(videos.flatten(0, 2), side).unflatten(0, videos.shape[:3])
