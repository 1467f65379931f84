"""Random transforms of the video before the condition networks see it."""

import math

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
    """Shift, turn, zoom and mirror videos, change their brightness, add noise; clamp them to [0, 1].

    Each clip has its own draw, and all its frames are moved alike. The draws come from `random`, which has as many
    clips.
    """
    if transforms == Transforms():
        return videos
    batch, channels, _, height, width = videos.shape
    draws = random.uniform(3).to(videos)
    shift = ((2 * draws[:, :2] - 1) * transforms.shift).round()
    turned = bool(transforms.rotation or transforms.zoom != (1, 1) or transforms.flip)
    theta = torch.zeros(batch, 2, 3, device=videos.device, dtype=videos.dtype)
    theta[:, :, :2] = _turns(transforms, random, width / height).to(videos) if turned else torch.eye(2)
    theta[:, :, 2] = 2 * shift / videos.new_tensor([width, height])
    grid = F.affine_grid(theta, [batch, channels, height, width], align_corners=False)
    # Beyond turned frames there is grey: their mirror image would complete what is cut off by the border.
    beyond, level = ("zeros", 0.5) if turned else ("border", 0.0)
    moved = F.grid_sample(videos.flatten(1, 2) - level, grid, padding_mode=beyond, align_corners=False) + level
    videos = moved.view_as(videos) + transforms.brightness * (2 * draws[:, 2] - 1).view(-1, 1, 1, 1, 1)
    if transforms.noise:
        videos = videos + transforms.noise * random.normal(*videos.shape[1:])
    return to_unit_range(videos)


def _turns(transforms: Transforms, random: ClipRandomness, aspect: float) -> Float[Tensor, "batch 2 2"]:
    """A rotation, zoom and reflection of each clip, in coordinates from -1 to 1. aspect: width / height."""
    turn, zoom, mirror = random.uniform(3).unbind(1)
    angle = math.radians(transforms.rotation) * (2 * turn - 1)
    least, most = transforms.zoom
    side = least + (most - least) * zoom
    sign = torch.where(mirror < 0.5, -1.0, 1.0) if transforms.flip else torch.ones_like(mirror)
    x, y = side * angle.cos(), side * angle.sin()
    return torch.stack([torch.stack([sign * x, -y / aspect], 1), torch.stack([sign * y * aspect, x], 1)], 1)
