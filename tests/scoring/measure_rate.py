"""How near `stgan evaluate` comes to the rate at which its network alone judges clips that are in memory already.

python tests/scoring/measure_rate.py DIR    (clips of stgan generate, or a folder of real ones)

Prints clips a second for the bundled evaluator and for C3D of the published size, and the ratio to the network's own.
"""

import sys
import time
from pathlib import Path

import torch

from stgan.checkpoints import find_model
from stgan.checkpoints.checkpoint import Checkpoint
from stgan.networks import C3D
from stgan.scoring import Evaluator, Protocol, as_evaluator, find_evaluator, folder_clips, measure
from stgan.video import center_window, read_video, to_float


def own_rate(evaluator: Evaluator, videos: torch.Tensor) -> float:
    """The network's own clips a second: the best of several batch sizes, on all of PyTorch's threads."""
    rates = []
    for batch_size in (1, 2, 4, 8, 16, 4, 8):
        started = time.perf_counter()
        for part in videos.split(batch_size):
            evaluator.classify(part)
        rates.append(len(videos) / (time.perf_counter() - started))
    return max(rates)


def main(folder: Path) -> None:
    clips = folder_clips(folder)
    torch.manual_seed(0)
    published = as_evaluator(Checkpoint(C3D().eval().requires_grad_(False), hash="random weights"), "published C3D")
    for evaluator, most in ((find_evaluator("evaluator", find_model("weizmann")), 360), (published, 24)):
        chosen = clips[:most]
        decoded = [read_video(clip.path).frames for clip in chosen[:16]]
        videos = [to_float(frames[center_window(len(frames), 16)]) for frames in decoded]
        videos = torch.stack([video for video in videos if video.shape == videos[0].shape])
        own = own_rate(evaluator, videos)
        for protocol, passes in ((Protocol(), 1), (Protocol(shuffled=1.0), 2)):
            started = time.perf_counter()
            measure(chosen, evaluator, protocol)
            rate = len(chosen) / (time.perf_counter() - started)
            print(
                f"{evaluator.name}, {passes} {'passes' if passes > 1 else 'pass'} a clip: {rate:.1f} clips a second, "
                f"{passes * rate / own:.2f} of the network alone ({own:.1f} a second)"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
