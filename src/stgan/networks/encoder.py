"""The encoder E: an image network whose activations are the codes that the generator inverts."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.layout import InnerProduct


class Encoder(nn.Module, ABC):
    """E of Eq. 3: `features` for the feature loss, `forward` (fc6 after ReLU, >= 0) for the code.

    The frame networks of LRCN and TCN are encoders too. The configuration chooses between `AlexNet` and
    `EfficientNetLite` (`stgan.networks.encoder_architectures`).
    """

    fc6: InnerProduct
    norm6: nn.Module
    frozen = False
    """Whether training changes the code layer only. Batch normalizations of other layers keep their moments too."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def _add_code(self, num_features: int) -> None:
        """Add fc6 with `num_features` inputs, and its batch normalization if the configuration has one."""
        self.fc6 = InnerProduct(num_features, self.config.code_size)
        self.norm6 = nn.BatchNorm1d(self.config.code_size) if self.config.batch_norm else nn.Identity()

    def train(self, mode: bool = True) -> "Encoder":
        super().train(mode)
        if self.frozen:
            for name, layer in self.named_children():
                layer.train(mode and name in ("fc6", "norm6"))
        return self

    def normalised(self) -> Iterator[tuple[str, str]]:
        """Layers and the batch normalizations after them (see `stgan.networks.layout.fold_batch_norm`)."""
        if self.config.batch_norm:
            yield "fc6", "norm6"

    @abstractmethod
    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels h w"]:
        """The feature map of RGB images in [0, 1], from which `code` computes the code."""

    def code(self, features: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch code"]:
        """fc6 after ReLU, from `features`."""
        return F.relu(self.norm6(self.fc6(features.flatten(1))))

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch code"]:
        """The code of RGB images in [0, 1]; every entry is >= 0."""
        return self.code(self.features(images))
