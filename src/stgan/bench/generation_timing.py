"""What a clip of a model costs: the time in each network, and memory.

The measured code is that of generation: `stgan.sampling.sample`, with a timer.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stgan.bench.machine import PeakMemory, synchronize
from stgan.bench.operations import OperationCounter
from stgan.bench.parts import REST, PartTimer, TimedPart
from stgan.defaults import BOTH, FRAMES
from stgan.devices import machine
from stgan.errors import StganError
from stgan.pipeline import STGAN
from stgan.sampling import Action, SamplerSettings, clip_seed, sample
from stgan.version import __version__

FORMAT = 1
NETWORKS = ("prior", "generator", "condition")
"""The prior is the denoiser; in the preset `paper` it is the reconstruction R(h) = E(G(h))."""

_RECONSTRUCTION = ("reconstruction_generator", "reconstruction_encoder")


@dataclass(frozen=True)
class BatchCost:
    """What a clip costs in a batch of so many clips; the mean over one batch of each action.

    seconds:           time of a clip.
    parts:             the part of it in each of `NETWORKS` and the `REST`, forward and backward.
    steps:             mean number of steps up the gradient; at most the preset's number of iterations.
    flops:             floating point operations (a multiply-add counts as two) of one other clip of each action.
    peak_memory_bytes: the peak of the memory besides the weights, of the whole batch.
    """

    batch: int
    seconds: float
    parts: dict[str, float]
    steps: float
    flops: float
    peak_memory_bytes: int

    @property
    def outside_networks(self) -> float:
        """The share of the time that is spent outside the networks."""
        return self.parts[REST] / sum(self.parts.values())


def by_network(amounts: dict[TimedPart, float]) -> dict[str, float]:
    """The amounts of each of `NETWORKS` and the `REST`, as sums of forward and backward."""
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
    """Time one batch of each action. Before that, one clip of each counts operations, and a first batch warms up.

    Args:
        actions: default: all actions of the model.
        on_batch: called after each timed batch.

    Raises:
        StganError: an unknown action, or a batch without clips.
    """
    steering = model.steering(actions, condition=condition, frames=frames, preset=preset)
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
    """What `stgan bench generate --json` writes. Later versions may add keys.

    batches: for each batch size the fields of `BatchCost`, and
        seconds_per_clip, seconds_per_iteration: time of a clip, and the same divided by the preset's iterations
        outside_networks: share of the time outside all networks
        seconds_at_floor: time of a clip if all its operations ran at the rate of a matrix product
    curve:   for several numbers of iterations, an evaluator's scores and the time of a clip (see
             `stgan.studies.schedules`); empty without --curve.
    matmul_gflops: the rate of a large float32 matrix product, in 10^9 operations per second.
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
