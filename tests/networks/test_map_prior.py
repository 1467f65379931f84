"""The map prior: its bases, its denoiser written out with matrices, a given frame, windows, and what it depends on."""

import math

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor

from stgan.networks import Given, MapPrior, MapPriorConfig
from stgan.networks.map_prior import dct
from stgan.records import checked

CHANNELS, GRID, FRAMES, ACTIONS = 2, 3, 4, 3
SIZE = FRAMES * CHANNELS * GRID * GRID
MAP = (CHANNELS, GRID, GRID)
float64 = torch.float64


def make_prior(frames: int = FRAMES) -> MapPrior:
    """As training finds it: with statistics, and nothing comes out of the network yet."""
    torch.manual_seed(0)
    config = MapPriorConfig(CHANNELS, GRID, frames, ACTIONS, widths=(6,), depth=1, embedding=8, dropout=0.2)
    prior = MapPrior(config).double().eval()
    prior.mean.normal_()
    prior.variance.uniform_(0.05, 3)
    return prior


@pytest.fixture
def prior() -> MapPrior:
    """One whose every weight matters."""
    prior = make_prior()
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return prior


@pytest.fixture
def noisy() -> Tensor:
    return torch.randn(4, FRAMES, *MAP, dtype=float64, generator=torch.Generator().manual_seed(1))


def given_at(times: list[int]) -> Given:
    """Maps, and the frames that they are: none where it is negative."""
    maps = torch.randn(len(times), *MAP, dtype=float64, generator=torch.Generator().manual_seed(2))
    return Given(maps, torch.tensor(times))


@pytest.mark.parametrize("size", [1, 2, 3, 8, 16])
def test_the_basis_is_that_of_the_discrete_cosine_transform(size: int) -> None:
    rows = dct(size, float64, torch.device("cpu"))
    np.testing.assert_allclose(rows.numpy(), scipy.fft.dct(np.eye(size), axis=0, norm="ortho"), atol=1e-14)
    np.testing.assert_allclose((rows @ rows.T).numpy(), np.eye(size), atol=1e-14)
    x = np.random.default_rng(0).normal(size=size)
    np.testing.assert_allclose(rows.numpy() @ x, scipy.fft.dct(x, norm="ortho"), atol=1e-14)


def basis() -> np.ndarray:
    """A row for each coefficient of a window over time and space, of all its numbers in one line."""
    time, space = (scipy.fft.dct(np.eye(size), axis=0, norm="ortho") for size in (FRAMES, GRID))
    return np.kron(np.kron(time, np.eye(CHANNELS)), np.kron(space, space))


def posterior_mean(noisy: np.ndarray, mean: np.ndarray, covariance: np.ndarray, sigma: float) -> np.ndarray:
    """E[h | h + sigma n] for h from N(mean, covariance)."""
    gain = covariance @ np.linalg.inv(covariance + sigma**2 * np.eye(SIZE))
    return mean + gain @ (noisy - mean)


@pytest.mark.parametrize("sigma", [0.05, 0.7, 40.0])
def test_at_first_it_is_the_posterior_mean_of_a_gaussian(noisy: Tensor, sigma: float) -> None:
    """Whose mean is `mean` in every frame, or a given frame; whatever the action."""
    prior, rows = make_prior(), basis()
    np.testing.assert_allclose(rows @ rows.T, np.eye(SIZE), atol=1e-12)
    times = [-1, 2, -1, 0]
    given = given_at(times)
    for actions in (None, torch.tensor([0, 1, 2, 3])):
        found = prior.denoise(noisy, sigma, actions, given).detach().numpy()
        for row, time in enumerate(times):
            known = time >= 0
            covariance = rows.T @ np.diag(prior.variance[int(known)].flatten().numpy()) @ rows
            center = (given.maps[row] if known else prior.mean).flatten().numpy()
            mean = np.tile(center, FRAMES)
            expected = posterior_mean(noisy[row].flatten().numpy(), mean, covariance, sigma).reshape(FRAMES, *MAP)
            if known:
                expected[time] = given.maps[row].numpy()
            np.testing.assert_allclose(found[row], expected, rtol=1e-9, atol=1e-9)
    free = prior.denoise(noisy, sigma)
    torch.testing.assert_close(torch.from_numpy(found[::2]), free[::2])
    assert not np.allclose(found[1::2], free[1::2].detach().numpy())


