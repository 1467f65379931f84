"""What the examples in `examples/` define."""

import runpy
from pathlib import Path

import torch
import torch.nn.functional as F

from stgan.networks import adapt
from stgan.networks.efficientnet import EfficientNetLite

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_an_image_network_sees_clips_frame_by_frame() -> None:
    example = runpy.run_path(str(EXAMPLES / "imagenet_classifier.py"))
    torch.manual_seed(0)
    encoder = EfficientNetLite().eval()
    names = [f"imagenet {number}" for number in range(1000)]
    classifier = adapt(example["FrameByFrame"](encoder), names, size=64, frames=4, mean=0.0, std=1.0)
    videos = torch.rand(2, 3, 4, 64, 64)
    with torch.no_grad():
        logits = [
            encoder.fc6(F.adaptive_avg_pool2d(encoder.features(frame[None]), 1).flatten(1))[0]
            for video in videos
            for frame in video.transpose(0, 1)
        ]
        expected = torch.stack(logits).view(2, 4, 1000).mean(1)
        torch.testing.assert_close(classifier(videos), expected, atol=1e-4, rtol=1e-4)
    assert len(set(example["NAMES"].values())) == 20 and all(0 <= number < 1000 for number in example["NAMES"])
