"""The map encoder: a frame to a map code, which keeps where things are."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.configuration import Configuration, Depth
from stgan.networks.preprocessing import Preprocessing
from stgan.networks.residual import ResidualBlock, start_at_zero


@dataclass(frozen=True)
class MapEncoderConfig(Configuration):
    """
    channels:     of the code at each place.
    patch:        side in pixels of the squares that become the channels of the first layer.
    widths:       channels of each level; each level after the first has half the resolution.
    depth:        residual blocks of a level.
    """

    network: ClassVar[str] = "map_encoder"
    channels: int = 16
    patch: Annotated[int, Ge(1)] = 4
    widths: tuple[int, ...] = (64, 128, 192)
    depth: Depth = 2
    preprocessing: Preprocessing = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

    @property
    def stride(self) -> int:
        """Pixels of a frame to a place of its map, in each direction."""
        return self.patch * 2 ** (len(self.widths) - 1)


class MapEncoder(nn.Module):
    """E: frames of any size that `config.stride` divides to maps.

    A linear code of each square of `config.stride` pixels, and a network's correction, which starts at 0. Over data,
    all channels together have mean 0 and variance 1: what is large in frames is large in codes.
    """

    def __init__(self, config: MapEncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or MapEncoderConfig()
        c = self.config
        self.linear = nn.Conv2d(3 * c.stride**2, c.channels, 1)
        self.stem = nn.Conv2d(3 * c.patch**2, c.widths[0], 3, padding=1)
        self.layers = nn.ModuleList()
        for level, width in enumerate(c.widths):
            if level:
                # Means, because the codes of 2x2 strides changed more from frame to frame than the frames did.
                self.layers.append(nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c.widths[level - 1], width, 1)))
            self.layers.extend(ResidualBlock(width) for _ in range(c.depth))
        self.out = nn.Conv2d(c.widths[-1], c.channels, 3, padding=1)
        start_at_zero(self.out)
        self.norm = nn.BatchNorm3d(1, affine=False)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels h w"]:
        """The maps of RGB images in [0, 1]."""
        pixels = self.config.preprocessing(images)
        x = self.stem(F.pixel_unshuffle(pixels, self.config.patch))
        for layer in self.layers:
            x = layer(x)
        codes = self.linear(F.pixel_unshuffle(pixels, self.config.stride)) + self.out(F.leaky_relu(x, 0.2))
        return self.norm(codes.unsqueeze(1)).squeeze(1)