@pytest.mark.parametrize("sigma", [0.05, 40.0])
def test_the_network_corrects_the_linear_denoiser(prior: MapPrior, sigma: float) -> None:
    """D = v / (v + sigma^2) x + c_out F, with F of noisy, linearly denoised and given frames, and what is told."""
    given, actions = given_at([-1, 3, 0]), torch.tensor([0, 2, 3])
    x = torch.randn(3, FRAMES, *MAP, dtype=float64)
    found, c_out = prior.estimate(x, torch.full((3,), sigma, dtype=float64), actions, given)
    v = prior.variance[[0, 1, 1]].numpy()
    time, space = (scipy.fft.dct(np.eye(size), axis=0, norm="ortho") for size in (FRAMES, GRID))
    shrunk = v / (v + sigma**2)
    linear = space.T @ (shrunk * (space @ x.numpy() @ space.T)) @ space
    scale_out = np.sqrt((shrunk * sigma**2).mean((-2, -1)))
    np.testing.assert_allclose(c_out.numpy(), scale_out[..., None, None])
    told = prior.noise(torch.full((3, 1), math.log(sigma) / 4, dtype=float64)) + prior.action.weight[actions]
    since = torch.tensor([[7, 7, 7, 7], [0, 1, 2, 3], [3, 4, 5, 6]])
    told = prior.mlp(told[:, None] + prior.since.weight[since] + prior.time.weight)
    known = (given.maps - prior.mean).numpy() * (given.times >= 0).view(3, 1, 1, 1).numpy()
    frames, denoised = (np.einsum("kt,bkcyx->btcyx", time, part) for part in (x.numpy(), linear))
    variance = v.mean((1, 3, 4), keepdims=True)
    spread = np.sqrt(prior.variance[0].numpy().mean((0, 2, 3)))[:, None, None]
    seen = [frames / np.sqrt(variance + sigma**2), denoised / np.sqrt(variance), np.stack([known / spread] * FRAMES, 1)]
    correction = prior.unet(torch.from_numpy(np.concatenate(seen, 2)), told).detach().numpy()
    assert np.abs(correction).max() > 0.1
    expected = linear + scale_out[..., None, None] * np.einsum("kt,btcyx->bkcyx", time, correction)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-8, atol=1e-12)


def test_it_starts_from_noise_that_has_the_variances_of_noisy_windows() -> None:
    """Also where the noise would not hide them."""
    prior, random = make_prior(), torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, FRAMES, *MAP, dtype=float64, generator=random)
    x = prior.spectrum(prior.coefficients(prior.start(noise, 0.7), prior.nothing_given(20_000)))
    torch.testing.assert_close(x.var(0), prior.variance[0] + 0.49, rtol=0.06, atol=0)
    assert x.mean(0).abs().max() < 0.06


def test_coefficients_are_exact_in_automatic_bfloat16(noisy: Tensor) -> None:
    prior, given = make_prior().float(), Given(given_at([-1, 2, 0, 1]).maps.float(), torch.tensor([-1, 2, 0, 1]))
    windows = noisy.float() + 100
    with torch.autocast("cpu", torch.bfloat16):
        back = prior.windows(prior.coefficients(windows, given), given)
        torch.testing.assert_close(back, windows, rtol=1e-6, atol=1e-4)
        linear = prior.denoise(windows, 0.01, None, given)
    torch.testing.assert_close(linear, prior.denoise(windows, 0.01, None, given), rtol=1e-6, atol=1e-4)


def test_noise_levels_are_each_windows_own(prior: MapPrior, noisy: Tensor) -> None:
    sigmas, given = [0.05, 0.7, 3.0, 30.0], given_at([-1, 0, -1, 3])
    x = prior.coefficients(noisy, given)
    together, _ = prior.estimate(x, torch.tensor(sigmas, dtype=float64), None, given)
    for row, sigma in enumerate(sigmas):
        one = Given(given.maps[row : row + 1], given.times[row : row + 1])
        alone, _ = prior.estimate(x[row : row + 1], torch.tensor([sigma], dtype=float64), None, one)
        torch.testing.assert_close(alone, together[row : row + 1])


@pytest.mark.parametrize("time", [1, FRAMES - 1, FRAMES, FRAMES + 1, 3 * FRAMES - 1])
def test_a_given_frame_is_part_of_the_result_as_it_is(prior: MapPrior, time: int) -> None:
    """To the bit, in sequences of any length; where nothing is given, nothing is kept."""
    noisy = torch.randn(3, time, *MAP, dtype=float64)
    for at in range(time):
        given = given_at([at, -1, time - 1])
        found = prior.denoise(noisy, 0.7, None, given)
        assert found.shape == noisy.shape
        assert torch.equal(found[0, at], given.maps[0]) and torch.equal(found[2, -1], given.maps[2])
        torch.testing.assert_close(found[1], prior.denoise(noisy, 0.7)[1])


