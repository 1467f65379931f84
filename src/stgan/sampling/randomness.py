"""Random numbers of single clips, which do not depend on the batch, the order or the number of machines."""

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


def clip_seed(seed: int, action: str, index: int) -> int:
    """The seed of the clip with this index: a 63-bit hash of (seed, action, index)."""
    digest = hashlib.sha256(f"{seed}/{action}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class ClipRandomness:
    """One stream of random numbers for each clip. A draw stacks one sample of each stream along the batch.

    Numbers are drawn on the CPU in float32, so that they are the same on a GPU and with another precision.
    """

    def __init__(
        self, seeds: Sequence[int], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.device, self.dtype = device, dtype

    def of(self, clips: Int[Tensor, " some"]) -> "ClipRandomness":
        """The streams of some of the clips. They are shared: draws from either object advance them."""
        random = ClipRandomness((), self.device, self.dtype)
        random.generators = [self.generators[clip] for clip in clips.tolist()]
        return random

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.generators)

    def normal(self, *shape: int) -> Float[Tensor, "batch ..."]:
        """N(0, 1)."""
        draws = [torch.randn(*shape, generator=generator, dtype=torch.float32) for generator in self.generators]
        return torch.stack(draws).to(self.device, self.dtype)

    def uniform(self, *shape: int) -> Float[Tensor, "batch ..."]:
        """U(0, 1)."""
        draws = [torch.rand(*shape, generator=generator, dtype=torch.float32) for generator in self.generators]
        return torch.stack(draws).to(self.device, self.dtype)
