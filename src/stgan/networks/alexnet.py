"""AlexNet (CaffeNet) up to fc6: the paper's encoder. A variant of it is the frame network of the paper's LRCN."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.configuration import Configuration
from stgan.networks.encoder import Encoder
from stgan.networks.preprocessing import CAFFENET, Preprocessing


@dataclass(frozen=True)
class AlexNetConfig(Configuration):
    """Five convolutions and one inner product; the defaults are CaffeNet (Krizhevsky et al. 2012, Jia 2014).

    `response_norm` is CaffeNet's local response normalization after the first two poolings. Small encoders that
    are trained from scratch use `batch_norm` instead.
    """

    network: ClassVar[str] = "encoder"
    channels: tuple[int, ...] = (96, 256, 384, 384, 256)
    kernels: tuple[int, ...] = (11, 5, 3, 3, 3)
    strides: tuple[int, ...] = (4, 1, 1, 1, 1)
    paddings: tuple[int, ...] = (0, 2, 1, 1, 1)
    groups: tuple[int, ...] = (1, 2, 1, 2, 2)
    code_size: int = 4096
    response_norm: bool = True
    batch_norm: bool = False
    preprocessing: Preprocessing = CAFFENET


LRCN_FRAME_NETWORK = AlexNetConfig(
    channels=(96, 384, 512, 512, 384),
    kernels=(7, 5, 3, 3, 3),
    strides=(2, 2, 1, 1, 1),
    paddings=(0, 0, 1, 1, 1),
    groups=(1, 2, 1, 2, 2),
)
"""The CaffeNet / Zeiler-Fergus hybrid that LRCN is based on (Donahue et al. 2015). Its fc6 has 13824 inputs."""


def local_response_norm(x: Float[Tensor, "batch channels height width"]) -> Tensor:
    """x / (1 + 1e-4 / 5 s)^0.75, where s is the sum of squares of 5 neighbouring channels (Krizhevsky et al. 2012).

    The result is that of `torch.nn.functional.local_response_norm`. Here the sums are one product with a banded
    matrix, which is three to four times as fast when channels are stored last.
    """
    channel = torch.arange(x.shape[1], device=x.device)
    band = ((channel[:, None] - channel).abs() <= 2).to(x) * (1e-4 / 5)
    root = (1 + (x.square().movedim(1, -1) @ band).movedim(-1, 1)).rsqrt()
    return x * (root * root.sqrt())


class AlexNet(Encoder):
    """AlexNet as an encoder. Its features are pool5."""

    config: AlexNetConfig

    def __init__(self, config: AlexNetConfig | None = None) -> None:
        super().__init__(config or AlexNetConfig())
        c, incoming = self.config, 3
        for i, outgoing in enumerate(c.channels):
            conv = nn.Conv2d(incoming, outgoing, c.kernels[i], c.strides[i], c.paddings[i], groups=c.groups[i])
            self.add_module(f"conv{i + 1}", conv)
            if c.batch_norm:
                self.add_module(f"norm{i + 1}", nn.BatchNorm2d(outgoing))
            incoming = outgoing
        self._add_code(incoming * self.feature_size() ** 2)

    def normalised(self) -> Iterator[tuple[str, str]]:
        """Layers and the batch normalizations after them (see `stgan.networks.layout.fold_batch_norm`)."""
        if self.config.batch_norm:
            yield from ((f"conv{i + 1}", f"norm{i + 1}") for i in range(len(self.config.channels)))
        yield from super().normalised()

    def feature_size(self) -> int:
        """Side of the pool5 map in pixels."""
        c = self.config
        if c.preprocessing.size is None:
            raise ValueError("an encoder needs a fixed input size: set preprocessing.size")
        size = c.preprocessing.size
        for i in range(len(c.channels)):
            size = (size + 2 * c.paddings[i] - c.kernels[i]) // c.strides[i] + 1
            if self._pools(i):
                size = -(-(size - 3) // 2) + 1  # Caffe rounds up
        return size

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels h w"]:
        """pool5 of RGB images in [0, 1]."""
        x = self.config.preprocessing(images)
        for i in range(len(self.config.channels)):
            x = self.get_submodule(f"conv{i + 1}")(x)
            if self.config.batch_norm:
                x = self.get_submodule(f"norm{i + 1}")(x)
            x = F.relu(x)
            if self._pools(i):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
                if i < 2 and self.config.response_norm:
                    x = local_response_norm(x)
        return x

    def _pools(self, i: int) -> bool:
        return i in (0, 1, len(self.config.channels) - 1)
