"""Show where a condition network looks: cover parts of a clip with a grey square and measure how the probability falls.

    stgan generate golf --model jhmdb --out clips
    python examples/what_it_looks_at.py clips/golf/*.mp4 --model jhmdb --out golf.png

The square covers the same place in all frames (Zeiler and Fergus, "Visualizing and Understanding Convolutional
Networks", ECCV 2014). The picture has two rows a clip: the clip itself, and the clip with those places bright where
the square reduces the action's log probability most. The action is the name of the clip's folder, as `stgan generate`
writes it.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stgan import STGAN
from stgan.errors import StganError
from stgan.networks import VideoClassifier
from stgan.video import read_video, resize_and_crop, to_uint8, window_at
from stgan.video.strips import Strip, save_strips

FRAMES, PLACES = 16, 9
COVER = 0.25  # side of the grey square, as a share of the frame's


@torch.no_grad()
def cost_of_covering(classifier: VideoClassifier, video: Tensor, action: int) -> Tensor:
    """Decrease of the action's log probability, "PLACES PLACES", for the square centred at each place.

    video: RGB "3 time height width" in [0, 1].
    """
    side = video.shape[-1]
    half = COVER * side / 2
    middles = torch.linspace(half, side - half, PLACES)
    whole = classifier.log_probabilities(video[None])[0, action]
    cost = torch.empty(PLACES, PLACES)
    for row, y in enumerate(middles):
        covered = video.expand(PLACES, -1, -1, -1, -1).clone()
        for column, x in enumerate(middles):
            covered[column, :, :, int(y - half) : int(y + half), int(x - half) : int(x + half)] = 0.5
        cost[row] = whole - classifier.log_probabilities(covered)[:, action]
    return cost


def shown(video: Tensor, cost: Tensor) -> Tensor:
    """The video, dark where covering does not reduce the log probability."""
    heat = F.interpolate(cost.clamp(min=0)[None, None], video.shape[-1], mode="bicubic")[0, 0].clamp(min=0)
    return video * (0.15 + 0.85 * heat / heat.max().clamp(min=1e-6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+", help="clips in folders that are named after their actions")
    parser.add_argument("--model", default="weizmann", help="bundled name or folder")
    parser.add_argument("--condition", default="lrcn", help="the condition network to examine")
    parser.add_argument("--out", type=Path, default=Path("what_it_looks_at.png"))
    arguments = parser.parse_args()
    try:
        draw(arguments.clips, STGAN.from_pretrained(arguments.model), arguments.condition, arguments.out)
    except (StganError, OSError) as error:
        parser.error(str(error))


def draw(clips: list[Path], model: STGAN, condition: str, out: Path) -> None:
    """Write the picture of some clips. Raises StganError for an unreadable clip or a missing network."""
    steering = model.steering(condition=condition, frames=FRAMES)
    classifiers, side = steering.networks.condition, steering.side
    if len(classifiers) > 1:
        raise StganError(f"name one condition network: {' or '.join(steering.classifiers)}")
    strips = []
    for path in clips:
        action = path.parent.name
        if action not in model.actions:
            raise StganError(f"{path}: its folder is named after none of the actions {', '.join(model.actions)}")
        frames = read_video(path).frames
        middle = window_at(len(frames), FRAMES, max(0, len(frames) - FRAMES) // 2)
        video = torch.from_numpy(resize_and_crop(frames[middle], side)).permute(3, 0, 1, 2) / 255
        cost = cost_of_covering(classifiers[0], video.to(model.device), model.actions.index(action))
        row, column = divmod(int(cost.argmax()), PLACES)
        print(f"{path}: covering row {row + 1}, column {column + 1} of {PLACES} costs {cost.max():.2f}; all over, "
              f"{cost.mean():.2f}")  # fmt: skip
        strips += [Strip(action, to_uint8(each)) for each in (video, shown(video, cost))]
    save_strips(out, strips, columns=4)


if __name__ == "__main__":
    main()
