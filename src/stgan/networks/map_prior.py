"""The map prior: a diffusion model of windows of map codes. With one frame it is the frame prior, else a clip prior.

The frames of a window are expressed in an orthonormal basis over time (DCT), in which the best linear denoiser is a
product; a U-Net over space and time corrects it.

It denoises at any noise level (Karras et al. 2022), conditional on the action or not (classifier-free guidance, Ho &
Salimans 2022), and on the map of one frame of the window or not. Given a frame, it only has to know how people in this
scene move.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar, NamedTuple

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor, nn

from stgan.networks.configuration import Configuration, Depth, Dropout
from stgan.networks.unet import UNet
from stgan.spacing import window_starts


@dataclass(frozen=True)
class MapPriorConfig(Configuration):
    """
    channels:    of the codes at each place.
    grid:        height and width of the maps.
    frames:      of a window; longer sequences are denoised window by window.
    num_classes: number of actions.
    widths, depth, dropout: of the U-Net.
    sigma_min, sigma_max: range of noise levels, in units of the codes' standard deviation.
    """

    network: ClassVar[str] = "map_prior"
    channels: int = 16
    grid: int = 16
    frames: Annotated[int, Ge(1)] = 16
    num_classes: Annotated[int, Ge(0)] = 101
    widths: tuple[int, ...] = (192, 320)
    depth: Depth = 2
    embedding: int = 384
    dropout: Dropout = 0.1
    sigma_min: float = 0.02
    sigma_max: float = 20.0


class Given(NamedTuple):
    """What is known of windows: the map of one frame. Where `times` is negative, nothing is."""

    maps: Float[Tensor, "batch channels grid grid"]
    times: Int[Tensor, " batch"]


def with_frame(
    sequences: Float[Tensor, "batch time channels grid grid"], given: Given
) -> Float[Tensor, "batch time channels grid grid"]:
    """Sequences with the given frame in its place."""
    known = torch.arange(sequences.shape[1], device=sequences.device) == given.times[:, None]
    return torch.where(known[:, :, None, None, None], given.maps[:, None], sequences)


class MapPrior(nn.Module):
    """D(h; sigma, action, given) = E[h | h + sigma n, action, given] of windows h of maps.

    The network starts from the best linear denoiser, Wiener's, in an orthonormal basis over time and space, and
    learns the correction to it.

    mean:     of the maps of frames.
    variance: of a window's coefficients over time and space: around `mean` (0), and around a given frame (1).
    """

    mean: Float[Tensor, "channels grid grid"]
    variance: Float[Tensor, "2 frames channels grid grid"]

    def __init__(self, config: MapPriorConfig | None = None) -> None:
        super().__init__()
        self.config = config or MapPriorConfig()
        c = self.config
        self.register_buffer("mean", torch.zeros(c.channels, c.grid, c.grid))
        self.register_buffer("variance", torch.ones(2, c.frames, c.channels, c.grid, c.grid))
        self.noise = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, c.embedding))
        self.action = nn.Embedding(c.num_classes + 1, c.embedding)  # the last one: unconditional
        self.time = nn.Embedding(c.frames, c.embedding)
        self.since = nn.Embedding(2 * c.frames, c.embedding)  # frames since the given one; the last one: none is given
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(c.embedding, c.embedding), nn.SiLU())
        self.unet = UNet(3 * c.channels, c.channels, c.frames, c.grid, c.widths, c.depth, c.embedding, c.dropout)

    @property
    def time_basis(self) -> Float[Tensor, "frames frames"]:
        """Of coefficients over time, a row each."""
        return dct(self.config.frames, self.mean.dtype, self.mean.device)

    @property
    def space_basis(self) -> Float[Tensor, "grid grid"]:
        """Of coefficients over height and over width, a row each."""
        return dct(self.config.grid, self.mean.dtype, self.mean.device)

    @property
    def any_action(self) -> int:
        """The action number for unconditional denoising."""
        return self.config.num_classes

    def nothing_given(self, batch: int) -> Given:
        """For windows of which no frame is known."""
        return Given(self.mean.expand(batch, -1, -1, -1), torch.full((batch,), -1, device=self.mean.device))

    def coefficients(
        self, h: Float[Tensor, "batch frames channels grid grid"], given: Given
    ) -> Float[Tensor, "batch frames channels grid grid"]:
        """Windows over time: each minus its given frame, or minus `mean`, in the orthonormal basis."""
        return self.over_frequency(h - self._center(given))

    def windows(
        self, x: Float[Tensor, "batch frames channels grid grid"], given: Given
    ) -> Float[Tensor, "batch frames channels grid grid"]:
        """The windows of coefficients."""
        return self.over_time(x) + self._center(given)

    def over_frequency(self, x: Tensor) -> Tensor:
        """Frames in the orthonormal basis over time."""
        with exact(x):
            return torch.einsum("kt,btcyx->bkcyx", self.time_basis, x)

    def over_time(self, x: Tensor) -> Tensor:
        """The frames that have these coefficients over time."""
        with exact(x):
            return torch.einsum("kt,bkcyx->btcyx", self.time_basis, x)

    def spectrum(self, x: Tensor) -> Tensor:
        """Maps in the orthonormal basis over space."""
        return self.space_basis @ x @ self.space_basis.mT

    def start(
        self, noise: Float[Tensor, "batch frames channels grid grid"], sigma: float
    ) -> Float[Tensor, "batch frames channels grid grid"]:
        """Windows to denoise from noise level sigma on, made of N(0, 1): they have the mean and the variances that
        windows with this noise have, some of which no noise level hides.
        """
        with exact(noise):
            x = self.space_basis.mT @ ((self.variance[0] + sigma**2).sqrt() * noise) @ self.space_basis
        return self.windows(x, self.nothing_given(len(x)))

    def denoise(
        self,
        noisy: Float[Tensor, "batch time channels grid grid"],
        sigma: float,
        actions: Int[Tensor, " batch"] | None = None,
        given: Given | None = None,
    ) -> Float[Tensor, "batch time channels grid grid"]:
        """D of sequences of any length. A given frame is part of the result as it is.

        Longer sequences are denoised in windows that overlap by half, and overlapping estimates are averaged
        (Bar-Tal et al. 2023). Shorter ones are padded with their last frame.
        """
        given = given or self.nothing_given(len(noisy))
        time, frames = noisy.shape[1], self.config.frames
        padding = [noisy[:, -1:]] * (frames - time)
        padded = torch.cat([noisy, *padding], 1)
        total, count = torch.zeros_like(padded), padded.new_zeros(padded.shape[1], 1, 1, 1)
        for start in window_starts(padded.shape[1], frames):
            times = given.times - start
            inside = Given(given.maps, torch.where((times >= 0) & (times < frames), times, -1))
            window = slice(start, start + frames)
            total[:, window] += self.denoise_window(padded[:, window], sigma, actions, inside)
            count[window] += 1
        return with_frame((total / count)[:, :time], given)

    def denoise_window(
        self,
        noisy: Float[Tensor, "batch frames channels grid grid"],
        sigma: float,
        actions: Int[Tensor, " batch"] | None,
        given: Given,
    ) -> Float[Tensor, "batch frames channels grid grid"]:
        """D of windows, of a given frame too."""
        x = self.coefficients(noisy, given)
        x, _ = self.estimate(x, noisy.new_full((len(noisy),), sigma), actions, given)
        return self.windows(x, given)

    def estimate(
        self,
        x: Float[Tensor, "batch frames channels grid grid"],
        sigma: Float[Tensor, " batch"],
        actions: Int[Tensor, " batch"] | None,
        given: Given,
    ) -> tuple[Tensor, Float[Tensor, "batch frames channels 1 1"]]:
        """D in coefficients, and the deviation of its error as the linear denoiser expects it:

            D = v / (v + sigma^2) x + c_out F,  c_out^2 = mean of v sigma^2 / (v + sigma^2)

        with v the variance of each coefficient, means over space. The network that returns F gets the frames of x, of
        the first term and the given frame, each scaled to a variance of about 1.
        """
        frames = self.config.frames
        if actions is None:
            actions = torch.full((len(x),), self.any_action, device=x.device)
        known, times = given.times >= 0, torch.arange(frames, device=x.device)
        v, s2 = self.variance[known.long()], sigma.square().view(-1, 1, 1, 1, 1)
        shrunk = v / (v + s2)
        c_out = (shrunk * s2).mean((-2, -1), keepdim=True).sqrt()
        with exact(x):
            linear = self.space_basis.mT @ (shrunk * self.spectrum(x)) @ self.space_basis
        since = torch.where(known[:, None], times - given.times[:, None] + frames - 1, 2 * frames - 1)
        embedding = self.noise(sigma.log().unsqueeze(1) / 4) + self.action(actions)
        embedding = self.mlp(embedding[:, None] + self.since(since) + self.time(times))
        deviation, centre = v.mean((1, 3, 4), keepdim=True), self._center(given)
        seen = [
            self.over_time(x) / (deviation + s2).sqrt(),
            self.over_time(linear) / deviation.sqrt(),
            ((centre - self.mean) / self.variance[0].mean((0, 2, 3), keepdim=True).sqrt()).expand_as(x),
        ]
        correction = self.unet(torch.cat(seen, 2), embedding).to(x.dtype)
        return linear + c_out * self.over_frequency(correction), c_out

    def _center(self, given: Given) -> Float[Tensor, "batch 1 channels grid grid"]:
        """What coefficients are relative to."""
        return torch.where((given.times >= 0).view(-1, 1, 1, 1), given.maps, self.mean).unsqueeze(1)


def exact(x: Tensor) -> AbstractContextManager[None]:
    """Without automatic bfloat16, in which the sum of what is large and what is small loses the latter."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


@cache
def dct(size: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "size size"]:
    """The orthonormal DCT-II: one row a frequency, the constant one first."""
    k, t = torch.arange(size, device="cpu", dtype=torch.float64)[:, None], torch.arange(size, device="cpu")
    rows = torch.cos(math.pi * k * (2 * t + 1) / (2 * size)) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows.to(device, dtype)
