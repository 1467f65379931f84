"""What a clip of a model costs: seconds, memory, and which network the time goes to.

It is `stgan.sampling.sample` that runs, as it generates. Where a network begins and ends is told by its callers in the
space of the preset, and on the way back by the gradients that pass between networks.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any

from jaxtyping import Float
from torch import Tensor

from stgan.bench.machine import PeakMemory, synchronize
from stgan.bench.operations import OperationCounter
from stgan.devices import machine
from stgan.errors import StganError
from stgan.pipeline import BOTH, FRAMES, STGAN
from stgan.sampling import Action, Preset, clip_seed, sample
from stgan.sampling.spaces import Space
from stgan.version import __version__

FORMAT = 1
NETWORKS = ("prior", "generator", "condition")
"""The prior is what keeps h natural: denoisers, or in the paper's preset its reconstruction through the encoder."""
REST = "rest"
"""Everything else: steps, noise, what is done to the video before the condition networks see it, bookkeeping."""

_PARTS_OF_A_SPACE = {"codes": "prior", "reconstruct": "prior", "project": "prior", "videos": "generator"}


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


class Clock:
    """Time, or what else `read` tells, shared out among parts: what passes belongs to the part that was entered."""

    def __init__(self, read: Callable[[], float]) -> None:
        self.read, self.part = read, REST
        self.parts = dict.fromkeys((*NETWORKS, REST), 0.0)
        self.last = read()

    def enter(self, part: str) -> str:
        """From here on it is this part; returns the one before."""
        now = self.read()
        self.parts[self.part] += now - self.last
        self.last, before, self.part = now, self.part, part
        return before

    @contextmanager
    def within(self, part: str) -> Iterator[None]:
        before = self.enter(part)
        try:
            yield
        finally:
            self.enter(before)

    def watch(self, space: Space) -> None:
        """Tell the networks of a space apart, and their gradients."""
        for name, part in _PARTS_OF_A_SPACE.items():
            setattr(space, name, self._watched(part, getattr(space, name)))

    def _watched(self, part: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @wraps(function)
        def watched(x: Tensor, *iteration: int) -> Tensor:
            with self.within(part):
                output = function(x, *iteration)
            self.on_gradient(output, part)
            self.on_gradient(x, REST)
            return output

        return watched

    def on_gradient(self, tensor: Tensor, part: str) -> None:
        """Once the gradient with respect to it is known, it is this part's turn."""
        if tensor.requires_grad:
            tensor.register_hook(lambda gradient: void(self.enter(part)))


def void(value: object) -> None:
    """Hooks return nothing, lest they replace a gradient."""


@dataclass(frozen=True)
class WatchedAction(Action):
    """An action whose condition networks are told apart from the rest."""

    clock: Clock

    def __call__(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, " batch"]:
        with self.clock.within("condition"):
            value = super().__call__(videos)
        self.clock.on_gradient(value, "condition")
        self.clock.on_gradient(videos, REST)
        return value


def measure(
    model: STGAN,
    preset: Preset,
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
    names = model.check_actions(list(actions))
    if batch < 1:
        raise StganError(f"a batch has at least 1 clip, not {batch}")
    networks = model.networks(condition, frames)

    def run(action: str, clips: range, read: Callable[[], float]) -> tuple[dict[str, float], float]:
        clock = Clock(read)
        phi = WatchedAction(networks.condition, model.actions.index(action), clock)
        seeds = [clip_seed(seed, action, index) for index in clips]
        steps = sample(networks, phi, seeds, preset, frames=frames, on_space=clock.watch).steps
        clock.enter(REST)
        return clock.parts, float(steps.float().mean())

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
    costs: Sequence[BatchCost], curve: Sequence[dict[str, Any]], model: STGAN, preset: Preset, matmul_flops: float
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
