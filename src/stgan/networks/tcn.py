"""A temporal convolutional network (Lea et al. 2017) on the codes of frames: an evaluator's architecture.

Its input is each frame's code and the difference to the next frame's code, and it convolves over time only. It shares
neither LRCN's recurrence nor C3D's convolutions over space and time.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.clip_classifier import ClipClassifier
from stgan.networks.configuration import Configuration, Dropout
from stgan.networks.efficientnet import EfficientNetLiteConfig
from stgan.networks.encoder_architectures import EncoderConfig, build_encoder, encoder_values
from stgan.networks.preprocessing import flatten_time


@dataclass(frozen=True)
class TCNConfig(Configuration):
    """width, kernel, depth: channels, frames and number of the convolutions over time; dropout: before each of them."""

    network: ClassVar[str] = "tcn"
    num_classes: int = 101
    frame: EncoderConfig = field(default_factory=EfficientNetLiteConfig)
    width: int = 256
    kernel: int = 3
    depth: Annotated[int, Interval(ge=1, le=100)] = 2
    dropout: Dropout = 0.4

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be an odd number, not {self.kernel}")

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "frame": encoder_values(self.frame)}


class TCN(ClipClassifier):
    """An evaluator for videos of any number of frames."""

    def __init__(self, config: TCNConfig | None = None) -> None:
        super().__init__()
        self.config = config or TCNConfig()
        c = self.config
        self.frame_network = build_encoder(c.frame)
        sizes = (2 * c.frame.code_size, *[c.width] * c.depth)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(sizes[i], c.width, c.kernel, padding=c.kernel // 2) for i in range(c.depth)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(c.width) for _ in range(c.depth))
        self.fc = nn.Linear(c.width, c.num_classes)

    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch hidden"]:
        """The last convolution's output averaged over time, from RGB videos in [0, 1]."""
        codes = self.frame_network(flatten_time(videos)).unflatten(0, (len(videos), -1)).mT
        x = torch.cat([codes, torch.diff(codes, append=codes[..., -1:])], 1)
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            y = F.relu(norm(convolution(F.dropout(x, self.config.dropout, self.training))))
            x = x + y if number else y
        return x.mean(2)
