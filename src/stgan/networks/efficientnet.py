"""EfficientNet-Lite (Tan & Le 2019, without squeeze-and-excitation, with ReLU6 for swish), for ImageNet weights.

`stgan weights import` folds its batch normalizations into the convolutions. Pretrained weights stay fixed or are
fine-tuned. The network is not meant to be trained from scratch.
"""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.configuration import Configuration
from stgan.networks.encoder import Encoder
from stgan.networks.layout import pad_same
from stgan.networks.preprocessing import Preprocessing

STAGES = (  # kernel, stride, expansion, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, HEAD = 32, 1280
_Factor = Annotated[float, Interval(gt=0, le=4)]  # the largest published ones are 1.4 and 1.8


@dataclass(frozen=True)
class EfficientNetLiteConfig(Configuration):
    """The defaults are Lite0 with ImageNet's classes as its code.

    width, depth: factors of the numbers of channels and blocks; Lite1 is 1.0, 1.1 and Lite2 is 1.1, 1.2.
    stages: number of stages used, of the seven. The fifth ends at a sixteenth of the input's size, the seventh at a
        thirty-second.
    head:   whether the original's 1x1 convolution to 1280 channels follows the stages.
    grid:   side of the map to which the features are averaged before fc6. With 1, codes hold no spatial layout.
    batch_norm: whether one follows fc6; the other layers have none.
    """

    network: ClassVar[str] = "efficientnet_lite"
    width: _Factor = 1.0
    depth: _Factor = 1.0
    stages: Annotated[int, Interval(ge=1, le=len(STAGES))] = 7
    head: bool = True
    grid: int = 1
    code_size: int = 1000
    batch_norm: bool = False
    preprocessing: Preprocessing = Preprocessing(size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection (Sandler et al. 2018)."""

    def __init__(self, incoming: int, outgoing: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = incoming * expansion
        self.expand = nn.Conv2d(incoming, inner, 1) if expansion > 1 else None
        self.depthwise = _convolution(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, outgoing, 1)
        self.residual = stride == 1 and incoming == outgoing

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        projected = self.project(F.relu6(self.depthwise(_padded(inner, self.depthwise))))
        return x + projected if self.residual else projected


class EfficientNetLite(Encoder):
    """EfficientNet-Lite as an encoder. Its features are the outputs of the last stage or of the head."""

    config: EfficientNetLiteConfig

    def __init__(self, config: EfficientNetLiteConfig | None = None) -> None:
        super().__init__(config or EfficientNetLiteConfig())
        c, incoming = self.config, STEM
        self.stem = _convolution(3, STEM, 3, 2)
        self.blocks = nn.Sequential()
        for number, (kernel, stride, expansion, channels, blocks) in enumerate(STAGES[: c.stages]):
            outgoing = _scaled(channels, c.width)
            fixed = number in (0, len(STAGES) - 1)  # stem, first stage, last stage and head keep their depth
            for block in range(blocks if fixed else math.ceil(c.depth * blocks)):
                stride_here = stride if block == 0 else 1
                self.blocks.append(InvertedResidual(incoming, outgoing, kernel, stride_here, expansion))
                incoming = outgoing
        self.head = nn.Conv2d(incoming, HEAD, 1) if c.head else None
        self._add_code((HEAD if c.head else incoming) * c.grid**2)

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels h w"]:
        x = self.config.preprocessing(images)
        x = self.blocks(F.relu6(self.stem(_padded(x, self.stem))))
        return x if self.head is None else F.relu6(self.head(x))

    def code(self, features: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch code"]:
        """fc6 after ReLU, from `features` averaged to the grid."""
        return super().code(F.adaptive_avg_pool2d(features, self.config.grid))


def _scaled(channels: int, width: float) -> int:
    """Scaled channels of a stage: a multiple of 8, at least nine tenths of the exact product."""
    wanted = width * channels
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


def _convolution(incoming: int, outgoing: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(incoming, outgoing, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)


def _padded(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """The input of a layer with a stride, with TensorFlow's padding. Other layers pad themselves."""
    return x if layer.stride[0] == 1 else pad_same(x, layer.kernel_size, layer.stride)
