"""The randomness of a training step. It is drawn for the whole batch, and each process keeps its share."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stgan.errors import StganError


class StepRandomness:
    """All randomness of a step, drawn from (seed, step).

    Every process draws for the whole batch and keeps its own rows, so `world_size` processes compute the same as one.
    Only dropout masks differ between processes.
    """

    def __init__(self, seed: int, step: int, rank: int = 0, world_size: int = 1, device: torch.device | str = "cpu"):
        self.seed, self.step, self.rank, self.world_size = seed, step, rank, world_size
        self.device = torch.device(device)
        self.rng = np.random.default_rng((seed, step))
        """The same in every process. It chooses the clips, frames and windows of the whole batch."""
        self._noise: torch.Generator | None = None

    def share(self, whole: np.ndarray | Tensor) -> slice:
        """This process's rows of the whole batch."""
        each = len(whole) // self.world_size
        return slice(self.rank * each, (self.rank + 1) * each)

    def normal(self, rows: int, *shape: int) -> Float[Tensor, "rows ..."]:
        """N(0, 1) for this process's `rows` of the batch, on the device."""
        return self._own(torch.randn(rows * self.world_size, *shape, generator=self._generator, device=self.device))

    def uniform(self, rows: int, *shape: int) -> Float[Tensor, "rows ..."]:
        """U(0, 1) for this process's `rows` of the batch, on the device."""
        return self._own(torch.rand(rows * self.world_size, *shape, generator=self._generator, device=self.device))

    def normal_like(self, values: Tensor) -> Tensor:
        """N(0, 1) in the shape of this process's `values`, whose rows are clips or frames of the batch."""
        return self.normal(*values.shape)

    def seed_dropout(self) -> None:
        """Seed PyTorch's global generator, which dropout uses."""
        torch.manual_seed(_mixed(self.seed, self.step, 1 + self.rank))

    @property
    def _generator(self) -> torch.Generator:
        if self._noise is None:
            self._noise = torch.Generator(self.device).manual_seed(_mixed(self.seed, self.step, 0))
        return self._noise

    def _own(self, whole: Tensor) -> Tensor:
        return whole[self.share(whole)]


def check_batch(batch_size: int, world_size: int) -> None:
    """Raise StganError unless the batch can be divided equally among the processes."""
    if batch_size % world_size:
        raise StganError(f"a batch of {batch_size} cannot be divided among {world_size} processes; choose a multiple")


def _mixed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
