"""The code prior: its coordinates and its denoiser."""

import numpy as np
import pytest
import torch
from torch import Tensor

from stgan.networks import CodePrior, CodePriorConfig
from stgan.records import checked

CODE_SIZE, RANK = 24, 10
float64 = torch.float64


def make_prior() -> CodePrior:
    torch.manual_seed(0)
    return CodePrior(CodePriorConfig(code_size=CODE_SIZE, rank=RANK, appearance_rank=3, width=16, depth=2)).double()


@pytest.fixture
def codes() -> Tensor:
    return torch.rand(50, CODE_SIZE, dtype=float64)


@pytest.fixture
def prior() -> CodePrior:
    """Its coordinates are three times those in some orthonormal basis."""
    prior = make_prior()
    rows = torch.linalg.qr(torch.randn(CODE_SIZE, RANK, dtype=float64))[0].T
    prior.mean.uniform_(0, 0.1)
    prior.to_whitened.copy_(3 * rows)
    prior.from_whitened.copy_(rows / 3)
    return prior


def test_a_round_trip_is_a_projection(prior: CodePrior, codes: Tensor) -> None:
    """Up to the ReLU: the nearest point of the affine space that the coordinates span."""
    coordinates = prior.whiten(codes)
    nearest = prior.mean + coordinates @ prior.from_whitened
    torch.testing.assert_close(prior.whiten(nearest), coordinates)
    residual = codes - nearest
    torch.testing.assert_close(residual @ prior.from_whitened.T, torch.zeros_like(coordinates), rtol=0, atol=1e-9)
    torch.testing.assert_close(prior.unwhiten(coordinates), nearest.clamp(min=0))
    assert (nearest < 0).any()


def test_a_clip_shares_its_appearance(prior: CodePrior) -> None:
    coordinates = torch.randn(2, 5, RANK, dtype=float64)
    shared = prior.share_appearance(coordinates)
    assert torch.equal(shared[..., 3:], coordinates[..., 3:])
    assert torch.equal(shared[..., :3], shared[:, :1, :3].expand(-1, 5, -1))
    torch.testing.assert_close(shared.mean(1), coordinates.mean(1))
    torch.testing.assert_close(prior.share_appearance(shared), shared)


def test_without_noise_there_is_nothing_to_remove() -> None:
    for sigma in (1e-2, 1e-6):
        prior = make_prior()
        noisy = torch.randn(50, RANK, dtype=float64)
        assert (prior.denoise(noisy, sigma) - noisy).abs().max() < 10 * sigma


@pytest.mark.parametrize("sigma", [0.02, 10.0])
def test_preconditioning(sigma: float) -> None:
    """Karras et al. 2022, Table 1, for data of unit variance; without a network it is the best answer for N(0, 1)."""
    prior = make_prior()
    seen: list[Tensor] = []
    prior.embed.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    prior.noise.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    torch.nn.init.zeros_(prior.out[1].weight)
    torch.nn.init.constant_(prior.out[1].bias, 2.0)
    noisy = torch.randn(5, RANK, dtype=float64)
    denoised = prior.denoise(noisy, sigma)
    total = 1 + sigma**2
    torch.testing.assert_close(denoised, noisy / total + 2.0 * sigma / total**0.5)
    torch.testing.assert_close(seen[0], noisy / total**0.5)
    torch.testing.assert_close(seen[1], torch.full((5, 1), np.log(sigma) / 4, dtype=float64))


def test_each_item_may_have_its_own_sigma() -> None:
    prior = make_prior()
    noisy, sigma = torch.randn(4, RANK, dtype=float64), torch.tensor([[0.1], [0.5], [1.0], [5.0]], dtype=float64)
    alone = torch.stack([prior.denoise(item, float(level)) for item, level in zip(noisy, sigma, strict=True)])
    torch.testing.assert_close(prior.denoise(noisy, sigma), alone)


def test_depth_is_bounded() -> None:
    for depth in (-1, 10**9):
        with pytest.raises(ValueError, match="depth"):
            checked(CodePriorConfig, {"depth": depth})
