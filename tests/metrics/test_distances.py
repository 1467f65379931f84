"""Distances between sets of features, against closed forms, numpy and torchmetrics."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from stgan.metrics.distances import frechet_distance, frechet_influence, kernel_distance, kernel_influence

numbers = st.integers(2, 12)


def features(n: int, d: int, seed: int, offset: float = 0.0) -> Tensor:
    """Correlated features of uneven scale, as networks have them."""
    generator = torch.Generator().manual_seed(seed)
    mixed = (
        torch.randn(n, d, generator=generator, dtype=torch.float64) @ torch.randn(d, d, generator=generator).double()
    )
    return mixed * torch.linspace(0.1, 3, d, dtype=torch.float64) + offset


def frechet_by_symmetric_roots(a: Tensor, b: Tensor) -> float:
    """tr (C_a C_b)^(1/2) through the eigenvalues of C_a^(1/2) C_b C_a^(1/2), with numpy's covariances."""
    x, y = a.numpy(), b.numpy()
    cov_x, cov_y = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    values, vectors = np.linalg.eigh(cov_x)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_y @ root).clip(0)).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * cross)


@settings(max_examples=40, deadline=None)
@given(numbers, numbers, st.integers(1, 8), st.integers(0, 99))
def test_frechet_distance_in_numpy_of_few_clips_too(n: int, m: int, d: int, seed: int) -> None:
    a, b = features(n, d, seed), features(m, d, seed + 100, 1.0)
    assert frechet_distance(a, b).item() == pytest.approx(frechet_by_symmetric_roots(a, b), rel=1e-6)


def test_frechet_distance_in_closed_form() -> None:
    """One feature: (difference of means)^2 + (difference of standard deviations)^2. Two sets on one line: the same."""
    x, y = torch.tensor([0.0, 2.0, 4.0]).double(), torch.tensor([5.0, 6.0, 7.0]).double()
    assert frechet_distance(x[:, None], y[:, None]).item() == pytest.approx(16 + 1)
    direction = torch.tensor([[0.6, 0.8, 0.0]]).double()
    assert frechet_distance(x[:, None] * direction, y[:, None] * direction).item() == pytest.approx(16 + 1)
    across = torch.tensor([[-0.8, 0.6, 0.0]]).double()  # nothing in common: all variance counts, 4 + 1
    assert frechet_distance((x - 2)[:, None] * direction, (y - 6)[:, None] * across).item() == pytest.approx(5)


def test_frechet_distance_with_covariances_by_n() -> None:
    """As StyleGAN-V and CD-FVD sum up features: moments over n, in double precision."""
    a, b = features(40, 5, 0).float(), features(30, 5, 1, 0.5).float()

    def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, second = x.sum(0) / len(x), x.T @ x / len(x)
        return mean, second - np.outer(mean, mean)

    (m, c), (w, d) = (moments(x.numpy().astype(np.float64)) for x in (a, b))
    cross = np.sqrt(np.linalg.eigvals(c @ d).astype(complex)).real.sum()
    expected = ((m - w) ** 2).sum() + np.trace(c + d) - 2 * cross
    assert frechet_distance(a, b, correction=0).item() == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, b).item() != pytest.approx(expected, rel=1e-3)


def test_biased_kernel_of_second_degree() -> None:
    """As JEDi: means of (x.y / d)^2 over all pairs."""
    a, b = features(12, 4, 0), features(9, 4, 1, 0.3)
    x, y = a.numpy(), b.numpy()
    expected = ((x @ x.T / 4) ** 2).mean() + ((y @ y.T / 4) ** 2).mean() - 2 * ((x @ y.T / 4) ** 2).mean()
    assert kernel_distance(a, b, 2, 0.0, unbiased=False).item() == pytest.approx(expected, rel=1e-12)


def test_a_clip_far_from_the_others_costs_no_digits() -> None:
    """Its kernel with itself is no part of the unbiased sums, so it must not be rounded into them."""
    a, b = features(30, 3, 0), features(30, 3, 1)
    a[0] *= 1e4
    expected = kernel_distance_pair_by_pair(a.numpy(), b.numpy())
    assert kernel_distance(a, b).item() == pytest.approx(expected, rel=1e-13)


def kernel_distance_pair_by_pair(a: np.ndarray, b: np.ndarray) -> float:
    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    def within(z: np.ndarray) -> float:
        return float(np.mean([k(x, y) for i, x in enumerate(z) for j, y in enumerate(z) if i != j]))

    return within(a) + within(b) - 2 * float(np.mean([k(x, y) for x in a for y in b]))


