"""From an objective and seeds to videos, by the sampler that the settings belong to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.errors import NoMemoryError, is_out_of_memory
from stgan.networks.preprocessing import to_unit_range
from stgan.sampling.guided import GuidedSettings, guided
from stgan.sampling.ppgn import PPGNSettings, ppgn
from stgan.sampling.randomness import ClipRandomness
from stgan.sampling.settings import SamplerSettings
from stgan.sampling.spectral import SpectralSettings, spectral
from stgan.sampling.starts import Init
from stgan.sampling.task import Networks, Objective, OnIteration, Optimised, Task, Timer, untimed

Settings = PPGNSettings | GuidedSettings | SpectralSettings
"""Of any sampler, as records of settings are read."""

SAMPLERS: dict[type[SamplerSettings], Callable[[Task, Any], Optimised]] = {
    PPGNSettings: ppgn, GuidedSettings: guided, SpectralSettings: spectral,
}  # fmt: skip
"""The sampler of each class of settings."""


@dataclass(frozen=True)
class Samples:
    """Generated videos, RGB in [0, 1].

    codes: that the generator made them of; None without a generator.
    value: Phi of the videos without transforms: the log probability of the action, or the activation of the target.
    steps: up the gradient that each clip took.
    """

    videos: Float[Tensor, "batch 3 time height width"]
    codes: Float[Tensor, "batch time *code"] | None
    value: Float[Tensor, " batch"]
    steps: Int[Tensor, " batch"]

    def of(self, place: int) -> "Samples":
        """One clip of the batch, as a batch of one."""
        kept = slice(place, place + 1)
        codes = None if self.codes is None else self.codes[kept]
        return Samples(self.videos[kept], codes, self.value[kept], self.steps[kept])


def sample(
    networks: Networks,
    phi: Objective,
    seeds: Sequence[int],
    settings: SamplerSettings,
    *,
    frames: int = 16,
    init: Init | None = None,
    on_iteration: OnIteration | None = None,
    timer: Timer = untimed,
) -> Samples:
    """One video a seed that maximizes phi. A clip depends on its own seed only, up to rounding.

    Args:
        frames: of a video; an `init` has as many.
        init: start from this video instead of from noise alone.
        timer: calls the networks, in order to measure them (see `Timer`).

    Raises:
        StganError: the networks lack the prior that the settings need, or they cannot start from a video; or there is
            not enough memory for so many clips at a time. The message then names a smaller batch.
    """
    try:
        return _sample(networks, phi, seeds, settings, frames, init, on_iteration, timer)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    half = len(seeds) // 2  # not tried here: where memory is short, oneDNN can end the process instead of raising
    raise NoMemoryError(
        f"there is not enough memory to make {len(seeds)} clips of {frames} frames at a time; "
        + (f"try a batch of {half} (--batch {half})" if half else "make shorter clips, or use a smaller model")
    )


def _sample(
    networks: Networks,
    phi: Objective,
    seeds: Sequence[int],
    settings: SamplerSettings,
    frames: int,
    init: Init | None,
    on_iteration: OnIteration | None,
    timer: Timer,
) -> Samples:
    like = next(networks.image_generator.parameters())
    task = Task(networks, phi, ClipRandomness(seeds, like.device, like.dtype), frames, init, on_iteration, timer)
    with torch.no_grad():
        made = SAMPLERS[type(settings)](task, settings)
        videos = to_unit_range(made.videos)
        return Samples(videos, made.codes, timer("condition", phi, videos), made.steps)
