"""Metrics of bootstrap draws, against the plain metrics of the rows that a draw holds, and what follows from draws."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_intervals import simulate
from torch import Tensor

from stgan.metrics import draws as module
from stgan.metrics.appearance import feature_diversity
from stgan.metrics.draws import (
    diversity_draws,
    mean_draws,
    neighbourhood_draws,
    placed,
    simultaneous_intervals,
)
from stgan.metrics.neighbours import precision_recall_density_coverage

numbers, seeds = st.integers(3, 14), st.integers(0, 99)


def features(n: int, d: int, seed: int) -> Tensor:
    """Correlated, of uneven scale, as those of networks are."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator) * torch.linspace(0.1, 3, d)
    return torch.randn(n, d, generator=generator) @ mixing + 0.5


def drawn(n: int, seed: int, draws: int = 3) -> Tensor:
    """Each holds n rows, of which two or more differ."""
    generator = torch.Generator().manual_seed(seed)
    times = torch.stack([torch.randint(n, (n,), generator=generator).bincount(minlength=n) for _ in range(draws)])
    times[:, :2] = times[:, :2].clamp(min=1)
    return times.double()


def held(rows: Tensor, times: Tensor) -> Tensor:
    return rows.repeat_interleave(times.long(), 0)


def mean_over_different(values: np.ndarray, times: np.ndarray) -> float:
    """The mean over all pairs of rows that are not the same one, as often as both are held."""
    pairs = [(i, j) for i in range(len(times)) for j in range(len(times)) if i != j]
    weights = [times[i] * times[j] for i, j in pairs]
    return float(np.average([values[i, j] for i, j in pairs], weights=weights))


def test_diversity_leaves_out_actions_that_a_draw_holds_once() -> None:
    rows, labels = features(6, 4, 0), torch.tensor([0, 0, 0, 1, 1, 2])
    times = torch.tensor([[1, 1, 1, 1, 1, 1], [2, 1, 0, 2, 0, 1], [3, 0, 0, 2, 0, 1]]).double()
    every, one, none = diversity_draws(rows, labels, times).tolist()
    assert every == pytest.approx(float(feature_diversity(rows, labels)), rel=1e-7)
    assert one == pytest.approx(float((rows[0] - rows[1]).norm()), rel=1e-6) and np.isnan(none)


def around(rows: np.ndarray, groups: list[int], times: np.ndarray, k: int) -> list[float]:
    """How far the ball of each held row reaches: to the k-th of the others, counted as often as they are held."""
    radii = []
    for i, row in enumerate(rows):
        others = sorted(
            float(np.sqrt(((row - other) ** 2).sum()))
            for j, other in enumerate(rows)
            for _ in range(int(times[j]))
            if groups[i] != groups[j]
        )
        radii.append(others[k - 1] if times[i] else -1.0)
    return radii


@settings(max_examples=30)
@given(n=st.integers(8, 14), m=st.integers(8, 14), seed=seeds, size=st.integers(1, 2), k=st.integers(1, 3))
def test_neighbours_of_the_rows_of_each_draw(n: int, m: int, seed: int, size: int, k: int) -> None:
    """On a coarse grid, where many distances are equal. `size` rows in a row are of one clip."""
    generator = torch.Generator().manual_seed(seed)
    real, made = (torch.randint(0, 4, (count, 2), generator=generator).double() for count in (n, m))
    own, theirs = torch.arange(n) // size, torch.arange(m) // size
    times = drawn(n, seed).clamp(max=2) + 1, drawn(m, seed + 1).clamp(max=2) + 1
    times[0][:, -2:], times[1][:, :2] = 0, 0
    found = neighbourhood_draws(real, made, *times, k, real_groups=own, generated_groups=theirs)
    for i in range(3):
        v, w = times[0][i].numpy(), times[1][i].numpy()
        radii = around(real.numpy(), own.tolist(), v, k), around(made.numpy(), theirs.tolist(), w, k)
        distance = np.sqrt(((made.numpy()[:, None] - real.numpy()[None]) ** 2).sum(2))
        inside, within = distance < np.array(radii[0]), distance < np.array(radii[1])[:, None]
        expected = (
            np.average(inside.any(1), weights=w),
            np.average(within.any(0), weights=v),
            float(w @ inside @ v) / (k * w.sum()),
            np.average(inside[w > 0].any(0), weights=v),
        )
        assert found[:, i].tolist() == pytest.approx(expected, rel=1e-6)
    once = torch.ones(1, n).double(), torch.ones(1, m).double()
    plain = precision_recall_density_coverage(real, made, k, real_groups=own, generated_groups=theirs)
    same = neighbourhood_draws(real, made, *once, k, real_groups=own, generated_groups=theirs)
    assert tuple(same[:, 0].tolist()) == pytest.approx(tuple(plain), rel=1e-6)


