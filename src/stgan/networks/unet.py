"""A small U-Net of maps, modulated by an embedding of what is known about them (Ho et al. 2020)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class UNet(nn.Module):
    """Maps of a fixed grid to maps of the same grid. The output starts at 0.

    widths:    channels of each level; each level after the first has half the resolution. All levels but a first one
               of more than 8x8 places have attention.
    depth:     blocks of a level, on the way down and on the way up.
    embedding: size of the embedding.
    """

    def __init__(
        self,
        incoming: int,
        outgoing: int,
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
        width = widths[0]
        for level, wide in enumerate(widths):
            if level:
                self.down.append(Resize(width, wide, 0.5))
            self.down.extend(Block(wide, embedding, dropout, grid >> level <= 8) for _ in range(depth))
            width = wide
        self.middle = Block(width, embedding, dropout, True)
        for level, wide in reversed(list(enumerate(widths))):
            self.up.extend(Block(wide, embedding, dropout, grid >> level <= 8) for _ in range(depth))
            if level:
                self.up.append(Resize(wide, widths[level - 1], 2.0))
            width = wide
        self.norm = group_norm(width)
        self.out = nn.Conv2d(width, outgoing, 3, padding=1)
        start_at_zero(self.out)

    def forward(
        self, x: Float[Tensor, "batch incoming grid grid"], embedding: Float[Tensor, "batch embedding"]
    ) -> Float[Tensor, "batch outgoing grid grid"]:
        x = self.stem(x) + self.position
        kept = []
        for layer in self.down:
            kept.append(x)  # what enters a layer on the way down is added to what leaves its mirror image on the way up
            x = layer(x, embedding)
        x = self.middle(x, embedding)
        for layer in self.up:
            x = layer(x, embedding) + kept.pop()
        return self.out(F.silu(self.norm(x)))


class Block(nn.Module):
    """Two convolutions with a residual connection, the second one modulated by the embedding; then self-attention."""

    def __init__(self, width: int, embedding: int, dropout: float, attends: bool) -> None:
        super().__init__()
        self.norm1 = group_norm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * width)
        self.norm2 = group_norm(width)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.attention = Attention(width) if attends else nn.Identity()
        start_at_zero(self.conv2)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        branch = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, 1)
        branch = F.silu(self.norm2(branch) * (1 + scale) + shift)
        return self.attention(x + self.conv2(self.dropout(branch)))


class Attention(nn.Module):
    """Self-attention between the places of a map, in heads of 32 channels if they divide it, added to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = 1 if width % 32 else width // 32
        self.norm = group_norm(width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        start_at_zero(self.out)

    def forward(self, x: Float[Tensor, "batch width height width_"]) -> Tensor:
        places = self.qkv(self.norm(x)).flatten(2).mT
        q, k, v = places.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # Written out: for so few places, a CPU takes the fused function's backward pass ten times as long.
        weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
        attended = (weights @ v).transpose(1, 2).flatten(2)
        return x + self.out(attended.mT.unflatten(-1, x.shape[-2:]))


class Resize(nn.Module):
    """Half the resolution by means of 2x2 places, or twice by repetition; then a convolution."""

    def __init__(self, incoming: int, outgoing: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(incoming, outgoing, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        resized = F.avg_pool2d(x, 2) if self.factor < 1 else F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(resized)


def group_norm(width: int) -> nn.GroupNorm:
    """Group normalization with 32 groups, or fewer if 32 do not divide the channels."""
    return nn.GroupNorm(math.gcd(32, width), width)


def start_at_zero(layer: nn.Module) -> None:
    """Set all parameters of a layer to 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
