"""The map codec: an encoder of frames to map codes and the generator that draws them, trained together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.configuration import Configuration
from stgan.networks.map_encoder import MapEncoder, MapEncoderConfig
from stgan.networks.map_generator import MapGenerator, MapGeneratorConfig


@dataclass(frozen=True)
class MapCodecConfig(Configuration):
    """Encoder and generator of the same codes."""

    network: ClassVar[str] = "map_codec"
    encoder: MapEncoderConfig = field(default_factory=MapEncoderConfig)
    generator: MapGeneratorConfig = field(default_factory=MapGeneratorConfig)

    def __post_init__(self) -> None:
        if (self.encoder.channels, self.encoder.stride) != (self.generator.channels, self.generator.stride):
            raise ValueError(
                f"the encoder's maps have {self.encoder.channels} channels and stride {self.encoder.stride}, "
                f"the generator's {self.generator.channels} and {self.generator.stride}"
            )


class MapCodec(nn.Module):
    """E and G: frames to maps and back, frame by frame."""

    def __init__(self, config: MapCodecConfig | None = None) -> None:
        super().__init__()
        self.config = config or MapCodecConfig()
        self.encoder = MapEncoder(self.config.encoder)
        self.generator = MapGenerator(self.config.generator)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], noise: Callable[[Tensor], Tensor] = torch.zeros_like
    ) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch channels h w"]]:
        """G(z) in RGB, nominally [0, 1], and z = E(x) + noise(E(x))."""
        codes = self.encoder(images)
        codes = codes + noise(codes)
        return self.generator(codes), codes