@settings(max_examples=30, deadline=None)
@given(numbers, numbers, st.integers(1, 6), st.integers(0, 99))
def test_kernel_distance_pair_by_pair(n: int, m: int, d: int, seed: int) -> None:
    a, b = features(n, d, seed), features(m, d, seed + 100, 0.5)
    expected = kernel_distance_pair_by_pair(a.numpy(), b.numpy())
    assert kernel_distance(a, b).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_kernel_distance_of_torchmetrics_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """It wants as many of the one as of the other."""
    monkeypatch.setattr("stgan.metrics.distances._BLOCK", 32)
    a, b = features(90, 64, 0), features(90, 64, 1, 0.2)
    torch.testing.assert_close(kernel_distance(a, b), poly_mmd(a, b), rtol=1e-11, atol=0)


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance])
@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 30), m=st.integers(2, 30), d=st.integers(1, 8), seed=st.integers(0, 99))
def test_order_and_sides_and_rotation_make_no_difference(measure: Any, n: int, m: int, d: int, seed: int) -> None:
    a, b = features(n, d, seed), features(m, d, seed + 100, 0.5)
    value = measure(a, b)
    generator = torch.Generator().manual_seed(seed)
    shuffled = measure(a[torch.randperm(n, generator=generator)], b[torch.randperm(m, generator=generator)])
    rotation = torch.linalg.qr(features(d, d, seed + 200)).Q
    for other in (shuffled, measure(b, a), measure(a @ rotation, b @ rotation)):
        torch.testing.assert_close(other, value, rtol=1e-8, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 30), d=st.integers(1, 8), seed=st.integers(0, 99), scale=st.sampled_from([1e-3, 1.0, 50.0]))
def test_frechet_distance_of_moved_and_scaled_sets(n: int, d: int, seed: int, scale: float) -> None:
    a, b = features(n, d, seed), features(n + 3, d, seed + 100)
    size = float(a.square().sum() + b.square().sum())
    assert 0 <= frechet_distance(a, a) <= 1e-13 * size  # the same set, also where the covariance has no inverse
    assert frechet_distance(a, a + 2).item() == pytest.approx(4 * d, rel=1e-6)
    scaled, moved = frechet_distance(scale * a, scale * b), frechet_distance(a + 7, b + 7)
    torch.testing.assert_close(scaled, scale**2 * frechet_distance(a, b), rtol=1e-8, atol=1e-12 * size * scale**2)
    torch.testing.assert_close(moved, frechet_distance(a, b), rtol=1e-8, atol=1e-12 * size)


def test_kernel_distance_of_one_distribution_is_zero_on_average() -> None:
    """Of any sizes, and as often below as above."""
    generator = torch.Generator().manual_seed(0)
    draws = [
        kernel_distance(torch.randn(6, 2, generator=generator), torch.randn(15, 2, generator=generator)).item()
        for _ in range(800)
    ]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / 800**0.5
    assert min(draws) < 0


def test_single_precision_features_are_measured_in_double() -> None:
    a, b = features(40, 16, 0, 100.0).float(), features(40, 16, 1, 100.0).float()
    for measure in (frechet_distance, kernel_distance):
        assert torch.equal(measure(a, b), measure(a.double(), b.double()))
        assert measure(a, b).dtype == torch.float64


def test_what_cannot_be_measured_is_refused() -> None:
    a, b = features(4, 3, 0), features(4, 3, 1)
    broken = b.clone()
    broken[2, 1] = float("nan")
    for measure in (frechet_distance, kernel_distance):
        for pair in ((a[:1], b), (a, b[:1])):
            with pytest.raises(ValueError, match="two clips"):
                measure(*pair)
        for pair in ((a, broken), (broken, a)):
            with pytest.raises(ValueError, match="not finite"):
                measure(*pair)


def weighted_frechet(x: np.ndarray, y: np.ndarray, share: np.ndarray, correction: int) -> float:
    """The Fréchet distance of rows x with these shares, by the nuclear norm of A B'."""
    mean = share @ x
    a = (x - mean) * np.sqrt(share * len(x) / (len(x) - correction))[:, None]
    b = (y - y.mean(0)) / np.sqrt(len(y) - correction)
    apart = ((mean - y.mean(0)) ** 2).sum()
    return float(apart + (a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a @ b.T, "nuc"))


def weighted_kernel(x: np.ndarray, y: np.ndarray, share: np.ndarray, unbiased: bool) -> float:
    """The kernel distance of rows x with these shares, pairs of a row with itself left out or not."""
    within = (x @ x.T / x.shape[1] + 1) ** 3
    if unbiased:
        within = (within - np.diag(np.diag(within))) * len(x) / (len(x) - 1)
    return float(share @ within @ share - 2 * share @ ((x @ y.T / x.shape[1] + 1) ** 3).mean(1))


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 12), st.integers(3, 12), st.integers(1, 20), st.integers(0, 99), st.booleans())
def test_influence_is_the_derivative_by_the_share_of_a_row(n: int, m: int, d: int, seed: int, unbiased: bool) -> None:
    """Also of fewer rows than features."""
    a, b = features(n, d, seed), features(m, d, seed + 100, 1.0)
    rows, e, even = (a.numpy(), b.numpy()), 1e-5, np.full(n, 1 / n)
    for found, distance in (
        (frechet_influence(a, b, int(unbiased)), lambda share: weighted_frechet(*rows, share, int(unbiased))),
        (kernel_influence(a, b, unbiased=unbiased), lambda share: weighted_kernel(*rows, share, unbiased)),
    ):
        moved = [even * (1 - sign * e) + sign * e * np.eye(n) for sign in (1, -1)]
        slopes = [(distance(up) - distance(down)) / (2 * e) for up, down in zip(*moved, strict=True)]
        scale = max(1.0, float(found.abs().max()))
        expected = np.array(slopes) - np.mean(slopes)
        assert found.numpy() / scale == pytest.approx(expected / scale, abs=2e-4) and abs(found.sum()) < 1e-6 * scale
