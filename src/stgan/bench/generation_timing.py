"""What a clip of a model costs: seconds, memory, and which network the time goes to.

`stgan.sampling.sample` runs as it does when it generates, with a timer.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stgan.bench.machine import PeakMemory, synchronize
from stgan.bench.operations import OperationCounter
from stgan.bench.parts import REST, PartTimer, TimedPart
from stgan.devices import machine
from stgan.errors import StganError
from stgan.pipeline import BOTH, FRAMES, STGAN
from stgan.sampling import Action, SamplerSettings, clip_seed, sample
from stgan.version import __version__

FORMAT = 1
NETWORKS = ("prior", "generator", "condition")
"""The prior is the denoiser, or in the preset `paper` the reconstruction R(h) = E(G(h))."""

_RECONSTRUCTION = ("reconstruction_generator", "reconstruction_encoder")


@dataclass(frozen=True)
class BatchCost:
    """Of a clip that is made in a batch of so many; the mean over batches, one of each action.

    parts:             seconds in each of `NETWORKS` and the `REST`, forward and backward.
    steps:             up the gradient, on average, of at most the preset's iterations.
    flops:             floating point operations, two a multiply-add; of another clip of each action.
    peak_memory_bytes: held at most beside the weights, by the whole batch.
    """

    batch: int
    seconds: float
    parts: dict[str, float]
    steps: float
    flops: float
    peak_memory_bytes: int

    @property
    def outside_networks(self) -> float:
        """Share of the time."""
        return self.parts[REST] / sum(self.parts.values())


def by_network(amounts: dict[TimedPart, float]) -> dict[str, float]:
    """Amounts of each of `NETWORKS` and the `REST`, forward and backward together."""
    parts = dict.fromkeys((*NETWORKS, REST), 0.0)
    for (part, _), amount in amounts.items():
        parts["prior" if part in _RECONSTRUCTION else part] += amount
    return parts


def measure(
    model: STGAN,
    preset: SamplerSettings,
    batch: int,
    *,
    actions: Sequence[str] = (),
    condition: str = BOTH,
    frames: int = FRAMES,
    seed: int = 0,
    on_batch: Callable[[], None] = lambda: None,
) -> BatchCost:
    """A batch of each action, timed, after one of the first that is not and clips whose operations are counted.

    actions: none stands for all of the model's.

    Raises:
        StganError: an unknown action, or a batch without clips.
    """
    steering = model.steering(actions, condition=condition, frames=frames)
    names, networks = list(steering.objectives), steering.networks
    if batch < 1:
        raise StganError(f"a batch has at least 1 clip, not {batch}")

    def run(action: str, clips: range, read: Callable[[], float]) -> tuple[dict[str, float], float]:
        timer, phi = PartTimer(read), Action(networks.condition, model.actions.index(action))
        seeds = [clip_seed(seed, action, index) for index in clips]
        steps = sample(networks, phi, seeds, preset, frames=frames, timer=timer).steps
        return by_network(timer.lap()), float(steps.float().mean())

    def seconds() -> float:
        synchronize(model.device)
        return time.perf_counter()

    with OperationCounter() as operations:
        for action in names:
            run(action, range(1), seconds)
    with PeakMemory(model.device) as memory:
        run(names[0], range(batch), seconds)
    taken, steps = [], []
    for action in names:
        seconds_of, made = run(action, range(batch, 2 * batch), seconds)
        taken.append(seconds_of)
        steps.append(made)
        on_batch()
    parts = {part: statistics.mean(of[part] for of in taken) / batch for part in (*NETWORKS, REST)}
    return BatchCost(
        batch=batch,
        seconds=sum(parts.values()),
        parts=parts,
        steps=statistics.mean(steps),
        flops=operations.total / len(names),
        peak_memory_bytes=memory.bytes,
    )


def record(
    costs: Sequence[BatchCost],
    curve: Sequence[dict[str, Any]],
    model: STGAN,
    preset: SamplerSettings,
    matmul_flops: float,
) -> dict[str, Any]:
    """What `stgan bench generate --json` writes, for any program to read; keys may be added.

    batches: by the number of clips that are made at a time, the fields of `BatchCost`, and
        seconds_per_clip, seconds_per_iteration: of a clip; an iteration is one of the preset's
        outside_networks: share of the time outside all networks
        seconds_at_floor: of a clip, if all its operations ran at the rate of a matrix product
    curve:   for numbers of iterations, what an evaluator says of clips and what a clip took (see
             `stgan.studies.schedules`); empty if it was not asked for.
    matmul_gflops: the rate of a large matrix product of float32, in 10^9 operations a second.
    """
    return {
        "format": FORMAT,
        "version": __version__,
        "model": model.name,
        "preset": preset.name,
        "iterations": preset.iterations,
        "matmul_gflops": matmul_flops / 1e9,
        "batches": {
            str(cost.batch): {
                "seconds_per_clip": cost.seconds,
                "seconds_per_iteration": cost.seconds / preset.iterations,
                "outside_networks": cost.outside_networks,
                "seconds_at_floor": cost.flops / matmul_flops,
                **asdict(cost),
            }
            for cost in costs
        },
        "curve": list(curve),
        **machine(model.device),
    }
