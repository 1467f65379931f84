"""The sequence prior: which sequences of codes are people who act. It learns from clips, as nothing else of the
generator's side does; the `motion` preset samples from it, the paper's and the `robust` preset do not know it.

A denoiser for every noise level (Karras et al. 2022) of whole windows of codes, in the coordinates of the code prior:
a transformer over frames (Peebles & Xie 2023, in time instead of over patches), told the action or nothing (classifier-
free guidance, Ho & Salimans 2022).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from stgan.networks.configuration import Configuration


@dataclass(frozen=True)
class SequencePriorConfig(Configuration):
    """
    rank:        number of coordinates of a frame, that of the code prior.
    num_classes: actions that it can be told of.
    frames:      of the windows that it was trained on; longer sequences are denoised window by window.
    sigma_min, sigma_max: range of noise levels, in units of a coordinate's standard deviation.
    """

    network: ClassVar[str] = "sequence_prior"
    rank: int = 64
    num_classes: int = 101
    frames: int = 16
    width: int = 256
    depth: int = 6
    heads: int = 4
    dropout: float = 0.1
    sigma_min: float = 0.02
    sigma_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 <= self.depth <= 100:
            raise ValueError(f"the depth of a sequence prior is from 0 to 100 blocks, not {self.depth}")
        if self.heads < 1 or self.width % (2 * self.heads):
            raise ValueError(
                f"the width {self.width} of a sequence prior is no even multiple of its {self.heads} heads"
            )


class SequencePrior(nn.Module):
    """D(w; sigma, action) = E[w | w + sigma n, action] of sequences w of whitened codes."""

    def __init__(self, config: SequencePriorConfig | None = None) -> None:
        super().__init__()
        self.config = config or SequencePriorConfig()
        c = self.config
        self.embed = nn.Linear(c.rank, c.width)
        self.position = nn.Parameter(torch.randn(c.frames, c.width) * 0.02)
        self.noise = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, c.width))
        self.action = nn.Embedding(c.num_classes + 1, c.width)  # the last one: no action is told
        self.blocks = nn.ModuleList(_Block(c) for _ in range(c.depth))
        self.norm = nn.LayerNorm(c.width)
        self.out = nn.Linear(c.width, c.rank)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @property
    def any_action(self) -> int:
        """The number that tells no action."""
        return self.config.num_classes

    def denoise(
        self,
        noisy: Float[Tensor, "batch time rank"],
        sigma: float | Float[Tensor, "batch 1"],
        actions: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch time rank"]:
        """D(w; sigma, action), preconditioned as in Karras et al. 2022, Table 1, for data of unit variance.

        actions: numbers of the actions; None where it is not told. Sequences longer than `config.frames` are denoised
        in windows that overlap by half, and where they do, their estimates are averaged (Bar-Tal et al. 2023).
        """
        sigma = torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device).expand(len(noisy), 1)
        if actions is None:
            actions = torch.full((len(noisy),), self.any_action, device=noisy.device)
        condition = self.noise(sigma.log() / 4) + self.action(actions)
        sigma = sigma.unsqueeze(2)
        scale = (1 + sigma**2).rsqrt()
        estimate = over_windows(lambda x: self._network(x, condition), noisy * scale, self.config.frames)
        return scale**2 * noisy + sigma * scale * estimate

    def _network(
        self, x: Float[Tensor, "batch time rank"], condition: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch time rank"]:
        x = self.embed(x) + self.position[: x.shape[1]]
        for block in self.blocks:
            x = block(x, condition)
        return self.out(self.norm(x))


class _Block(nn.Module):
    """Attention over frames, then two layers on each; scaled and shifted before by the noise level and the action."""

    def __init__(self, config: SequencePriorConfig) -> None:
        super().__init__()
        self.heads, self.dropout, width = config.heads, config.dropout, config.width
        self.modulation = nn.Linear(width, 2 * width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.layers = nn.Sequential(
            nn.Linear(width, 3 * width), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(3 * width, width)
        )

    def forward(
        self, x: Float[Tensor, "batch time width"], condition: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch time width"]:
        scale, shift = self.modulation(F.silu(condition)).unsqueeze(1).chunk(2, -1)
        q, k, v = (
            self.qkv(self.norm1(x) * (1 + scale) + shift).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + F.dropout(self.merge(attended), self.dropout, self.training)
        return x + self.layers(self.norm2(x) * (1 + scale) + shift)


def over_windows(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch time n"], window: int
) -> Float[Tensor, "batch time n"]:
    """A function of sequences of up to `window` frames, of longer ones the mean over windows that overlap by half."""
    time = x.shape[1]
    if time <= window:
        return function(x)
    total, count = torch.zeros_like(x), x.new_zeros(time, 1)
    for start in [*range(0, time - window, max(1, window // 2)), time - window]:
        total[:, start : start + window] += function(x[:, start : start + window])
        count[start : start + window] += 1
    return total / count
