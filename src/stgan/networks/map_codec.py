"""The map codec: an encoder of frames to map codes and the generator that draws them, trained together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
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

    @torch.no_grad()
    def start_from_principal_components(self, frames: Iterable[Float[Tensor, "_ 3 height width"]]) -> None:
        """Set the linear layers to the best linear code of squares: their largest principal components.

        All are divided by the same number, so that what is large in the frames is large in the codes, and the noise on
        the codes costs the least. On frames this is close to what trained networks reach.
        """
        encoder, generator = self.encoder.linear, self.generator.linear
        side, channels = encoder.in_channels, encoder.out_channels
        count, total, products = 0, torch.zeros(side).double(), torch.zeros(side, side).double()
        for images in frames:
            pixels = self.config.encoder.preprocessing(images.to(encoder.weight.device))
            squares = F.pixel_unshuffle(pixels, self.config.encoder.stride).permute(0, 2, 3, 1).flatten(0, 2)
            count += len(squares)
            total += squares.sum(0).double().cpu()
            products += (squares.T @ squares).double().cpu()
        mean = total / count
        variances, axes = torch.linalg.eigh(products / count - mean.outer(mean))
        components, scale = axes[:, -channels:].flip(1), variances[-channels:].mean().clamp(min=1e-8).sqrt()
        encoder.weight.copy_((components.T / scale)[:, :, None, None])
        encoder.bias.copy_(-(components.T / scale) @ mean)  # type: ignore[union-attr]
        generator.weight.copy_((components * scale)[:, :, None, None])
        generator.bias.copy_(mean)  # type: ignore[union-attr]

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], noise: Callable[[Tensor], Tensor] = torch.zeros_like
    ) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch channels h w"]]:
        """G(z) in RGB, nominally [0, 1], and z = E(x) + noise(E(x))."""
        codes = self.encoder(images)
        codes = codes + noise(codes)
        return self.generator(codes), codes
