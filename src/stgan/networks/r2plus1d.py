"""A small R(2+1)D (Tran et al. 2018): the bundled evaluator's architecture, which no condition network has."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.clip_classifier import ClipClassifier
from stgan.networks.configuration import Configuration, Dropout
from stgan.networks.preprocessing import Preprocessing


@dataclass(frozen=True)
class R2Plus1DConfig(Configuration):
    """widths: channels of the residual stages; each halves space and time."""

    network: ClassVar[str] = "r2plus1d"
    num_classes: int = 101
    stem: int = 24
    widths: tuple[int, ...] = (48, 96, 128)
    dropout: Dropout = 0.5
    preprocessing: Preprocessing = Preprocessing(size=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def _conv2plus1d(incoming: int, outgoing: int, stride: int) -> nn.Sequential:
    """A 3x3x3 convolution split into one over space and one over time, with a ReLU between."""
    return nn.Sequential(
        nn.Conv3d(incoming, outgoing, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(outgoing),
        nn.ReLU(inplace=True),
        nn.Conv3d(outgoing, outgoing, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
        nn.BatchNorm3d(outgoing),
    )


class _Pool(nn.Module):
    """Average pooling that rounds sizes up, as the strided convolutions do, so that one frame or pixel is enough."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        window = [min(self.stride, size) for size in x.shape[2:]]  # AvgPool3d refuses a window larger than the input
        return F.avg_pool3d(x, window, self.stride, ceil_mode=True)


class ResidualBlock(nn.Module):
    def __init__(self, incoming: int, outgoing: int, stride: int) -> None:
        super().__init__()
        self.residual = _conv2plus1d(incoming, outgoing, stride)
        self.shortcut = (
            nn.Sequential(_Pool(stride), nn.Conv3d(incoming, outgoing, 1))
            if stride > 1 or incoming != outgoing
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


class R2Plus1D(ClipClassifier):
    """An evaluator for videos of any number of frames."""

    def __init__(self, config: R2Plus1DConfig | None = None) -> None:
        super().__init__()
        self.config = config or R2Plus1DConfig()
        c = self.config
        self.stem = nn.Sequential(
            nn.Conv3d(3, c.stem, (1, 5, 5), (1, 2, 2), (0, 2, 2), bias=False),
            nn.BatchNorm3d(c.stem),
            nn.ReLU(inplace=True),
        )
        widths = (c.stem, *c.widths)
        self.stages = nn.Sequential(*(ResidualBlock(incoming, outgoing, 2) for incoming, outgoing in pairwise(widths)))
        self.fc = nn.Linear(widths[-1], c.num_classes)

    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch hidden"]:
        """The last stage averaged over space and time, from RGB videos in [0, 1]."""
        return self.stages(self.stem(self.config.preprocessing.video(videos))).mean((2, 3, 4))
