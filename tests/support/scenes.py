"""Clips of scenes that look like nothing but themselves, in gray, and blur."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

PIXELS = 96
Scenes = Float[Tensor, "n time height width"]


def scenes(count: int, seed: int, frames: int = 16) -> Scenes:
    """Clips with as much contrast in coarse as in fine details, which move slowly; values in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    side = PIXELS + frames
    noise = torch.randn(count, side, side, dtype=torch.complex64, generator=generator)
    waves = side * torch.fft.fftfreq(side)
    pictures = torch.fft.ifft2(noise / (waves[:, None] ** 2 + waves**2 + 1)).real
    pictures -= pictures.mean((1, 2), keepdim=True)
    pictures = 0.5 + 0.15 * pictures / pictures.std((1, 2), keepdim=True)
    return torch.stack([pictures[:, t : t + PIXELS, :PIXELS] for t in range(frames)], 1).clamp(0, 1)


def blurred(clips: Scenes, sigma: float) -> Scenes:
    """Gaussian blur; sigma in pixels."""
    reach = int(3 * sigma)
    weights = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights, planes = weights / weights.sum(), F.pad(clips, (reach,) * 4, mode="replicate").flatten(0, 1)[:, None]
    return F.conv2d(F.conv2d(planes, weights[None, None, :, None]), weights[None, None, None])[:, 0].view_as(clips)
