"""The discriminator D of DeePSiM: whether an image with a given code is real or generated."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.configuration import Configuration, Dropout
from stgan.networks.preprocessing import CAFFENET, Preprocessing

REAL, FAKE = 0, 1
"""Which logit is which."""


@dataclass(frozen=True)
class DiscriminatorConfig(Configuration):
    """The defaults are DeePSiM's: five unpadded convolutions on 227x227, 11x11 average pooling, two code layers."""

    network: ClassVar[str] = "discriminator"
    channels: tuple[int, ...] = (32, 64, 128, 256, 256)
    kernels: tuple[int, ...] = (7, 5, 3, 3, 3)
    strides: tuple[int, ...] = (4, 1, 2, 1, 2)
    code_size: int = 4096
    code_layers: tuple[int, int] = (1024, 512)
    hidden_size: int = 512
    dropout: Dropout = 0.5
    slope: float = 0.3
    preprocessing: Preprocessing = CAFFENET


class Discriminator(nn.Module):
    """D(x, z) of Eq. 4-5 as two logits; `log_probability(...)[:, 0]` is log D, the probability of a real image."""

    def __init__(self, config: DiscriminatorConfig | None = None) -> None:
        super().__init__()
        self.config = config or DiscriminatorConfig()
        c = self.config
        sizes = (3, *c.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], c.kernels[i], c.strides[i]) for i in range(len(c.channels))
        )
        self.code_fc1 = nn.Linear(c.code_size, c.code_layers[0])
        self.code_fc2 = nn.Linear(c.code_layers[0], c.code_layers[1])
        self.fc1 = nn.Linear(c.channels[-1] + c.code_layers[1], c.hidden_size)
        self.fc2 = nn.Linear(c.hidden_size, 2)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], codes: Float[Tensor, "batch code"]
    ) -> Float[Tensor, "batch 2"]:
        """Logits (real, fake) of RGB images in [0, 1] with their codes."""
        slope = self.config.slope
        x = self.config.preprocessing(images)
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), slope)
        x = x.mean((2, 3))  # the published 11x11 average pooling covers the whole map
        z = F.leaky_relu(self.code_fc1(codes), slope)
        z = F.leaky_relu(self.code_fc2(z), slope)
        x = F.dropout(torch.cat([x, z], 1), self.config.dropout, self.training)
        return self.fc2(F.leaky_relu(self.fc1(x), slope))

    def log_probability(self, images: Tensor, codes: Tensor) -> Float[Tensor, "batch 2"]:
        """(log D, log(1 - D))."""
        return F.log_softmax(self(images, codes), 1)
