"""C3D (Tran et al. 2015): eight 3x3x3 convolutions, five poolings, two inner products."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.clip_classifier import ClipClassifier
from stgan.networks.configuration import Configuration, Dropout
from stgan.networks.preprocessing import C3D_FRAMES, Preprocessing


@dataclass(frozen=True)
class C3DConfig(Configuration):
    """The defaults are the published network with UCF-101's classes.

    stages:        channels of the convolutions between two poolings. The first pooling is over space only.
    pad_last_pool: "after": the last pooling keeps an odd last row and column, so that 512x1x4x4 = 8192 values reach
                   fc6 from 16 frames of 112x112. C3D's Caffe and its TensorFlow and Chainer ports do this. True: the
                   input is padded by one pixel on all sides, as in ports to PyTorch. The number of values is the
                   same, but they cover other pixels. False: the last row and column are dropped.
    preprocessing: if its mean is "volume", the network has a buffer `mean_volume` in the units and the channel order
                   of its input. The buffer is zero until it is filled.
    """

    network: ClassVar[str] = "c3d"
    num_classes: int = 101
    stages: tuple[tuple[int, ...], ...] = ((64,), (128,), (256, 256), (512, 512), (512, 512))
    hidden_sizes: tuple[int, ...] = (4096, 4096)
    frames: int = 16
    pad_last_pool: bool | Literal["after"] = "after"
    batch_norm: bool = False
    dropout: Dropout = 0.5
    preprocessing: Preprocessing = C3D_FRAMES


class C3D(ClipClassifier):
    """A condition network or an evaluator for videos of `config.frames` frames."""

    mean_volume: Float[Tensor, "3 time height width"] | None

    def __init__(self, config: C3DConfig | None = None) -> None:
        super().__init__()
        self.config = config or C3DConfig()
        c, incoming = self.config, 3
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        for stage in c.stages:
            for outgoing in stage:
                self.convolutions.append(nn.Conv3d(incoming, outgoing, 3, padding=1))
                self.norms.append(nn.BatchNorm3d(outgoing) if c.batch_norm else nn.Identity())
                incoming = outgoing
        sizes = (self.flat_size(), *c.hidden_sizes)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.fc8 = nn.Linear(sizes[-1], c.num_classes)
        size = c.preprocessing.size or 0
        has_volume = c.preprocessing.mean == "volume"
        self.register_buffer("mean_volume", torch.zeros(3, c.frames, size, size) if has_volume else None)

    def normalised(self) -> Iterator[tuple[str, str]]:
        """Layers and the batch normalizations after them (see `stgan.networks.layout.fold_batch_norm`)."""
        if self.config.batch_norm:
            yield from ((f"convolutions.{i}", f"norms.{i}") for i in range(len(self.norms)))

    def flat_size(self) -> int:
        """Number of outputs of the last pooling."""
        c = self.config
        if c.preprocessing.size is None:
            raise ValueError("C3D needs a fixed input size: set preprocessing.size")
        size, time = c.preprocessing.size, c.frames
        for i in range(len(c.stages)):
            before, after = self._padding(i, size)
            size = (before + size + after) // 2
            time = time if i == 0 else time // 2
        return c.stages[-1][-1] * time * size * size

    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch hidden"]:
        """The last hidden inner product after ReLU (fc7) of RGB videos in [0, 1].

        Raises ValueError if a video does not have `config.frames` frames.
        """
        frames = self.config.frames
        if videos.shape[2] != frames:
            raise ValueError(f"this C3D takes clips of {frames} frames, not {videos.shape[2]}")
        x = self.config.preprocessing.video(videos, self.mean_volume)
        layer = 0
        for i, stage in enumerate(self.config.stages):
            for _ in stage:
                x = F.relu(self.norms[layer](self.convolutions[layer](x)))
                layer += 1
            window = (1, 2, 2) if i == 0 else (2, 2, 2)
            padding = self._padding(i, x.shape[-1])
            if any(padding):
                x = F.pad(x, padding * 2)  # zeros never win a maximum after a ReLU
            x = F.max_pool3d(x, window)
        x = x.flatten(1)
        for fc in self.hidden:
            x = F.dropout(F.relu(fc(x)), self.config.dropout, self.training)
        return x

    def _logits(self, features: Tensor) -> Tensor:
        return self.fc8(features)

    def _padding(self, stage: int, size: int) -> tuple[int, int]:
        """Pixels to add before and after each row and column of a square map before a stage's pooling."""
        if stage < len(self.config.stages) - 1 or self.config.pad_last_pool is False:
            return 0, 0
        return (0, size % 2) if self.config.pad_last_pool == "after" else (1, 1)
