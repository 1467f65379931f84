"""Windows read from clips' files as they are needed, for sets that are too large to be kept decoded.

A window depends on a generator of random numbers and its own file alone, not on the clips that it is read beside.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from stgan.networks.preprocessing import Preprocessing, flatten_time, unflatten_time
from stgan.training.data import to_videos
from stgan.video import ClipFile, random_window, read_video
from stgan.video.decoding import in_order


class WindowReader:
    """Windows of `length` consecutive frames. It remembers how long clips are: a clip is decoded as a whole once, and
    from then on to the end of the window that is wanted, which more than halves the work.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self._frames: dict[Path, int] = {}

    def window(
        self, path: Path, rng: np.random.Generator, *, zoom: float = 1.0, mirror: float = 0.0, least: int = 1
    ) -> UInt8[np.ndarray, "time height width 3"]:
        """A random window of a clip, of each frame the same random part.

        Args:
            zoom: at least 1; the part is so many times smaller than the frame, on both sides.
            mirror: the probability of a left-right flip, in [0, 1].
            least: pixels that no side of the part goes below, unless the frame does.

        Raises:
            VideoError: the file cannot be read.
        """
        frames = self._consecutive(path, rng)
        sides = frames.shape[1:3]
        height, width = parts = [max(min(side, least), round(side / zoom)) for side in sides]
        top, left = (int(rng.integers(side - part + 1)) for side, part in zip(sides, parts, strict=True))
        step = -1 if rng.random() < mirror else 1
        return np.ascontiguousarray(frames[:, top : top + height, left : left + width][:, :, ::step])

    def fixed_window(self, clip: ClipFile, seed: int) -> UInt8[np.ndarray, "time height width 3"]:
        """The one random window by which a clip is judged: whole frames, drawn from the seed and the clip's name."""
        name = f"{seed} {clip.label}/{clip.path.name}".encode("utf-8", "surrogateescape")
        return self.window(clip.path, np.random.default_rng(int(hashlib.sha256(name).hexdigest()[:16], 16)))

    def fixed_windows(
        self, clips: Sequence[ClipFile], seed: int
    ) -> Iterator[UInt8[np.ndarray, "_time _height _width 3"]]:
        """`fixed_window` of each clip, a few of them decoded side by side."""
        with closing(in_order(lambda clip: self.fixed_window(clip, seed), clips)) as windows:
            yield from windows

    def _consecutive(self, path: Path, rng: np.random.Generator) -> np.ndarray:
        count = self._frames.get(path)
        if count is None:
            whole = read_video(path).frames
            self._frames[path] = len(whole)
            return whole[random_window(len(whole), self.length, rng)]
        wanted = random_window(count, self.length, rng)
        first = int(wanted.min())
        return read_video(path, part=range(first, int(wanted.max()) + 1)).frames[wanted - first]


def fitted(
    windows: Iterable[UInt8[Tensor, "time _height _width 3"]], preprocessing: Preprocessing
) -> Float[Tensor, "n 3 time size size"]:
    """Windows of any sizes as one batch of RGB in [0, 1], each brought to the network's size as the network would."""
    videos = (to_videos(window.unsqueeze(0)) for window in windows)
    return torch.cat([unflatten_time(preprocessing.resize(flatten_time(video)), 1) for video in videos])


def in_epochs(count: int, step: int, batch_size: int, seed: int) -> list[int]:
    """Which of `count` clips a step takes: all of them in random order, then all in another, and so on."""
    places = range(step * batch_size, (step + 1) * batch_size)
    orders = {
        epoch: np.random.default_rng((seed, epoch, 1)).permutation(count) for epoch in {p // count for p in places}
    }
    return [int(orders[place // count][place % count]) for place in places]
