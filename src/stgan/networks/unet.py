"""A small U-Net over space and time, modulated by an embedding of what is known about each frame (Ho et al. 2022)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.residual import start_at_zero

_MOST_PLACES = 256
"""Of all frames together, between which attention is worth its time."""


class UNet(nn.Module):
    """Sequences of maps of a fixed grid to sequences of maps of the same grid. The output starts at 0.

    widths:    channels of each level; each level after the first has half the resolution. Levels of at most 256 places,
               those of all frames counted, have attention between all of them.
    depth:     blocks of a level, on the way down and on the way up.
    embedding: size of the embedding.
    """

    def __init__(
        self,
        incoming: int,
        outgoing: int,
        frames: int,
        grid: int,
        widths: tuple[int, ...],
        depth: int,
        embedding: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(incoming, widths[0], 3, padding=1)
        self.position = nn.Parameter(torch.zeros(widths[0], grid, grid))
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        attends = [frames * (grid >> level) ** 2 <= _MOST_PLACES for level in range(len(widths))]
        width = widths[0]
        for level, wide in enumerate(widths):
            if level:
                self.down.append(Resize(width, wide, 0.5))
            self.down.extend(Block(frames, wide, embedding, dropout, attends[level]) for _ in range(depth))
            width = wide
        self.middle = Block(frames, width, embedding, dropout, attends[-1])
        for level, wide in reversed(list(enumerate(widths))):
            self.up.extend(Block(frames, wide, embedding, dropout, attends[level]) for _ in range(depth))
            if level:
                self.up.append(Resize(wide, widths[level - 1], 2.0))
            width = wide
        self.norm = group_norm(width)
        self.out = nn.Conv2d(width, outgoing, 3, padding=1)
        start_at_zero(self.out)

    def forward(
        self,
        x: Float[Tensor, "batch frames incoming grid grid"],
        embedding: Float[Tensor, "batch frames embedding"],
    ) -> Float[Tensor, "batch frames outgoing grid grid"]:
        frames = x.shape[1]
        embedding = embedding.flatten(0, 1)
        x = self.stem(x.flatten(0, 1).contiguous(memory_format=torch.channels_last)) + self.position
        kept = []
        for layer in self.down:
            kept.append(x)  # what enters a layer on the way down is added to what leaves its mirror image on the way up
            x = layer(x, embedding)
        x = self.middle(x, embedding)
        for layer in self.up:
            x = layer(x, embedding) + kept.pop()
        return self.out(F.silu(self.norm(x))).unflatten(0, (-1, frames))


class Block(nn.Module):
    """A convolution over space and one over time, modulated by the embedding, with a residual connection; attention."""

    def __init__(self, frames: int, width: int, embedding: int, dropout: float, attends: bool) -> None:
        super().__init__()
        self.frames = frames
        self.norm1 = group_norm(width)
        self.space = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * width)
        self.norm2 = group_norm(width)
        self.dropout = nn.Dropout2d(dropout)
        reach = 1 if frames > 1 else 0
        self.time = nn.Conv2d(width, width, (2 * reach + 1, 1), padding=(reach, 0))
        self.attention = Attention(frames, width) if attends else nn.Identity()
        start_at_zero(self.time)

    def forward(self, x: Float[Tensor, "images width h w"], embedding: Tensor) -> Float[Tensor, "images width h w"]:
        branch = self.space(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, 1)
        branch = self.dropout(F.silu(self.norm2(branch) * (1 + scale) + shift))
        branch = from_clips(self.time(to_clips(branch, self.frames)), x.shape)
        return self.attention(x + branch)


class Attention(nn.Module):
    """Self-attention between all places of all frames, in heads of 32 channels if they divide it, added to it."""

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.frames = frames
        self.heads = 1 if width % 32 else width // 32
        self.norm = group_norm(width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        start_at_zero(self.out)

    def forward(self, x: Float[Tensor, "images width h w"]) -> Float[Tensor, "images width h w"]:
        places = to_clips(self.qkv(self.norm(x)), self.frames).flatten(2).mT
        q, k, v = places.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # Written out: for so few places, a CPU takes the fused function's backward pass ten times as long.
        weights = (q / math.sqrt(q.shape[-1]) @ k.mT).softmax(-1)
        attended = (weights @ v).transpose(1, 2).flatten(2).mT
        return x + self.out(from_clips(attended.unflatten(2, (self.frames, -1)), x.shape))


class Resize(nn.Module):
    """Half the resolution by means of 2x2 places, or twice by repetition; then a convolution."""

    def __init__(self, incoming: int, outgoing: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(incoming, outgoing, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        resized = F.avg_pool2d(x, 2) if self.factor < 1 else F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(resized)


def to_clips(x: Float[Tensor, "images width h w"], frames: int) -> Float[Tensor, "clips width frames places"]:
    """Images as clips, whose places are a row. In a layout with the channels last, nothing is copied."""
    return x.flatten(2).unflatten(0, (-1, frames)).transpose(1, 2)


def from_clips(x: Float[Tensor, "clips width frames places"], shape: torch.Size) -> Float[Tensor, "images width h w"]:
    """The images of clips, in the shape that they had."""
    return x.transpose(1, 2).flatten(0, 1).unflatten(2, shape[2:])


def group_norm(width: int) -> nn.GroupNorm:
    """Group normalization with groups of 16 channels: with less, a CPU takes ten times as long in bfloat16."""
    return nn.GroupNorm(max(width // 16, 1) if width % 16 == 0 else 1, width)
