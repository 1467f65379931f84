"""Clips in memory, and training batches from them: frames for image networks, windows for video networks."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from stgan.records import Fraction
from stgan.spacing import evenly_spread
from stgan.training.ranges import Pixels
from stgan.training.step_randomness import StepRandomness
from stgan.video import ClipCache, ClipFile, ClipFolder, window_at, windows_in_view
from stgan.video.decoding import ClipFacts

_PIXELS_AT_ONCE = 1 << 20  # per batch of frames; larger batches need more memory and are not faster


def group_of(clip: ClipFile) -> str:
    """The group of a clip. A clip without a known group is its own group."""
    return clip.group or f"{clip.label}/{clip.path.stem}"


@dataclass(frozen=True)
class ClipData:
    """Decoded clips as uint8 arrays "time height width 3". The other lists have one entry for each clip.

    hashes:  the SHA-256 of each clip's frames.
    sources: the SHA-256 of each clip's frames before they were resized (`ClipFacts.sha256`).
    """

    clips: list[np.ndarray]
    labels: list[int]
    groups: list[str]
    splits: list[str | None]
    hashes: list[str]
    sources: list[str]
    actions: tuple[str, ...]
    length: int
    """Frames in a window."""

    @classmethod
    def load(cls, folder: ClipFolder, cache: ClipCache, length: int = 16) -> "ClipData":
        """Load the clips of a folder through a cache."""
        actions = folder.actions
        return cls(
            cache.load(folder),
            [actions.index(clip.label) for clip in folder.clips],
            [group_of(clip) for clip in folder.clips],
            [clip.split for clip in folder.clips],
            cache.hashes(folder),
            [facts.sha256 for facts in cache.inspect(folder) if isinstance(facts, ClipFacts)],
            actions,
            length,
        )

    def select(self, keep: Sequence[bool]) -> "ClipData":
        """The clips for which `keep` is true. Actions and their numbers do not change."""
        names = ("clips", "labels", "groups", "splits", "hashes", "sources")
        kept: dict[str, Any] = {name: list(compress(getattr(self, name), keep)) for name in names}
        return replace(self, **kept)

    def split_groups(self, held_out: Sequence[str]) -> tuple["ClipData", "ClipData"]:
        """The clips of the other groups, and those of the held-out groups."""
        out = [group in held_out for group in self.groups]
        return self.select([not held for held in out]), self.select(out)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a training uses: frames, labels, groups."""
        seen = (self.hashes, self.labels, self.groups, self.actions, self.length)
        return hashlib.sha256(repr(seen).encode()).hexdigest()

    @cached_property
    def _starts(self) -> list[list[int]]:
        return [windows_in_view(clip, self.length) for clip in self.clips]

    @cached_property
    def _frames_in_view(self) -> list[tuple[int, int]]:
        """(clip, frame) of each frame that lies in a window with the person in view."""
        pairs = []
        for number, clip in enumerate(self.clips):
            seen = {t for start in self._starts[number] for t in range(start, start + self.length)}
            pairs += [(number, t) for t in sorted(seen) if t < len(clip)]
        return pairs

    def frame_batches(
        self, most: int = 50_000
    ) -> Iterator[tuple[Float[Tensor, "n 3 height width"], Int[Tensor, " n"]]]:
        """Up to `most` frames with the person in view, evenly spread over all, and the numbers of their clips."""
        pairs = self._frames_in_view
        chosen = evenly_spread(len(pairs), min(most, len(pairs)))
        batch_size = max(16, _PIXELS_AT_ONCE // math.prod(self.clips[0].shape[1:3])) if self.clips else 16
        for part in np.array_split(chosen, -(-len(chosen) // batch_size)):
            frames = np.stack([self.clips[c][t] for c, t in (pairs[i] for i in part)])
            yield to_images(torch.from_numpy(frames)), torch.tensor([pairs[i][0] for i in part])

    def frames(self, count: int, random: StepRandomness, shift: int = 0, foreground: bool = True) -> "Frames":
        """This process's share of `count` random frames, as bytes (see `to_images`).

        All actions are equally frequent. Half of the frames are mirrored. All are shifted by up to `shift` pixels in
        each direction. foreground: whether to compute `Frames.foreground`, which needs all clips; otherwise it is 0.
        """
        labels, weights = self._frame_labels
        chosen = random.rng.choice(len(labels), count, p=weights)
        mirrored = random.rng.random(count) < 0.5
        shifts = random.rng.integers(-shift, shift + 1, (count, 2))
        mine = random.share(chosen)
        frames, moving = [], []
        for i, mirror, (down, right) in zip(
            chosen[mine].tolist(), mirrored[mine].tolist(), shifts[mine].tolist(), strict=True
        ):
            clip, t = self._frames_in_view[i]
            frame = self.clips[clip][t : t + 1]
            moves = np.zeros(frame.shape[:3], np.uint8)
            if foreground:
                moves = np.abs(frame.astype(np.int16) - self._backgrounds[clip]).max(-1).astype(np.uint8)
            frames.append(shifted(frame, down, right, mirror)[0])
            moving.append(shifted(moves, down, right, mirror)[0])
        return Frames(
            torch.from_numpy(np.stack(frames)),
            torch.from_numpy(labels[chosen[mine]]),
            torch.tensor([self._frames_in_view[i][0] for i in chosen[mine]]),
            torch.from_numpy(np.stack(moving)),
        )

    @cached_property
    def _backgrounds(self) -> list[np.ndarray]:
        """The background of each clip: the median over time, int16 "height width 3"."""
        return [np.median(clip, 0).astype(np.int16) for clip in self.clips]

    @cached_property
    def _frame_labels(self) -> tuple[np.ndarray, np.ndarray]:
        """The action of each frame in view, and the probability of drawing this frame."""
        labels = np.array([self.labels[c] for c, _ in self._frames_in_view])
        weights = 1 / np.bincount(labels, minlength=len(self.actions))[labels]
        return labels, weights / weights.sum()

    def windows(
        self, count: int, random: StepRandomness
    ) -> tuple[UInt8[Tensor, "share time height width 3"], Int[Tensor, " share"]]:
        """This process's share of `count` random windows with the person in view, as bytes (see `to_videos`).

        The second tensor is their actions. All actions are equally frequent.
        """
        windows = self.window_frames(count, random)
        videos = torch.from_numpy(np.stack([self.clips[clip][frames] for clip, frames in windows]))
        return videos, torch.tensor([self.labels[clip] for clip, _ in windows])

    def window_frames(self, count: int, random: StepRandomness) -> list[tuple[int, Int[np.ndarray, " time"]]]:
        """Clip number and frame numbers of each window that `windows` would return."""
        labels = np.array(self.labels)
        weights = 1 / np.bincount(labels, minlength=len(self.actions))[labels]
        chosen = random.rng.choice(len(labels), count, p=weights / weights.sum())
        places = random.rng.random(count)  # so that a clip's window does not depend on other clips' lengths
        mine = random.share(chosen)
        return [
            (clip, self._window(clip, place))
            for clip, place in zip(chosen[mine].tolist(), places[mine].tolist(), strict=True)
        ]

    def _window(self, clip: int, place: float) -> Int[np.ndarray, " time"]:
        """The window at a relative place in [0, 1) among all windows of the clip."""
        starts = self._starts[clip]
        return window_at(len(self.clips[clip]), self.length, starts[int(place * len(starts))])

    def test_windows(self, clip: int, most: int = 10) -> Float[Tensor, "n 3 time height width"]:
        """Up to `most` windows of one clip, evenly spread over those with the person in view.

        A short clip has fewer, so that windows share at most about half of their frames.
        """
        frames, starts = self.clips[clip], self._starts[clip]
        count = min(most, len(starts), 1 + -(-2 * (starts[-1] - starts[0]) // self.length))
        chosen = [window_at(len(frames), self.length, starts[i]) for i in evenly_spread(len(starts), count)]
        return to_videos(torch.from_numpy(frames[np.stack(chosen)]))


class Frames(NamedTuple):
    """A batch of frames as bytes, with annotations of each frame."""

    images: UInt8[Tensor, "n height width 3"]
    actions: Int[Tensor, " n"]
    clips: Int[Tensor, " n"]
    """The numbers of their clips."""
    foreground: UInt8[Tensor, "n height width"]
    """Distance of each pixel from its clip's median over time, 0-255. It is high where something moves."""


def shifted(
    frames: UInt8[np.ndarray, "time height width ..."], down: int, right: int, mirror: bool
) -> UInt8[np.ndarray, "time height width ..."]:
    """Frames shifted by so many pixels, with replicated edges, and then mirrored left to right if wanted."""
    height, width = frames.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return frames[:, rows[:, None], columns[:: -1 if mirror else 1]]


def emphasis(foreground: UInt8[Tensor, "n height width"], strength: float) -> Float[Tensor, "n 1 height width"]:
    """Weights of pixels: 1 for resting pixels and sensor noise, up to 1 + `strength` for moving pixels."""
    return 1 + strength * ((foreground.float() - 16) / 32).clamp(0, 1).unsqueeze(1)


def to_images(frames: UInt8[Tensor, "n height width 3"]) -> Float[Tensor, "n 3 height width"]:
    """Bytes, on any device, as RGB in [0, 1]."""
    return frames.permute(0, 3, 1, 2).float() / 255


def to_videos(frames: UInt8[Tensor, "n time height width 3"]) -> Float[Tensor, "n 3 time height width"]:
    """Bytes, on any device, as RGB in [0, 1]."""
    return frames.permute(0, 4, 1, 2, 3).float() / 255


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a video that do not change its action. All frames of a video change alike.

    mirror: probability of a left-right flip. shift: largest shift in pixels, in each direction (edges replicated).
    zoom: largest fraction in or out. brightness, contrast, colour: largest fraction. blur: largest Gaussian sigma in
    pixels. noise: largest standard deviation, for pixels in [0, 1]. Without blur, noise and colour, classifiers do not
    recognize generated clips, which are softer than real ones.
    """

    mirror: Fraction = 0.5
    shift: Pixels = 6
    zoom: Fraction = 0.1
    brightness: Fraction = 0.15
    contrast: Fraction = 0.2
    colour: Fraction = 0.1
    blur: Annotated[float, Interval(ge=0, le=100)] = 1.0
    noise: Fraction = 0.04

    def __call__(
        self, videos: Float[Tensor, "batch 3 time height width"], random: StepRandomness
    ) -> Float[Tensor, "batch 3 time height width"]:
        batch, _, time, height, width = videos.shape
        draw = lambda *shape: 2 * random.uniform(batch, *shape) - 1  # noqa: E731
        flip = torch.where(random.uniform(batch) < self.mirror, -1.0, 1.0)
        zoom = 1 + self.zoom * draw()
        shift = draw(2) * 2 * self.shift / torch.tensor([width, height], device=videos.device)
        theta = torch.zeros(batch, 2, 3, device=videos.device)
        theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = flip * zoom, zoom, shift
        grid = F.affine_grid(theta, [batch, 3, height, width], align_corners=False)
        # All frames of a clip move alike, so frames are treated as channels.
        moved = F.grid_sample(videos.flatten(1, 2), grid, padding_mode="border", align_corners=False)
        videos = moved.unflatten(1, (3, time))
        sigmas = self.blur * random.uniform(batch)
        if self.blur:
            videos = gaussian_blur(videos, sigmas, max(3, math.ceil(2 * self.blur)))
        mean = videos.mean((2, 3, 4), keepdim=True)
        videos = (videos - mean) * (1 + self.contrast * draw(1, 1, 1, 1)) + mean
        videos = videos * (1 + self.colour * draw(3, 1, 1, 1)) + self.brightness * draw(1, 1, 1, 1)
        if self.noise:
            videos = videos + self.noise * random.uniform(batch, 1, 1, 1, 1) * random.normal_like(videos)
        return videos.clamp(0, 1)


def gaussian_blur(
    videos: Float[Tensor, "batch 3 time height width"], sigmas: Float[Tensor, " batch"], reach: int = 3
) -> Float[Tensor, "batch 3 time height width"]:
    """Blur each video over space with its own standard deviation in pixels (0: no blur).

    reach: radius of the kernel in pixels; at least twice the largest standard deviation.
    """
    batch, channels, time, height, width = videos.shape
    offsets = torch.arange(-reach, reach + 1, device=videos.device, dtype=videos.dtype)
    kernels = torch.exp(-0.5 * (offsets / sigmas.clamp(min=1e-3).unsqueeze(1)) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).unsqueeze(1)
    x = videos.reshape(1, batch, -1, height, width).transpose(1, 2).flatten(0, 1)  # batch as channels
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), kernels.unsqueeze(2), groups=batch)
    x = F.conv2d(F.pad(x, (0, 0, reach, reach), mode="replicate"), kernels.unsqueeze(3), groups=batch)
    return x.transpose(0, 1).reshape(batch, channels, time, height, width)
