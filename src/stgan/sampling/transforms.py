"""Random transforms of the video before the condition networks see it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stgan.networks.preprocessing import to_unit_range
from stgan.sampling.randomness import ClipRandomness
from stgan.sampling.settings import Transforms


def transform(
    videos: Float[Tensor, "batch 3 time height width"], transforms: Transforms, random: ClipRandomness
) -> Float[Tensor, "batch 3 time height width"]:
    """Shift videos, change their brightness and add noise, each clip by its own draw; clamp them to [0, 1].

    All frames of a clip are shifted alike. The draws come from `random`, which has as many clips.
    """
    if not (transforms.shift or transforms.brightness or transforms.noise):
        return videos
    batch, channels, _, height, width = videos.shape
    draws = random.uniform(3).to(videos)
    shift = ((2 * draws[:, :2] - 1) * transforms.shift).round()
    theta = torch.eye(2, 3, device=videos.device, dtype=videos.dtype).repeat(batch, 1, 1)
    theta[:, :, 2] = 2 * shift / videos.new_tensor([width, height])
    grid = F.affine_grid(theta, [batch, channels, height, width], align_corners=False)
    moved = F.grid_sample(videos.flatten(1, 2), grid, padding_mode="border", align_corners=False)
    videos = moved.view_as(videos) + transforms.brightness * (2 * draws[:, 2] - 1).view(-1, 1, 1, 1, 1)
    if transforms.noise:
        videos = videos + transforms.noise * random.normal(*videos.shape[1:])
    return to_unit_range(videos)
