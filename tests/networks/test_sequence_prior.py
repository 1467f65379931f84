"""The sequence prior: its coordinates, its denoiser written out by hand, windows, and what it may depend on."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stgan.networks import SequencePrior, SequencePriorConfig
from stgan.networks.sequence_prior import over_windows
from stgan.records import checked

CODE, FRAMES, RANK, ACTIONS = 5, 8, 12, 3
float64 = torch.float64


def make_prior(depth: int = 2, scene_rank: int = 0) -> SequencePrior:
    """As training finds it: with a basis, and nothing comes out of the network yet."""
    torch.manual_seed(0)
    config = SequencePriorConfig(
        code_size=CODE, frames=FRAMES, rank=RANK, scene_rank=scene_rank, num_classes=ACTIONS, width=8, depth=depth
    )
    prior = SequencePrior(config).double().eval()
    rows = torch.randn(FRAMES, CODE, RANK - scene_rank, dtype=float64)
    if scene_rank:
        rows = rows - rows.mean(0)  # what changes around the mean over time
        prior.scene.data.copy_(torch.linalg.qr(torch.randn(CODE, scene_rank, dtype=float64))[0].T)
    prior.basis.data.copy_(torch.linalg.qr(rows.flatten(0, 1))[0].T)
    prior.variance.copy_(torch.logspace(0.5, -3, RANK))
    prior.mean.copy_(torch.rand(CODE))
    prior.unit.fill_(0.3)
    return prior


def rows_of(prior: SequencePrior) -> np.ndarray:
    """B, a row a coordinate, from what it does to windows that are 1 in one place and 0 elsewhere."""
    return prior.project(torch.eye(FRAMES * CODE, dtype=float64).view(-1, FRAMES, CODE)).detach().numpy().T


def learned(scene_rank: int = 3) -> SequencePrior:
    """A prior whose every weight matters."""
    prior = make_prior(scene_rank=scene_rank)
    for parameter in prior.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return prior


@pytest.fixture
def prior() -> SequencePrior:
    """One whose coordinates are of scenes and of motion."""
    return learned()


@pytest.fixture
def noisy() -> Tensor:
    return torch.randn(4, FRAMES, CODE, dtype=float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scene_rank", [0, 3])
def test_coordinates_are_those_of_centred_windows_in_units(scene_rank: int, noisy: Tensor) -> None:
    prior = learned(scene_rank)
    codes = torch.rand(3, FRAMES, CODE, dtype=float64)
    h = (codes.numpy() - prior.mean.numpy()) / 0.3
    basis = rows_of(prior)
    np.testing.assert_allclose(prior.coordinates(codes).detach().numpy(), h.reshape(3, -1) @ basis.T, rtol=1e-6)
    torch.testing.assert_close(prior.codes(torch.from_numpy(h)), codes)
    assert torch.equal(prior.codes(torch.full((1, 2, CODE), -99.0, dtype=float64)), torch.zeros(1, 2, CODE).double())
    found = prior.denoise(noisy, 0.7, torch.tensor([0, 1, 2, 3])).detach().numpy()
    for row in range(4):  # a window is denoised in its coordinates
        estimate = restated(prior, basis @ noisy[row].flatten().numpy(), 0.7, row)
        np.testing.assert_allclose(found[row].flatten(), basis.T @ estimate, rtol=1e-9, atol=1e-12)


def test_scenes_are_what_all_frames_share() -> None:
    prior = make_prior(scene_rank=3)
    rows = rows_of(prior).reshape(RANK, FRAMES, CODE)
    np.testing.assert_allclose(rows.reshape(RANK, -1) @ rows.reshape(RANK, -1).T, np.eye(RANK), atol=1e-12)
    np.testing.assert_allclose(rows[:3], rows[:3].mean(1, keepdims=True).repeat(FRAMES, 1), atol=1e-12)
    np.testing.assert_allclose(rows[3:].mean(1), 0, atol=1e-12)
    y = torch.randn(2, RANK, dtype=float64)
    np.testing.assert_allclose(prior.expand(y).detach().flatten(1).numpy(), y.numpy() @ rows.reshape(RANK, -1))
    with pytest.raises(ValueError, match="scene_rank must be at most the rank and the code size, not 6"):
        make_prior(scene_rank=CODE + 1)


def test_at_first_it_is_wieners_filter(noisy: Tensor) -> None:
    """For h from N(0, C), E[h | h + sigma n] = C (C + sigma^2)^-1 (h + sigma n), whatever the action."""
    for sigma in (0.02, 40.0):
        for scene_rank in (0, 3):
            prior = make_prior(scene_rank=scene_rank)
            basis = rows_of(prior)
            covariance = basis.T @ np.diag(prior.variance.numpy()) @ basis
            gain = covariance @ np.linalg.inv(covariance + sigma**2 * np.eye(FRAMES * CODE))
            expected = (noisy.flatten(1).numpy() @ gain.T).reshape(noisy.shape)
            for actions in (None, torch.tensor([0, 1, 2, 3])):
                found = prior.denoise(noisy, sigma, actions).detach().numpy()
                np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.02, 40.0])
def test_preconditioning(sigma: float) -> None:
    """Karras et al. 2022, Table 1, with a variance for each coordinate in place of sigma_data^2."""
    prior = make_prior()
    seen: list[Tensor] = []
    prior.noise.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    prior.embed.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    torch.nn.init.constant_(prior.out.bias, 2.0)
    y = torch.randn(4, RANK, dtype=float64)
    found = prior.denoise_coordinates(y, torch.full((4, 1), sigma, dtype=float64))
    data = prior.variance.sqrt()  # sigma_data
    total = sigma**2 + data**2
    torch.testing.assert_close(found, data**2 / total * y + sigma * data / total.sqrt() * 2.0)
    torch.testing.assert_close(seen[0], torch.full((4, 1), math.log(sigma) / 4, dtype=float64))
    torch.testing.assert_close(seen[1], y / total.sqrt())


def restated(prior: SequencePrior, y: np.ndarray, sigma: float, action: int) -> np.ndarray:
    """D(y; sigma, action) of the coordinates of one window, in numpy."""
    w = {name: value.numpy() for name, value in prior.state_dict().items()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def silu(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    told = linear("noise.2", silu(linear("noise.0", np.array([math.log(sigma) / 4])))) + w["action.weight"][action]
    x = linear("embed", y / np.sqrt(w["variance"] + sigma**2))
    for block in range(prior.config.depth):
        inside = norm(f"blocks.{block}.0", x + linear(f"modulations.{block}", silu(told)))
        x = x + linear(f"blocks.{block}.4", silu(linear(f"blocks.{block}.1", inside)))
    out = linear("out", norm("norm", x))
    share = w["variance"] / (w["variance"] + sigma**2)
    return share * y + sigma * np.sqrt(share) * out


def test_estimate_equals_a_restatement_in_numpy(prior: SequencePrior) -> None:
    sigmas, actions = [0.05, 0.7, 3.0, 30.0], [2, 0, 3, 1]
    y = torch.randn(4, RANK, dtype=float64)
    together = prior.denoise_coordinates(y, torch.tensor(sigmas, dtype=float64)[:, None], torch.tensor(actions))
    for row, (sigma, action) in enumerate(zip(sigmas, actions, strict=True)):
        expected = restated(prior, y[row].numpy(), sigma, action)
        np.testing.assert_allclose(together[row].detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_no_action_is_a_number_of_its_own(prior: SequencePrior, noisy: Tensor) -> None:
    assert prior.any_action == ACTIONS
    unconditional = prior.denoise(noisy, 0.5)
    assert torch.equal(prior.denoise(noisy, 0.5, torch.full((4,), ACTIONS)), unconditional)
    for action in range(ACTIONS):
        assert not torch.allclose(prior.denoise(noisy, 0.5, torch.full((4,), action)), unconditional)


def test_dropout_is_for_training_alone(prior: SequencePrior, noisy: Tensor) -> None:
    assert torch.equal(prior.denoise(noisy, 0.5), prior.denoise(noisy, 0.5))
    prior.train()
    assert not torch.equal(prior.denoise(noisy, 0.5), prior.denoise(noisy, 0.5))


@settings(max_examples=60, deadline=None)
@given(window=st.integers(1, 20), extra=st.integers(0, 60))
def test_longer_sequences_are_the_mean_over_windows_that_cover_them(window: int, extra: int) -> None:
    """Of each frame the mean of what every window that holds it says, whose places within windows differ."""
    time, starts = window + extra, []
    ramp = torch.arange(window, dtype=float64).view(1, -1, 1)
    x = torch.randn(2, time, 3, dtype=float64)

    def placed(part: Tensor) -> Tensor:
        starts.append(int((x[0, :, 0] == part[0, 0, 0]).nonzero()[0]))
        return part + ramp

    mean = over_windows(placed, x, window)
    assert starts[0] == 0 and starts[-1] == time - window
    assert all(0 < b - a <= max(1, window // 2) for a, b in pairwise(starts))
    for t in range(time):
        places = [t - start for start in starts if start <= t < start + window]
        torch.testing.assert_close(mean[:, t], x[:, t] + sum(places) / len(places))


def test_long_clips_are_denoised_window_by_window(prior: SequencePrior) -> None:
    long = torch.randn(2, 2 * FRAMES + 3, CODE, dtype=float64)
    action = torch.tensor([1, 2])
    windows = {start: prior.denoise(long[:, start : start + FRAMES], 0.7, action) for start in (0, 4, 8, 11)}
    expected = [
        torch.stack([part[:, t - start] for start, part in windows.items() if start <= t < start + FRAMES]).mean(0)
        for t in range(long.shape[1])
    ]
    torch.testing.assert_close(prior.denoise(long, 0.7, action), torch.stack(expected, 1))


def test_short_clips_are_denoised_as_if_their_last_frame_went_on(prior: SequencePrior, noisy: Tensor) -> None:
    for time in (1, FRAMES - 1):
        going_on = torch.stack([noisy[:, min(t, time - 1)] for t in range(FRAMES)], 1)
        torch.testing.assert_close(prior.denoise(noisy[:, :time], 0.7), prior.denoise(going_on, 0.7)[:, :time])


def test_what_cannot_be_built_is_refused() -> None:
    for change in ({"depth": -1}, {"depth": 101}, {"frames": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(change))}: must be at "):
            checked(SequencePriorConfig, change)
