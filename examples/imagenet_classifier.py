"""What an image classifier has learned, as video: EfficientNet-Lite0, trained on ImageNet, frame by frame.

    pip install "stgan[imagenet]"
    stgan generate "golf ball" lighthouse --condition examples/imagenet_classifier.py:make --out dreams
    stgan evaluate dreams --evaluator examples/imagenet_classifier.py:judge

The network has never seen a video: it looks at one frame at a time.
`judge` returns EfficientNet-Lite2, which has never steered. Both know all 1000 classes; those without a name in NAMES
are called "imagenet 0" to "imagenet 999".
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.checkpoints.pretrained import find_pretrained
from stgan.networks import VideoClassifier, adapt

NAMES = {
    1: "goldfish", 107: "jellyfish", 340: "zebra", 422: "barbell", 430: "basketball", 437: "lighthouse",
    560: "football helmet", 562: "fountain", 574: "golf ball", 602: "horizontal bar", 701: "parachute",
    763: "revolver", 764: "rifle", 779: "school bus", 805: "soccer ball", 896: "washbasin", 949: "strawberry",
    980: "volcano", 981: "ballplayer", 985: "daisy",
}  # fmt: skip


class FrameByFrame(nn.Module):
    """Mean logits of the frames of clips "batch 3 time height width" in [0, 1]."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, videos: Tensor) -> Tensor:
        frames = videos.transpose(1, 2).flatten(0, 1)
        features = F.adaptive_avg_pool2d(self.encoder.features(frames), 1).flatten(1)
        return self.encoder.fc6(features).unflatten(0, (len(videos), -1)).mean(1)


def make(name: str = "efficientnet-lite0") -> VideoClassifier:
    """The classifier that steers; `--condition examples/imagenet_classifier.py:make` calls this."""
    network = FrameByFrame(find_pretrained(name).network).to(memory_format=torch.channels_last)  # faster
    actions = [NAMES.get(number, f"imagenet {number}") for number in range(1000)]
    return adapt(network, actions, size=224, frames=1, mean=0.0, std=1.0)  # the network normalises by itself


def judge() -> VideoClassifier:
    """Another classifier of the same classes; `--evaluator examples/imagenet_classifier.py:judge` calls this."""
    return make("efficientnet-lite2")
