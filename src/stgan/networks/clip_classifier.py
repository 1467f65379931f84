"""The interface that all video classifiers share: features, logits, log probabilities."""

from abc import ABC, abstractmethod
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ClipClassifier(nn.Module, ABC):
    """The probability of each action in a video: by default the layer `fc`, after dropout, on `features`."""

    config: Any
    fc: nn.Linear

    @abstractmethod
    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch hidden"]:
        """The input of the last layer, from RGB videos in [0, 1]."""

    def forward(self, videos: Float[Tensor, "batch 3 time height width"]) -> Tensor:
        """Logits "batch classes" of RGB videos in [0, 1]."""
        return self._logits(self.features(videos))

    def features_and_log_probabilities(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch classes"]]:
        """`features` and `log_probabilities` in one pass."""
        features = self.features(videos)
        return features, F.log_softmax(self._logits(features), -1)

    def log_probabilities(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch classes"]:
        """The logarithm of the clip's class probabilities."""
        return self.features_and_log_probabilities(videos)[1]

    def _logits(self, features: Tensor) -> Tensor:
        return self.fc(F.dropout(features, self.config.dropout, self.training))
