"""LRCN (Donahue et al. 2015): a frame network, one LSTM over time, a softmax per frame averaged over time."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.alexnet import LRCN_FRAME_NETWORK
from stgan.networks.clip_classifier import ClipClassifier
from stgan.networks.configuration import Configuration, Dropout
from stgan.networks.encoder_architectures import EncoderConfig, build_encoder, encoder_values
from stgan.networks.preprocessing import LRCN_FRAMES, flatten_time


@dataclass(frozen=True)
class LRCNConfig(Configuration):
    """The defaults are the published RGB model for UCF-101."""

    network: ClassVar[str] = "lrcn"
    num_classes: int = 101
    frame: EncoderConfig = field(default_factory=lambda: replace(LRCN_FRAME_NETWORK, preprocessing=LRCN_FRAMES))
    lstm_size: int = 256
    frame_dropout: Dropout = 0.9
    lstm_dropout: Dropout = 0.5

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "frame": encoder_values(self.frame)}


class LRCN(ClipClassifier):
    """A condition network for videos of any number of frames."""

    def __init__(self, config: LRCNConfig | None = None) -> None:
        super().__init__()
        self.config = config or LRCNConfig()
        c = self.config
        self.frame_network = build_encoder(c.frame)
        self.lstm = nn.LSTM(c.frame.code_size, c.lstm_size, batch_first=True)
        self.fc8 = nn.Linear(c.lstm_size, c.num_classes)

    def train(self, mode: bool = True) -> "LRCN":
        """Sets the mode of all layers except the LSTM, which always stays in training mode.

        cuDNN computes no gradients of an LSTM in evaluation mode. The mode does not change the LSTM's values.
        """
        super().train(mode)
        self.lstm.train()
        return self

    def states(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch time hidden"]:
        """The LSTM's output at each frame of RGB videos in [0, 1]."""
        codes = self.frame_network(flatten_time(videos)).unflatten(0, (len(videos), -1))
        states, _ = self.lstm(F.dropout(codes, self.config.frame_dropout, self.training))
        return states

    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch hidden"]:
        """The LSTM's output averaged over time."""
        return self.states(videos).mean(1)

    def forward(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch time classes"]:
        """Logits per frame of RGB videos in [0, 1]."""
        return self._logits(self.states(videos))

    def features_and_log_probabilities(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch classes"]]:
        """`features`, and the logarithm of the softmax averaged over frames: LRCN's prediction for the clip."""
        states = self.states(videos)
        per_frame = F.log_softmax(self._logits(states), -1)
        return states.mean(1), torch.logsumexp(per_frame, 1) - math.log(per_frame.shape[1])

    def _logits(self, states: Tensor) -> Tensor:
        return self.fc8(F.dropout(states, self.config.lstm_dropout, self.training))
