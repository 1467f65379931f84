"""Windows that are read from clips' files when needed, for sets that are too large to keep decoded.

A window depends only on its random generator and its own file, not on other clips.
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
from stgan.training.clip_data import to_videos
from stgan.video import ClipFile, random_window, read_video, windows_in_view
from stgan.video.decoding import in_order


class WindowReader:
    """Reads windows of `length` consecutive frames. A clip is decoded completely once, and kept if memory allows.

    Of other clips only the length is kept. From then on they are decoded only to the end of the wanted window, which
    more than halves the work.

    in_view: take only windows with somebody in view (see `windows_in_view`). Every clip is then decoded completely.
    memory: bytes for decoded clips. The first clips that are read are kept.
    """

    def __init__(self, length: int, in_view: bool = False, memory: int = 1 << 30) -> None:
        self.length, self.in_view = length, in_view
        self._memory_left = memory
        self._starts: dict[Path, list[int]] = {}
        self._kept: dict[Path, np.ndarray] = {}
        self._frames: dict[Path, int] = {}

    def window(
        self, path: Path, rng: np.random.Generator, *, crop: float = 1.0, least: int = 1
    ) -> UInt8[np.ndarray, "time height width 3"]:
        """A random window of a clip. All its frames are cropped to the same random part.

        Args:
            crop: at least 1; height and width of the part are smaller than the frame's by this factor.
            least: smallest side of the part in pixels, unless the frame is smaller.

        Raises:
            VideoError: the file cannot be read.
        """
        frames = self._consecutive(path, rng)
        sides = frames.shape[1:3]
        height, width = parts = [max(min(side, least), round(side / crop)) for side in sides]
        top, left = (int(rng.integers(side - part + 1)) for side, part in zip(sides, parts, strict=True))
        return np.ascontiguousarray(frames[:, top : top + height, left : left + width])

    def fixed_window(self, clip: ClipFile, seed: int, number: int = 0) -> UInt8[np.ndarray, "time height width 3"]:
        """A test window with whole frames, drawn from the seed, the clip's name and a number."""
        name = f"{seed} {clip.label}/{clip.path.name}{f' {number}' * (number > 0)}"
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.window(clip.path, np.random.default_rng(int(digest[:16], 16)))

    def fixed_windows(
        self, clips: Sequence[ClipFile], seed: int, each: int = 1
    ) -> Iterator[UInt8[np.ndarray, "_time _height _width 3"]]:
        """`each` windows of each clip, in the order of the clips. Several are decoded in parallel."""
        wanted = [(clip, number) for clip in clips for number in range(each)]
        with closing(in_order(lambda item: self.fixed_window(item[0], seed, item[1]), wanted)) as windows:
            yield from windows

    def _consecutive(self, path: Path, rng: np.random.Generator) -> np.ndarray:
        whole = self._kept.get(path)
        if whole is None and (self.in_view or path not in self._frames):
            whole = read_video(path).frames
            self._frames[path] = len(whole)
            if whole.nbytes <= self._memory_left:  # parallel threads may exceed it by a clip each
                self._memory_left -= whole.nbytes
                self._kept[path] = whole
        if whole is not None:
            return whole[self._window(path, whole, rng)]
        wanted = random_window(self._frames[path], self.length, rng)
        first = int(wanted.min())
        return read_video(path, part=range(first, int(wanted.max()) + 1)).frames[wanted - first]

    def _window(self, path: Path, whole: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Frame numbers of a random window of a decoded clip."""
        if not self.in_view or len(whole) <= self.length:
            return random_window(len(whole), self.length, rng)
        if path not in self._starts:
            self._starts[path] = windows_in_view(whole, self.length)
        return int(rng.choice(self._starts[path])) + np.arange(self.length)


def fitted(
    windows: Iterable[UInt8[Tensor, "time _height _width 3"]], preprocessing: Preprocessing
) -> Float[Tensor, "n 3 time size size"]:
    """Windows of any sizes as one batch of RGB in [0, 1], resized as the network would do it."""
    videos = (to_videos(window.unsqueeze(0)) for window in windows)
    return torch.cat([unflatten_time(preprocessing.resize(flatten_time(video)), 1) for video in videos])


def in_epochs(count: int, step: int, batch_size: int, seed: int) -> list[int]:
    """The clips of a step. Each epoch uses all `count` clips in a new random order."""
    places = range(step * batch_size, (step + 1) * batch_size)
    orders = {
        epoch: np.random.default_rng((seed, epoch, 1)).permutation(count) for epoch in {p // count for p in places}
    }
    return [int(orders[place // count][place % count]) for place in places]
