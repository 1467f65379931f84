"""C3D (Tran et al. 2015): eight 3x3x3 convolutions, five poolings, two inner products."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.configuration import Configuration
from stgan.networks.preprocessing import C3D_FRAMES, Preprocessing


@dataclass(frozen=True)
class C3DConfig(Configuration):
    """The defaults are the published network with UCF-101's classes.

    stages: channels of the convolutions between two poolings. The first pooling is over space only, the last one
            is padded by one pixel, so that 512x1x4x4 = 8192 values reach fc6 from 16 frames of 112x112.
    """

    network: ClassVar[str] = "c3d"
    num_classes: int = 101
    stages: tuple[tuple[int, ...], ...] = ((64,), (128,), (256, 256), (512, 512), (512, 512))
    hidden_sizes: tuple[int, ...] = (4096, 4096)
    frames: int = 16
    pad_last_pool: bool = True
    batch_norm: bool = False
    dropout: float = 0.5
    preprocessing: Preprocessing = C3D_FRAMES


class C3D(nn.Module):
    """A condition network or an evaluator: the probability of an action in a video of `config.frames` frames."""

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

    def flat_size(self) -> int:
        """Number of values that leave the last pooling."""
        c = self.config
        if c.preprocessing.size is None:
            raise ValueError("C3D needs a fixed input size: set preprocessing.size")
        size, time = c.preprocessing.size, c.frames
        for i in range(len(c.stages)):
            size = (size + (2 if self._padded(i) else 0)) // 2
            time = time if i == 0 else time // 2
        return c.stages[-1][-1] * time * size * size

    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch hidden"]:
        """The last hidden inner product after ReLU (fc7) of RGB videos in [0, 1]."""
        frames = self.config.frames
        if videos.shape[2] != frames:
            raise ValueError(f"this C3D takes clips of {frames} frames, not {videos.shape[2]}")
        x = self.config.preprocessing.video(videos)
        layer = 0
        for i, stage in enumerate(self.config.stages):
            for _ in stage:
                x = F.relu(self.norms[layer](self.convolutions[layer](x)))
                layer += 1
            window = (1, 2, 2) if i == 0 else (2, 2, 2)
            x = F.max_pool3d(x, window, padding=(0, 1, 1) if self._padded(i) else 0)
        x = x.flatten(1)
        for fc in self.hidden:
            x = F.dropout(F.relu(fc(x)), self.config.dropout, self.training)
        return x

    def forward(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch classes"]:
        """Logits. Raises ValueError for another number of frames than the network was made for."""
        return self.fc8(self.features(videos))

    def features_and_log_probabilities(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch classes"]]:
        """`features` and `log_probabilities` in one pass."""
        features = self.features(videos)
        return features, F.log_softmax(self.fc8(features), -1)

    def log_probabilities(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch classes"]:
        """log softmax of the clip."""
        return self.features_and_log_probabilities(videos)[1]

    def _padded(self, stage: int) -> bool:
        return self.config.pad_last_pool and stage == len(self.config.stages) - 1
