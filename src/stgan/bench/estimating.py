"""How long clips will take: a few iterations of the sampler as it generates, timed part by part.

It is `stgan.sampling.sample` that runs. Where one part of an iteration ends and the next begins is told by hooks on the
networks and on the gradient of the video.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from stgan.bench.machine import PeakMemory, synchronize
from stgan.bench.operations import OperationCounter
from stgan.errors import StganError
from stgan.sampling import PAPER, Action, Networks, Preset, sample
from stgan.sampling.spaces import CodeSpace, Space

PARTS = (
    "generator_forward",
    "condition_forward",
    "condition_backward",
    "generator_backward",
    "reconstruction_generator",
    "reconstruction_encoder",
    "update",
)
"""Of an iteration, in the order in which they run. Reconstruction is PPGN's R(h) = E(G(h)); update is all the rest."""


@dataclass(frozen=True)
class TimedPart:
    """Of an iteration. flops: floating point operations, two a multiply-add."""

    seconds: float
    flops: int


@dataclass(frozen=True)
class Estimate:
    """What a batch of clips costs.

    parts:             of the iteration of median duration, by the names in `PARTS`.
    seconds_range:     of the fastest and the slowest iteration that was timed.
    seconds_at_end:    to render the finished clips and to ask what steered about them.
    iterations:        of a clip by the preset; `iterations_timed` of them were timed.
    weights_bytes:     of all networks together.
    peak_memory_bytes: the same, and what was held at most beside them.
    """

    parts: dict[str, TimedPart]
    seconds_range: tuple[float, float]
    seconds_at_end: float
    iterations: int
    iterations_timed: int
    frames: int
    batch: int
    weights_bytes: int
    peak_memory_bytes: int

    @property
    def seconds_per_iteration(self) -> float:
        return sum(part.seconds for part in self.parts.values())

    @property
    def flops_per_iteration(self) -> int:
        return sum(part.flops for part in self.parts.values())

    @property
    def seconds_per_video(self) -> float:
        """All its iterations and the end, as part of a batch."""
        return (self.iterations * self.seconds_per_iteration + self.seconds_at_end) / self.batch

    def hours(self, num_videos: int) -> float:
        """For so many videos on this device."""
        return num_videos * self.seconds_per_video / 3600


class Split:
    """Shares what `read` counts, seconds or operations, out among the parts of an iteration.

    laps: of each iteration the amount of each part.
    """

    def __init__(self, read: Callable[[], float], on_lap: Callable[[], None] | None = None) -> None:
        self.read, self.on_lap = read, on_lap
        self.laps: list[dict[str, float]] = []
        self.present, self.part, self.last = dict.fromkeys(PARTS, 0.0), PARTS[0], read()

    def enter(self, part: str) -> None:
        """From here on it is this part."""
        now = self.read()
        self.present[self.part] += now - self.last
        self.part, self.last = part, now

    def lap(self, *iteration: Any) -> None:
        """An iteration ends, and the next one begins with its first part."""
        self.enter(PARTS[0])
        self.laps.append(self.present)
        self.present = dict.fromkeys(PARTS, 0.0)
        if self.on_lap:
            self.on_lap()

    def end(self) -> float:
        """The amount since the last lap."""
        self.enter("update")
        return sum(self.present.values())

    @contextmanager
    def hooked(self, networks: Networks) -> Iterator[None]:
        """Reconstruction is what calls the image generator as it is, and the encoder."""
        encoder, generator = networks.encoder, networks.image_generator
        hooks = [
            generator.register_forward_pre_hook(lambda *_: self.enter("reconstruction_generator")),
            encoder.register_forward_pre_hook(lambda *_: self.enter("reconstruction_encoder")),
            encoder.register_forward_hook(lambda *_: self.enter("update")),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


@dataclass(frozen=True)
class WatchedAction(Action):
    """An action that says when the condition networks begin and end, and when the gradient has passed them."""

    split: Split

    def __call__(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, " batch"]:
        self.split.enter("condition_forward")
        if videos.requires_grad:
            videos.register_hook(lambda gradient: self.split.enter("generator_backward"))
        value = super().__call__(videos)
        self.split.enter("condition_backward")
        return value


def as_published(space: Space) -> None:
    """Let a space's generator be plain 3D convolutions."""
    assert isinstance(space, CodeSpace)
    generator = space.generator
    form = partial(generator.forward_conv3d, layers=generator.conv3d_layers())
    space.videos = form  # type: ignore[method-assign]


def weights(networks: Networks) -> list[Tensor]:
    """Of all networks together, each once."""
    parts = (networks.image_generator, networks.encoder, *networks.condition)
    modules = nn.ModuleList(part for part in parts if isinstance(part, nn.Module))
    return [*modules.parameters(), *modules.buffers()]


def estimate(
    networks: Networks,
    preset: Preset = PAPER,
    *,
    frames: int = 16,
    batch: int = 1,
    iterations: int = 5,
    conv3d: bool = False,
    on_iteration: Callable[[], None] | None = None,
) -> Estimate:
    """Time some iterations of clips by a preset; `STGAN.networks` has a model's networks.

    One more iteration comes first, unclocked: it counts the operations, and warms the device up.

    Args:
        networks: on the device that is asked about; all its condition networks steer.
        frames: of a clip.
        batch: clips at a time.
        iterations: to be timed.
        conv3d: with the generator as published, of plain 3D convolutions, instead of factorised.
        on_iteration: called after each of the `iterations` + 1.

    Raises:
        StganError: the preset has no iterations that are all alike, or a number is below 1.
    """
    if preset.space != "codes":
        raise StganError(f"only presets in the space of codes can be estimated, which {preset.name} is not; take paper")
    for name, number in (("frames", frames), ("clips in a batch", batch), ("iterations", iterations)):
        if number < 1:
            raise StganError(f"the number of {name} must be at least 1, not {number}")
    device = next(networks.image_generator.parameters()).device

    def run(count: int, read: Callable[[], float]) -> tuple[list[dict[str, float]], float]:
        """So many iterations, none of which a clip skips because it is done; and what came after them."""
        split = Split(read, on_iteration)
        settings = replace(preset, iterations=count, goal=1.0)
        with split.hooked(networks):
            phi = WatchedAction(networks.condition, 0, split)
            sample(
                networks, phi, range(batch), settings, frames=frames, on_iteration=split.lap,
                on_space=as_published if conv3d else lambda space: None,
            )  # fmt: skip
        return split.laps, split.end()

    def clock() -> float:
        synchronize(device)
        return time.perf_counter()

    with PeakMemory(device) as memory:
        with OperationCounter() as operations:
            (counted,), _ = run(1, lambda: operations.total)
        laps, at_end = run(iterations, clock)
    totals = [sum(lap.values()) for lap in laps]
    middle = laps[totals.index(statistics.median_low(totals))]
    held = sum(each.nbytes for each in weights(networks))
    return Estimate(
        parts={name: TimedPart(middle[name], int(counted[name])) for name in PARTS},
        seconds_range=(min(totals), max(totals)),
        seconds_at_end=at_end,
        iterations=preset.iterations,
        iterations_timed=iterations,
        frames=frames,
        batch=batch,
        weights_bytes=held,
        peak_memory_bytes=held + memory.bytes,
    )
