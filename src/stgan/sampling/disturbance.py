"""Changes of the video before the condition network, so that only what survives them is worth a gradient."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stgan.networks.preprocessing import to_unit_range
from stgan.sampling.presets import Preset
from stgan.sampling.randomness import ClipRandomness


def disturb(
    videos: Float[Tensor, "batch 3 time height width"], preset: Preset, random: ClipRandomness
) -> Float[Tensor, "batch 3 time height width"]:
    """Shift, brighten and add noise at random, each clip by its own draw; what is out of range is cut."""
    if not (preset.shift or preset.brightness or preset.video_noise):
        return videos
    batch, channels, _, height, width = videos.shape
    draws = random.uniform(3).to(videos)
    shift = ((2 * draws[:, :2] - 1) * preset.shift).round()
    theta = torch.eye(2, 3, device=videos.device, dtype=videos.dtype).repeat(batch, 1, 1)
    theta[:, :, 2] = 2 * shift / videos.new_tensor([width, height])
    grid = F.affine_grid(theta, [batch, channels, height, width], align_corners=False)
    moved = F.grid_sample(videos.flatten(1, 2), grid, padding_mode="border", align_corners=False)
    videos = moved.view_as(videos) + preset.brightness * (2 * draws[:, 2] - 1).view(-1, 1, 1, 1, 1)
    if preset.video_noise:
        videos = videos + preset.video_noise * random.normal(*videos.shape[1:])
    return to_unit_range(videos)
