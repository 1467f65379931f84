"""The map generator: a map code to a frame, and inflated over time a sequence of map codes to a video."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.configuration import Configuration, Depth
from stgan.networks.preprocessing import Preprocessing, unflatten_time
from stgan.networks.residual import Mix, ResidualBlock, start_at_zero, unmixed
from stgan.networks.temporal import TemporalPadding, check_kernel, mix, mixing_matrix


@dataclass(frozen=True)
class MapGeneratorConfig(Configuration):
    """
    channels: of the code at each place.
    widths:   channels of each level; each level after the first has twice the resolution.
    depth:    residual blocks of a level.
    patch:    side in pixels of the squares that a place of the last level becomes.
    """

    network: ClassVar[str] = "map_generator"
    channels: int = 16
    widths: tuple[int, ...] = (192, 128, 64)
    depth: Depth = 2
    patch: Annotated[int, Ge(1)] = 4
    preprocessing: Preprocessing = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

    @property
    def stride(self) -> int:
        """Pixels of a frame to a place of its map, in each direction."""
        return self.patch * 2 ** (len(self.widths) - 1)


class MapGenerator(nn.Module):
    """G: maps of any size to images. Only convolutions, so trained on crops it draws whole frames.

    What is linear in the code of a square, and a network's correction, which starts at 0.
    """

    def __init__(self, config: MapGeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config or MapGeneratorConfig()
        c = self.config
        self.linear = nn.Conv2d(c.channels, 3 * c.stride**2, 1)
        self.stem = nn.Conv2d(c.channels, c.widths[0], 3, padding=1)
        self.layers = nn.ModuleList()
        for level, width in enumerate(c.widths):
            if level:
                self.layers.append(nn.ConvTranspose2d(c.widths[level - 1], width, 2, stride=2))
            self.layers.extend(ResidualBlock(width) for _ in range(c.depth))
        self.out = nn.Conv2d(c.widths[-1], 3 * c.patch**2, 3, padding=1)
        start_at_zero(self.out)

    def forward(
        self, codes: Float[Tensor, "batch channels h w"], mix: Mix = unmixed
    ) -> Float[Tensor, "batch 3 height width"]:
        """Images in RGB, nominally [0, 1]. They are not clamped, so gradients do not vanish.

        mix: the temporal half of each inflated 3x3 layer.
        """
        codes = mix(codes)
        x = self.stem(codes)
        for layer in self.layers:
            x = layer(x, mix) if isinstance(layer, ResidualBlock) else layer(x)
        pixels = F.pixel_shuffle(self.out(mix(F.leaky_relu(x, 0.2))), self.config.patch)
        return self.config.preprocessing.invert(F.pixel_shuffle(self.linear(codes), self.config.stride) + pixels)


class MapVideoGenerator(nn.Module):
    """The map generator inflated over time (Eq. 6-7), one map per frame. It has no parameters of its own."""

    def __init__(
        self, image_generator: MapGenerator, temporal_kernel: Sequence[float], temporal_padding: TemporalPadding
    ) -> None:
        super().__init__()
        self.image_generator = image_generator
        self.temporal_kernel = check_kernel(temporal_kernel)
        self.temporal_padding: TemporalPadding = temporal_padding

    def forward(self, codes: Float[Tensor, "batch time channels h w"]) -> Float[Tensor, "batch 3 time height width"]:
        """Videos in RGB, nominally [0, 1] (not clamped); any number of frames."""
        batch, time = codes.shape[:2]
        matrix = mixing_matrix(time, self.temporal_kernel, self.temporal_padding).to(codes)

        def mix_frames(x: Tensor) -> Tensor:
            pixels = x.permute(0, 2, 3, 1).unflatten(0, (batch, time))
            return mix(pixels, matrix).flatten(0, 1).permute(0, 3, 1, 2)

        mixes = self.temporal_kernel != (1.0,)
        return unflatten_time(self.image_generator(codes.flatten(0, 1), mix_frames if mixes else unmixed), batch)
