"""The sequence prior: a diffusion model of sequences of codes, for the motion of people.

It is trained on clips. Encoder, code prior and generator are trained on single frames. The `motion` preset samples
from it; the `paper` and `robust` presets do not use it.

It denoises whole windows of codes at any noise level (Karras et al. 2022), conditional on the action or
unconditional (classifier-free guidance, Ho & Salimans 2022).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor, nn

from stgan.networks.configuration import Configuration, Depth, Dropout
from stgan.spacing import window_starts


@dataclass(frozen=True)
class SequencePriorConfig(Configuration):
    """
    frames:      frames of a window; longer sequences are denoised window by window.
    rank:        number of principal coordinates of a window.
    scene_rank:  number of these coordinates that describe the window's mean over time; the others describe the change
                 around it. If there are many scenes, the coordinates of largest variance would otherwise describe
                 only scenes and no motion. 0: no such separation.
    num_classes: number of actions.
    sigma_min, sigma_max: range of noise levels, in units of a coordinate's root mean variance.
    """

    network: ClassVar[str] = "sequence_prior"
    code_size: int = 4096
    frames: Annotated[int, Ge(1)] = 16
    rank: int = 384
    scene_rank: Annotated[int, Ge(0)] = 0
    num_classes: int = 101
    width: int = 512
    depth: Depth = 6
    dropout: Dropout = 0.1
    sigma_min: float = 0.02
    sigma_max: float = 40.0

    def __post_init__(self) -> None:
        if self.scene_rank and self.scene_rank > min(self.rank, self.code_size):
            raise ValueError(f"scene_rank must be at most the rank and the code size, not {self.scene_rank}")


class SequencePrior(nn.Module):
    """D(h; sigma, action) = E[h | h + sigma n, action] of sequences h of codes z = mean + unit h.

    A window has the principal coordinates y = B h; the part of h outside their span is dropped. The rows of B are
    orthonormal: those of `scene`, repeated over time, and those of `basis`. The variances of y differ by orders of
    magnitude, and their mean is 1. With them the network starts from the best linear denoiser (Wiener's) and learns
    the correction to it.
    """

    mean: Float[Tensor, " code"]
    unit: Float[Tensor, ""]
    variance: Float[Tensor, " rank"]

    def __init__(self, config: SequencePriorConfig | None = None) -> None:
        super().__init__()
        self.config = config or SequencePriorConfig()
        c = self.config
        self.register_buffer("mean", torch.zeros(c.code_size))
        self.register_buffer("unit", torch.ones(()))
        self.register_buffer("variance", torch.ones(c.rank))
        # Not a buffer, so that this largest part is stored in half precision, as weights are.
        self.basis = nn.Parameter(torch.zeros(c.rank - c.scene_rank, c.frames * c.code_size), requires_grad=False)
        if c.scene_rank:
            self.scene = nn.Parameter(torch.zeros(c.scene_rank, c.code_size), requires_grad=False)
        self.embed = nn.Linear(c.rank, c.width)
        self.noise = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, c.width))
        self.action = nn.Embedding(c.num_classes + 1, c.width)  # the last one: unconditional
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(c.width), nn.Linear(c.width, c.width), nn.SiLU(), nn.Dropout(c.dropout),
                nn.Linear(c.width, c.width),
            )
            for _ in range(c.depth)
        )  # fmt: skip
        self.modulations = nn.ModuleList(nn.Linear(c.width, c.width) for _ in range(c.depth))
        self.norm = nn.LayerNorm(c.width)
        self.out = nn.Linear(c.width, c.rank)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @property
    def any_action(self) -> int:
        """The action number for unconditional denoising."""
        return self.config.num_classes

    def codes(self, h: Float[Tensor, "batch time code"]) -> Float[Tensor, "batch time code"]:
        """z of h. Negative entries become 0, because codes are the output of a ReLU."""
        return F.relu(self.mean + self.unit * h)

    def coordinates(self, codes: Float[Tensor, "batch frames code"]) -> Float[Tensor, "batch rank"]:
        """y of windows of codes."""
        return self.project((codes - self.mean) / self.unit)

    def project(self, h: Float[Tensor, "batch frames code"]) -> Float[Tensor, "batch rank"]:
        """y = B h."""
        y = h.flatten(1) @ self.basis.T
        if not self.config.scene_rank:
            return y
        return torch.cat([h.sum(1) @ self.scene.T / math.sqrt(self.config.frames), y], 1)

    def expand(self, y: Float[Tensor, "batch rank"]) -> Float[Tensor, "batch frames code"]:
        """h = B^T y."""
        scene = self.config.scene_rank
        h = (y[:, scene:] @ self.basis).unflatten(1, (self.config.frames, -1))
        if not scene:
            return h
        return h + (y[:, :scene] @ self.scene / math.sqrt(self.config.frames)).unsqueeze(1)

    def denoise(
        self, noisy: Float[Tensor, "batch time code"], sigma: float, actions: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time code"]:
        """D(h; sigma, action) of sequences of any length.

        Longer sequences are denoised in windows that overlap by half, and overlapping estimates are averaged
        (Bar-Tal et al. 2023). Shorter ones are padded with their last frame.
        """

        def window(h: Float[Tensor, "batch frames code"]) -> Float[Tensor, "batch frames code"]:
            return self.expand(self.denoise_coordinates(self.project(h), noisy.new_full((len(h), 1), sigma), actions))

        missing = self.config.frames - noisy.shape[1]
        if missing > 0:
            return window(torch.cat([noisy, noisy[:, -1:].expand(-1, missing, -1)], 1))[:, :-missing]
        return over_windows(window, noisy, self.config.frames)

    def denoise_coordinates(
        self,
        noisy: Float[Tensor, "batch rank"],
        sigma: Float[Tensor, "batch 1"],
        actions: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch rank"]:
        """D(y; sigma, action) of windows, preconditioned as in Karras et al. 2022, Table 1, coordinate by coordinate:

            c_skip = v / (v + sigma^2), c_out = sigma sqrt(v / (v + sigma^2)), c_in = 1 / sqrt(v + sigma^2)

        with v the variance of each coordinate instead of one for all data. actions: numbers of the actions; None:
        unconditional.
        """
        if actions is None:
            actions = torch.full((len(noisy),), self.any_action, device=noisy.device)
        c_in = (self.variance + sigma**2).rsqrt()
        condition = F.silu(self.noise(sigma.log() / 4) + self.action(actions))
        x = self.embed(noisy * c_in)
        for block, modulation in zip(self.blocks, self.modulations, strict=True):
            x = x + block(x + modulation(condition))
        estimate = self.out(self.norm(x))
        return self.variance * c_in**2 * noisy + sigma * self.variance.sqrt() * c_in * estimate


def over_windows(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch time n"], window: int
) -> Float[Tensor, "batch time n"]:
    """Apply a function of `window` frames to longer sequences: the mean over windows that overlap by half."""
    time = x.shape[1]
    if time == window:
        return function(x)
    total, count = torch.zeros_like(x), x.new_zeros(time, 1)
    for start in window_starts(time, window):
        total[:, start : start + window] += function(x[:, start : start + window])
        count[start : start + window] += 1
    return total / count