def test_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, times = features(30, 5, 0), features(30, 5, 1), drawn(30, 2)
    groups = torch.arange(30)

    def every() -> list[Tensor]:
        near = neighbourhood_draws(a, b, times, times, real_groups=groups, generated_groups=groups)
        return [diversity_draws(a, groups % 3, times), near]

    whole = every()
    monkeypatch.setattr(module, "_BLOCK", 100)
    torch.testing.assert_close(every(), whole)


def test_deviations_of_draws_are_placed_around_the_value() -> None:
    """Their own mean does not count: a draw holds rows twice, which changes some metrics."""
    draws = torch.tensor([1.0, 2.0, 4.0, 9.0]).double()
    assert (placed(0.5, draws, 5) - 0.5).tolist() == pytest.approx(((draws - 4) * (5 / 4) ** 0.5).tolist())
    assert placed(3.0, draws, 10**9, relative=True).log().mean().exp().item() == pytest.approx(3.0)


def outcomes(shift: float, sets: int, seed: int) -> tuple[Tensor, Tensor]:
    """Means of 40 rows of several sets, the first of which lies higher, and of draws that hold the same rows of all."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(40, 1, generator=generator).double()
    rows = shared + 0.5 * torch.randn(40, sets, generator=generator).double()
    rows[:, 0] += shift
    times = drawn(40, seed, draws=300)
    draws = torch.stack([placed(float(own.mean()), mean_draws(own, times), 40) for own in rows.T], 1)
    return rows.mean(0), draws


@pytest.mark.parametrize("sets", [2, 4])
def test_differences_are_found_where_there_are_some(sets: int) -> None:
    """Without any, about 5 % of the experiments have a pair whose interval excludes 0; with one, nearly all do."""
    wrong, right = 0, 0
    for seed in range(80):
        wrong += any(low > 0 or high < 0 for low, high in simultaneous_intervals(*outcomes(0.0, sets, seed)).values())
        right += simultaneous_intervals(*outcomes(0.6, sets, seed))[0, 1][0] > 0
    assert wrong <= 11 and right >= 70  # 11 or more of 80 happen with a probability of 0.002 at 5 %


def test_intervals_hold_the_difference_and_widen_with_the_number_of_pairs() -> None:
    values, draws = outcomes(0.0, 6, 0)
    every, two = simultaneous_intervals(values, draws), simultaneous_intervals(values[:2], draws[:, :2])
    assert len(every) == 15
    for (i, j), (low, high) in every.items():
        assert (low + high) / 2 == pytest.approx(float(values[i] - values[j]))
    assert every[0, 1][0] < two[0, 1][0] < two[0, 1][1] < every[0, 1][1]


def test_equal_sets_do_not_differ() -> None:
    values, draws = outcomes(0.0, 2, 0)
    low, high = simultaneous_intervals(values[[0, 0]], draws[:, [0, 0]])[0, 1]
    assert low <= 0 <= high and high - low < 1e-6


def test_intervals_cover_the_value_of_as_many_clips() -> None:
    """Four clips of each of nine actions, whose features differ by action."""
    generator = torch.Generator().manual_seed(0)
    middles, mixing = (torch.randn(rows, 8, generator=generator) for rows in (9, 8))

    def clips(each: int) -> Tensor:
        return middles.repeat(each, 1) + torch.randn(9 * each, 8, generator=generator) @ mixing / 4

    def times(each: int) -> Tensor:
        chosen = torch.randint(each, (100, each, 9), generator=generator) * 9 + torch.arange(9)
        return torch.nn.functional.one_hot(chosen.flatten(1), 9 * each).sum(1).double()

    labels = torch.arange(36) % 9

    def measured(made: Tensor) -> list[float]:
        return [float(feature_diversity(made, labels)), float(made[:, 0].mean())]

    truth = np.mean([measured(clips(4)) for _ in range(200)], 0)
    covered = np.zeros(2)
    for _ in range(30):
        made, own = clips(4), times(4)
        draws = [diversity_draws(made, labels, own), mean_draws(made[:, 0], own)]
        for i, value in enumerate(measured(made)):
            low, high = placed(value, draws[i], 4).quantile(torch.tensor([0.025, 0.975]).double()).tolist()
            covered[i] += low <= truth[i] <= high
    assert (covered >= 24).all(), covered  # of 30


@pytest.mark.parametrize(("name", "apart"), [("Fréchet", 0.0), ("Fréchet", 2.0), ("kernel", 0.0), ("kernel", 2.0)])
def test_intervals_of_distances_hold_the_mean_and_are_not_much_too_wide(name: str, apart: float) -> None:
    """A short version of what docs/metrics.md has a table of."""
    found = simulate(name, 60, 16, apart, 60)
    assert all(share >= 0.85 for share in found.covered.values()), found
    assert all(0.8 < width < 2 for width in found.widths.values()), found
