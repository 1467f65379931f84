"""The discriminator of map codes: whether the surroundings of each place of an image with this code are real."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.configuration import Configuration
from stgan.networks.preprocessing import Preprocessing


@dataclass(frozen=True)
class MapDiscriminatorConfig(Configuration):
    """
    channels: of the code at each place.
    widths:   channels of the convolutions, each of which halves the resolution; after them it is the map's.
    """

    network: ClassVar[str] = "map_discriminator"
    channels: int = 16
    widths: tuple[int, ...] = (32, 64, 128, 192)
    slope: float = 0.2
    preprocessing: Preprocessing = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class MapDiscriminator(nn.Module):
    """D(x, z) of Eq. 4-5 for each place of the map z, as two logits (Isola et al. 2017 call it PatchGAN)."""

    def __init__(self, config: MapDiscriminatorConfig | None = None) -> None:
        super().__init__()
        self.config = config or MapDiscriminatorConfig()
        c = self.config
        sizes = (3, *c.widths)
        self.convolutions = nn.ModuleList(nn.Conv2d(sizes[i], sizes[i + 1], 4, 2, 1) for i in range(len(c.widths)))
        self.code = nn.Conv2d(c.channels, c.widths[-1], 1)
        self.joint = nn.Conv2d(2 * c.widths[-1], c.widths[-1], 3, padding=1)
        self.out = nn.Conv2d(c.widths[-1], 2, 1)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], codes: Float[Tensor, "batch channels h w"]
    ) -> Float[Tensor, "batch 2 h w"]:
        """Logits (real, fake) of RGB images in [0, 1] with their codes."""
        x = self.config.preprocessing(images)
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), self.config.slope)
        x = torch.cat([x, F.leaky_relu(self.code(codes), self.config.slope)], 1)
        return self.out(F.leaky_relu(self.joint(x), self.config.slope))

    def log_probability(self, images: Tensor, codes: Tensor) -> Float[Tensor, "places 2"]:
        """(log D, log(1 - D)) of every place of every image."""
        return F.log_softmax(self(images, codes), 1).movedim(1, -1).flatten(0, -2)
