"""The temporal stream (Simonyan & Zisserman 2014) on differences of frames (Wang et al. 2016), not on the frames."""

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
class TemporalStreamConfig(Configuration):
    """frames: frames of a clip; their `frames` - 1 differences are the channels of the input.
    widths: channels of the residual stages; each stage halves height and width.
    """

    network: ClassVar[str] = "temporal_stream"
    num_classes: int = 101
    frames: int = 16
    stem: int = 32
    widths: tuple[int, ...] = (48, 96, 128)
    dropout: Dropout = 0.5
    preprocessing: Preprocessing = Preprocessing(size=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class _Block(nn.Module):
    """Two 3x3 convolutions plus a projection. Height and width are halved, rounded up."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(incoming, outgoing, 3, 2, 1, bias=False),
            nn.BatchNorm2d(outgoing),
            nn.ReLU(inplace=True),
            nn.Conv2d(outgoing, outgoing, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outgoing),
        )
        self.shortcut = nn.Conv2d(incoming, outgoing, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(F.avg_pool2d(x, 2, ceil_mode=True)))


class TemporalStream(ClipClassifier):
    """An evaluator for videos of `config.frames` frames, which sees only their differences."""

    def __init__(self, config: TemporalStreamConfig | None = None) -> None:
        super().__init__()
        self.config = config or TemporalStreamConfig()
        c = self.config
        self.stem = nn.Sequential(
            nn.Conv2d(c.frames - 1, c.stem, 5, 2, 2, bias=False), nn.BatchNorm2d(c.stem), nn.ReLU(inplace=True)
        )
        widths = (c.stem, *c.widths)
        self.stages = nn.Sequential(*(_Block(incoming, outgoing) for incoming, outgoing in pairwise(widths)))
        self.fc = nn.Linear(widths[-1], c.num_classes)

    def differences(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> Float[Tensor, "batch steps new_height new_width"]:
        """Each grey frame (the mean of its channels, in network units) minus the frame before it.

        Raises ValueError if a video does not have `config.frames` frames.
        """
        frames = self.config.frames
        if videos.shape[2] != frames:
            raise ValueError(f"this TemporalStream takes clips of {frames} frames, not {videos.shape[2]}")
        return self.config.preprocessing.video(videos).mean(1).diff(dim=1)

    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch hidden"]:
        """The last stage averaged over space, from RGB videos in [0, 1]."""
        return self.stages(self.stem(self.differences(videos))).mean((2, 3))
