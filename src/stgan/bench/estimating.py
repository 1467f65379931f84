"""How long clips will take: a few iterations of the sampler, timed part by part.

The measured code is that of generation: `stgan.sampling.sample`, with a timer.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from stgan.bench import parts as timed
from stgan.bench.machine import PeakMemory, synchronize
from stgan.bench.operations import OperationCounter
from stgan.bench.parts import PartTimer
from stgan.errors import StganError
from stgan.networks import ImageGenerator, inflate
from stgan.networks.temporal import TemporalPadding
from stgan.sampling import PAPER, Action, Networks, PPGNSettings, SamplerSettings, sample

PARTS = (
    "generator_forward",
    "condition_forward",
    "condition_backward",
    "generator_backward",
    "reconstruction_generator",
    "reconstruction_encoder",
    "update",
)
"""Parts of an iteration, in order. Reconstruction is PPGN's R(h) = E(G(h)); update is everything else."""


@dataclass(frozen=True)
class TimedPart:
    """A part of an iteration. flops: floating point operations; a multiply-add counts as two."""

    seconds: float
    flops: int


@dataclass(frozen=True)
class Estimate:
    """What a batch of clips costs.

    parts:             the parts of the iteration with the median duration, by the names in `PARTS`.
    seconds_range:     the durations of the fastest and the slowest timed iteration.
    seconds_at_end:    the time to render the finished clips and to compute their probabilities.
    iterations:        the preset's number of iterations, of which `iterations_timed` were timed.
    frames, batch:     frames of a clip, and clips in the batch.
    weights_bytes:     memory of the weights of all networks.
    peak_memory_bytes: the peak of all memory, including the weights.
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
        """The time of all iterations and of the end, divided by the number of clips in the batch."""
        return (self.iterations * self.seconds_per_iteration + self.seconds_at_end) / self.batch

    def hours(self, num_videos: int) -> float:
        """The time for so many videos on this device."""
        return num_videos * self.seconds_per_video / 3600


def inflate_as_conv3d(
    image_generator: ImageGenerator, kernel: Sequence[float], padding: TemporalPadding
) -> Callable[[Tensor], Tensor]:
    """The video generator in its published form, with plain 3D convolutions; see `inflate`."""
    generator = inflate(image_generator, kernel, padding)
    return partial(generator.forward_conv3d, layers=generator.conv3d_layers())


def by_part(amounts: dict[timed.TimedPart, float]) -> dict[str, float]:
    """Rename the amounts of an iteration to the names in `PARTS`."""
    parts = dict.fromkeys(PARTS, 0.0)
    for (part, direction), amount in amounts.items():
        name = part if part in PARTS else f"{part}_{direction}"
        parts[name if name in PARTS else "update"] += amount
    return parts


def weights(networks: Networks) -> list[Tensor]:
    """The parameters and buffers of all networks, each once."""
    parts = (networks.image_generator, networks.encoder, *networks.condition)
    modules = nn.ModuleList(part for part in parts if isinstance(part, nn.Module))
    return [*modules.parameters(), *modules.buffers()]


def estimate(
    networks: Networks,
    preset: SamplerSettings = PAPER,
    *,
    frames: int = 16,
    batch: int = 1,
    iterations: int = 5,
    conv3d: bool = False,
    on_iteration: Callable[[], None] | None = None,
) -> Estimate:
    """Time some iterations of a preset; `STGAN.steering` has a model's networks.

    An iteration before them is not timed. It counts the operations and warms the device up.

    Args:
        networks: the networks, on the device to measure; all condition networks steer.
        preset: settings of PPGN's update on codes.
        frames: frames of a clip.
        batch: clips that are made together.
        iterations: number of timed iterations.
        conv3d: use the generator in its published form, with plain 3D convolutions, instead of factorised ones.
        on_iteration: called after each of the `iterations` + 1.

    Raises:
        StganError: the preset is not PPGN's update on codes, or a number is below 1.
    """
    if not isinstance(preset, PPGNSettings) or preset.inflation is None:
        raise StganError(f"only presets that optimise codes can be estimated, which {preset.name} does not; take paper")
    for name, number in (("frames", frames), ("clips in a batch", batch), ("iterations", iterations)):
        if number < 1:
            raise StganError(f"the number of {name} must be at least 1, not {number}")
    device = next(networks.image_generator.parameters()).device

    if conv3d:
        networks = replace(networks, inflate=inflate_as_conv3d)

    def run(count: int, read: Callable[[], float]) -> tuple[list[dict[str, float]], float]:
        """The amounts of so many iterations, in which no clip stops early, and the amount of all that follows them."""
        timer = PartTimer(read)

        def on_lap(*iteration: Any) -> None:
            timer.lap()
            if on_iteration:
                on_iteration()

        sample(
            networks, Action(networks.condition, 0), range(batch), replace(preset, iterations=count, goal=1.0),
            frames=frames, on_iteration=on_lap, timer=timer,
        )  # fmt: skip
        at_end = timer.lap()
        return [by_part(lap) for lap in timer.laps[:-1]], sum(at_end.values())

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
