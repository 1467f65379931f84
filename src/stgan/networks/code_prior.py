"""The code prior: a model of the codes of natural frames.

PPGN (Nguyen et al. 2017) keeps its codes natural by a step toward R(h), the output of a denoising autoencoder:
(R(h) - h) / sigma^2 is the gradient of the log density of noisy codes (Alain & Bengio 2014). Here R is one denoiser
for all noise levels (Karras et al. 2022), so sampling can start from noise. It works on the whitened coordinates of
the codes' principal components, because ReLU codes are sparse and correlated.

It is trained on codes of single frames. Training uses which frames belong to one clip, but never their order.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.configuration import Configuration, Depth


@dataclass(frozen=True)
class CodePriorConfig(Configuration):
    """
    rank:            number of whitened coordinates.
    appearance_rank: number of first coordinates that all frames of a clip share (person, clothes, background).
    sigma_min, sigma_max: range of noise levels, in units of a coordinate's standard deviation.
    """

    network: ClassVar[str] = "code_prior"
    code_size: int = 4096
    rank: int = 64
    appearance_rank: int = 16
    width: int = 512
    depth: Depth = 4
    sigma_min: float = 0.02
    sigma_max: float = 10.0


class CodePrior(nn.Module):
    """Coordinates w of codes z, with a denoiser D(w; sigma) = E[w | w + sigma n].

    The coordinates have zero mean and unit variance over real frames. They are ordered by the ratio of the variance
    between clips to the variance within clips: appearance comes first, pose last.
    """

    mean: Float[Tensor, " code"]
    to_whitened: Float[Tensor, "rank code"]
    from_whitened: Float[Tensor, "rank code"]

    def __init__(self, config: CodePriorConfig | None = None) -> None:
        super().__init__()
        self.config = config or CodePriorConfig()
        c = self.config
        self.register_buffer("mean", torch.zeros(c.code_size))
        self.register_buffer("to_whitened", torch.zeros(c.rank, c.code_size))
        self.register_buffer("from_whitened", torch.zeros(c.rank, c.code_size))
        self.embed = nn.Linear(c.rank, c.width)
        self.noise = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, c.width))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(c.width), nn.Linear(c.width, c.width), nn.SiLU(), nn.Linear(c.width, c.width))
            for _ in range(c.depth)
        )
        self.out = nn.Sequential(nn.LayerNorm(c.width), nn.Linear(c.width, c.rank))

    def whiten(self, codes: Float[Tensor, "*batch code"]) -> Float[Tensor, "*batch rank"]:
        """Codes to coordinates."""
        return (codes - self.mean) @ self.to_whitened.T

    def unwhiten(self, coordinates: Float[Tensor, "*batch rank"]) -> Float[Tensor, "*batch code"]:
        """Coordinates to codes. Negative entries become 0, because codes are the output of a ReLU."""
        return F.relu(self.mean + coordinates @ self.from_whitened)

    def denoise(
        self, noisy: Float[Tensor, "*batch rank"], sigma: float | Float[Tensor, "*#batch 1"]
    ) -> Float[Tensor, "*batch rank"]:
        """D(w; sigma): the expected real coordinates, given `noisy` ones with Gaussian noise of deviation `sigma`.

        Preconditioned as in Karras et al. 2022, Table 1, for data of unit variance.
        """
        sigma = torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device).expand(*noisy.shape[:-1], 1)
        scale = (1 + sigma**2).rsqrt()
        x = self.embed(noisy * scale) + self.noise(sigma.log() / 4)
        for block in self.blocks:
            x = x + block(x)
        return scale**2 * noisy + sigma * scale * self.out(x)

    def share_appearance(self, coordinates: Float[Tensor, "batch time rank"]) -> Float[Tensor, "batch time rank"]:
        """Replace the appearance coordinates of each frame by their mean over time."""
        appearance = coordinates[..., : self.config.appearance_rank].mean(1, keepdim=True)
        pose = coordinates[..., self.config.appearance_rank :]
        return torch.cat([appearance.expand(-1, pose.shape[1], -1), pose], -1)
