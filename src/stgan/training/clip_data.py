"""Clips in memory as training batches: frames for the image networks, windows for the video networks."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Annotated, NamedTuple

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

_PIXELS_AT_ONCE = 1 << 20  # of frames that a network is shown; more of them only take memory


def group_of(clip: ClipFile) -> str:
    """The group of a clip; without a known one it is a group of its own."""
    return clip.group or f"{clip.label}/{clip.path.stem}"


@dataclass(frozen=True)
class ClipData:
    """Decoded clips: uint8 arrays "time height width 3" with a label, a group, a split and a SHA-256 of each.

    sources: the SHA-256 of each clip's frames before they were brought to one size (`ClipFacts.sha256`).
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
        """The clips of a folder by way of a cache; a clip of no known group is one of its own."""
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
        """The clips for which `keep` is true; actions and their numbers stay."""
        return ClipData(
            list(compress(self.clips, keep)),
            list(compress(self.labels, keep)),
            list(compress(self.groups, keep)),
            list(compress(self.splits, keep)),
            list(compress(self.hashes, keep)),
            list(compress(self.sources, keep)),
            self.actions,
            self.length,
        )

    def split_groups(self, held_out: Sequence[str]) -> tuple["ClipData", "ClipData"]:
        """(the rest, the clips of the held-out groups)."""
        out = [group in held_out for group in self.groups]
        return self.select([not held for held in out]), self.select(out)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the frames, labels and groups: what a training sees."""
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
        """Random frames, actions equally often: half of them mirrored, all shifted by up to `shift` pixels each way.

        Of `count` frames this process's share, as bytes: `to_images` turns them into RGB on the device.
        foreground: whether to find out what moves, which takes a look at all clips; else nothing does.
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
        """Of each clip what stands still: the median over time, int16 "height width 3"."""
        return [np.median(clip, 0).astype(np.int16) for clip in self.clips]

    @cached_property
    def _frame_labels(self) -> tuple[np.ndarray, np.ndarray]:
        """The action of each frame in view, and the probability to draw it."""
        labels = np.array([self.labels[c] for c, _ in self._frames_in_view])
        weights = 1 / np.bincount(labels, minlength=len(self.actions))[labels]
        return labels, weights / weights.sum()

    def windows(
        self, count: int, random: StepRandomness
    ) -> tuple[UInt8[Tensor, "share time height width 3"], Int[Tensor, " share"]]:
        """Random windows with the person in view, and their actions; actions equally often.

        Of `count` windows this process's share, as bytes: `to_videos` turns them into RGB on the device.
        """
        windows = self.window_frames(count, random)
        videos = torch.from_numpy(np.stack([self.clips[clip][frames] for clip, frames in windows]))
        return videos, torch.tensor([self.labels[clip] for clip, _ in windows])

    def window_frames(self, count: int, random: StepRandomness) -> list[tuple[int, Int[np.ndarray, " time"]]]:
        """The clips and the numbers of the frames of `windows`."""
        labels = np.array(self.labels)
        weights = 1 / np.bincount(labels, minlength=len(self.actions))[labels]
        chosen = random.rng.choice(len(labels), count, p=weights / weights.sum())
        places = random.rng.random(count)  # a clip's window does not depend on the other clips' lengths
        mine = random.share(chosen)
        return [
            (clip, self._window(clip, place))
            for clip, place in zip(chosen[mine].tolist(), places[mine].tolist(), strict=True)
        ]

    def _window(self, clip: int, place: float) -> Int[np.ndarray, " time"]:
        """The window at this place, in [0, 1), among all of the clip."""
        starts = self._starts[clip]
        return window_at(len(self.clips[clip]), self.length, starts[int(place * len(starts))])

    def test_windows(self, clip: int, most: int = 10) -> Float[Tensor, "n 3 time height width"]:
        """Up to `most` windows of one clip, evenly spread over those with the person in view.

        Fewer of a short clip, whose windows would share more than half of their frames.
        """
        frames, starts = self.clips[clip], self._starts[clip]
        count = min(most, len(starts), 1 + -(-2 * (starts[-1] - starts[0]) // self.length))
        chosen = [window_at(len(frames), self.length, starts[i]) for i in evenly_spread(len(starts), count)]
        return to_videos(torch.from_numpy(frames[np.stack(chosen)]))


class Frames(NamedTuple):
    """A batch of frames, as bytes, with what is known of each."""

    images: UInt8[Tensor, "n height width 3"]
    actions: Int[Tensor, " n"]
    clips: Int[Tensor, " n"]
    """The numbers of their clips."""
    foreground: UInt8[Tensor, "n height width"]
    """How far a pixel is from its clip's median over time, 0-255: high where something moves."""


def shifted(
    frames: UInt8[np.ndarray, "time height width ..."], down: int, right: int, mirror: bool
) -> UInt8[np.ndarray, "time height width ..."]:
    """Frames moved by so many pixels, edges replicated, and then turned left to right or not."""
    height, width = frames.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return frames[:, rows[:, None], columns[:: -1 if mirror else 1]]


def emphasis(foreground: UInt8[Tensor, "n height width"], strength: float) -> Float[Tensor, "n 1 height width"]:
    """Weights of pixels: 1 for what stands still, 1 + `strength` for what moves; sensor noise is below the ramp."""
    return 1 + strength * ((foreground.float() - 16) / 32).clamp(0, 1).unsqueeze(1)


def to_images(frames: UInt8[Tensor, "n height width 3"]) -> Float[Tensor, "n 3 height width"]:
    """Bytes, on whatever device, as RGB in [0, 1]."""
    return frames.permute(0, 3, 1, 2).float() / 255


def to_bytes(images: Float[Tensor, "n 3 height width"]) -> UInt8[Tensor, "n 3 height width"]:
    """RGB in [0, 1] as bytes, for many images in memory."""
    return (255 * images).round().byte()


def to_videos(frames: UInt8[Tensor, "n time height width 3"]) -> Float[Tensor, "n 3 time height width"]:
    """Bytes, on whatever device, as RGB in [0, 1]."""
    return frames.permute(0, 4, 1, 2, 3).float() / 255


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a video that leave its action alone; one draw a video, the same for all its frames.

    mirror: probability of a left-right flip. shift: up to so many pixels each way (edges replicated).
    zoom: up to this fraction in or out. brightness, contrast, colour: up to this fraction. blur: largest Gaussian
    sigma in pixels. noise: largest standard deviation in [0, 1] units. Classifiers that judge generated clips
    need blur, noise and colour, or they call every softly rendered clip unknown.
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
        # All frames of a clip move together, so time rides along as channels.
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
    """Blur each video over space with its own standard deviation in pixels (0 leaves it alone).

    reach: pixels on each side that a pixel takes part of; twice the largest standard deviation at least.
    """
    batch, channels, time, height, width = videos.shape
    offsets = torch.arange(-reach, reach + 1, device=videos.device, dtype=videos.dtype)
    kernels = torch.exp(-0.5 * (offsets / sigmas.clamp(min=1e-3).unsqueeze(1)) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).unsqueeze(1)
    x = videos.reshape(1, batch, -1, height, width).transpose(1, 2).flatten(0, 1)  # batch as channels
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), kernels.unsqueeze(2), groups=batch)
    x = F.conv2d(F.pad(x, (0, 0, reach, reach), mode="replicate"), kernels.unsqueeze(3), groups=batch)
    return x.transpose(0, 1).reshape(batch, channels, time, height, width)