def test_a_given_frame_changes_all_others(prior: MapPrior, noisy: Tensor) -> None:
    free = prior.denoise(noisy, 0.7)
    results = [prior.denoise(noisy, 0.7, None, given_at([time] * 4)) for time in range(FRAMES)]
    other = Given(given_at([1] * 4).maps + 0.5, torch.full((4,), 1))
    results.append(prior.denoise(noisy, 0.7, None, other))
    for number, result in enumerate(results):
        for earlier in [free, *results[:number]]:
            assert ((result - earlier).abs().amax((0, 2, 3, 4)) > 1e-3).all()  # frames


def test_no_action_is_a_number_of_its_own(prior: MapPrior, noisy: Tensor) -> None:
    assert prior.any_action == ACTIONS
    for given in (None, given_at([0, 1, 2, 3])):
        unconditional = prior.denoise(noisy, 0.5, None, given)
        assert torch.equal(prior.denoise(noisy, 0.5, torch.full((4,), ACTIONS), given), unconditional)
        for action in range(ACTIONS):
            found = prior.denoise(noisy, 0.5, torch.full((4,), action), given)
            assert not torch.allclose(found, unconditional)


def test_windows_of_a_batch_have_nothing_to_do_with_each_other(prior: MapPrior, noisy: Tensor) -> None:
    actions, given = torch.tensor([0, 1, 2, 3]), given_at([-1, 2, 0, -1])
    together = prior.denoise(noisy, 0.7, actions, given)
    for row in range(4):
        rows = slice(row, row + 1)
        alone = prior.denoise(noisy[rows], 0.7, actions[rows], Given(given.maps[rows], given.times[rows]))
        torch.testing.assert_close(alone, together[rows])


def test_dropout_is_for_training_alone(prior: MapPrior, noisy: Tensor) -> None:
    assert torch.equal(prior.denoise(noisy, 0.5), prior.denoise(noisy, 0.5))
    prior.train()
    assert not torch.equal(prior.denoise(noisy, 0.5), prior.denoise(noisy, 0.5))


@pytest.mark.parametrize("at", [-1, 0, 3, 10])
def test_long_sequences_are_the_mean_over_windows_that_overlap_by_half(prior: MapPrior, at: int) -> None:
    """Each window is given the frame only if it holds it."""
    time, starts = 11, [0, 2, 4, 6, 7]
    long, action = torch.randn(2, time, *MAP, dtype=float64), torch.tensor([1, 2])
    maps = given_at([at] * 2).maps
    windows = {}
    for start in starts:
        inside = at - start if start <= at < start + FRAMES else -1
        given = Given(maps, torch.full((2,), inside))
        windows[start] = prior.denoise(long[:, start : start + FRAMES], 0.7, action, given)
    expected = [
        torch.stack([part[:, t - start] for start, part in windows.items() if start <= t < start + FRAMES]).mean(0)
        for t in range(time)
    ]
    found = prior.denoise(long, 0.7, action, Given(maps, torch.full((2,), at)))
    torch.testing.assert_close(found, torch.stack(expected, 1))


@pytest.mark.parametrize("at", [-1, 0])
def test_short_sequences_are_denoised_as_if_their_last_frame_went_on(prior: MapPrior, noisy: Tensor, at: int) -> None:
    given = given_at([at] * 4)
    for time in (1, FRAMES - 1):
        going_on = torch.stack([noisy[:, min(t, time - 1)] for t in range(FRAMES)], 1)
        found = prior.denoise(noisy[:, :time], 0.7, None, given)
        torch.testing.assert_close(found, prior.denoise(going_on, 0.7, None, given)[:, :time])


def test_a_prior_of_single_frames() -> None:
    """Wiener's filter over space alone, frame by frame."""
    prior = make_prior(frames=1)
    frames = torch.randn(5, 1, *MAP, dtype=float64)
    space = scipy.fft.dct(np.eye(GRID), axis=0, norm="ortho")
    v = prior.variance[0, 0].numpy()
    off = frames[:, 0].numpy() - prior.mean.numpy()
    expected = prior.mean.numpy() + space.T @ (v / (v + 0.49) * (space @ off @ space.T)) @ space
    np.testing.assert_allclose(prior.denoise(frames, 0.7)[:, 0].detach().numpy(), expected, rtol=1e-9)


def test_what_cannot_be_built_is_refused() -> None:
    for change in ({"depth": -1}, {"depth": 101}, {"frames": 0}, {"num_classes": -1}, {"dropout": 2.0}):
        with pytest.raises(ValueError, match=f"{next(iter(change))}: must be at "):
            checked(MapPriorConfig, change)
