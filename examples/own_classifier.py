"""Train a network of another library on your clips in minutes, and steer the bundled generator with it.

    python examples/own_classifier.py MY_CLIPS          # trains it and writes own_classifier.pt
    stgan generate --condition examples/own_classifier.py:make

MY_CLIPS holds a folder of clips for each action, or any other layout that `stgan data check` reads. The network is
torchvision's ResNet-18 for images (pip install 'stgan[torchvision]'). It sees all frames of a clip as channels.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

from stgan.networks import VideoClassifier, adapt
from stgan.spacing import window_starts
from stgan.video import ClipFile, find_clips, read_video, resize_and_crop, window_at, windows_in_view

FILE = Path(os.environ.get("OWN_CLASSIFIER", "own_classifier.pt"))
SIZE, FRAMES = 64, 16
MEAN, STD = 0.5, 0.25


class Stacked(nn.Module):
    """Logits of clips "batch 3 time height width". The frames are the channels of one image."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = resnet18(num_classes=classes)
        self.network.conv1 = nn.Conv2d(3 * FRAMES, 64, 7, 2, 3, bias=False)

    def forward(self, videos: Tensor) -> Tensor:
        return self.network(videos.flatten(1, 2))


def make() -> VideoClassifier:
    """Return the trained classifier; `--condition examples/own_classifier.py:make` calls this."""
    saved = torch.load(FILE, weights_only=True)
    network = Stacked(len(saved["actions"]))
    network.load_state_dict(saved["weights"])
    return adapt(network, saved["actions"], size=SIZE, frames=FRAMES, mean=MEAN, std=STD)


def train(clips: list[ClipFile], steps: int, batch_size: int = 24) -> None:
    """Train on random windows of the clips, and save the network to `FILE`."""
    actions = sorted({clip.label for clip in clips})
    network = Stacked(len(actions)).train()
    seen = [frames_of(clip) for clip in clips]
    starts = [windows_in_view(frames, FRAMES) for frames in seen]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    rng = np.random.default_rng(0)
    for step in range(steps):
        numbers = rng.integers(len(seen), size=batch_size)
        windows = [seen[n][window_at(len(seen[n]), FRAMES, int(rng.choice(starts[n])))] for n in numbers]
        videos = torch.stack([disturbed(to_video(window), rng) for window in windows])
        labels = torch.tensor([actions.index(clips[n].label) for n in numbers])
        logits = network((videos - MEAN) / STD)
        loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            right = float((logits.argmax(1) == labels).float().mean())
            print(f"step {step}: loss {loss:.2f}, accuracy {right:.2f}", flush=True)
    torch.save({"actions": actions, "weights": network.state_dict()}, FILE)


def frames_of(clip: ClipFile) -> np.ndarray:
    """Bytes "time SIZE SIZE 3"."""
    return resize_and_crop(read_video(clip.path).frames, SIZE)


def to_video(frames: np.ndarray) -> Tensor:
    """Bytes "time height width 3" to RGB "3 time height width" in [0, 1]."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2) / 255


def disturbed(video: Tensor, rng: np.random.Generator) -> Tensor:
    """The video after a random shift, flip, change of contrast and brightness, and noise (data augmentation)."""
    down, right = rng.integers(0, 17, 2)
    video = F.pad(video, (8, 8, 8, 8), mode="replicate")[..., down : down + SIZE, right : right + SIZE]
    video = video.flip(-1) if rng.random() < 0.5 else video
    contrast, brightness = 1 + rng.uniform(-0.3, 0.3), rng.uniform(-0.2, 0.2)
    noise = torch.from_numpy(rng.normal(0, rng.uniform(0, 0.05), video.shape)).float()
    return ((video - 0.5) * contrast + 0.5 + brightness + noise).clamp(0, 1)


@torch.no_grad()
def accuracy(classifier: VideoClassifier, clips: list[ClipFile]) -> float:
    """Fraction of clips whose action has the highest mean log probability over windows."""
    right = []
    for clip in clips:
        frames = frames_of(clip)
        windows = [window_at(len(frames), FRAMES, start) for start in window_starts(len(frames), FRAMES)]
        videos = torch.stack([to_video(frames[window]) for window in windows])
        right.append(int(classifier.log_probabilities(videos).mean(0).argmax()) == classifier.actions.index(clip.label))
    return float(np.mean(right))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of real clips")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--held-out", default="", help="test on these groups (actors): daria,lyova")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    held_out = arguments.held_out.split(",")
    clips = find_clips(arguments.clips).clips
    train([clip for clip in clips if clip.group not in held_out], arguments.steps)
    if tested := [clip for clip in clips if clip.group in held_out]:
        print(f"accuracy on {len(tested)} clips of others: {accuracy(make(), tested):.2f}")


if __name__ == "__main__":
    main()
