"""Precision, recall, density and coverage, against their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stgan.metrics import neighbours
from stgan.metrics.neighbours import mean_distance, precision_recall_density_coverage

numbers, seeds = st.integers(2, 12), st.integers(0, 99)


def features(n: int, d: int, seed: int) -> Tensor:
    """Points of a coarse grid: many distances are equal, and many points the same."""
    return torch.randint(0, 4, (n, d), generator=torch.Generator().manual_seed(seed)).double()


def by_definition(
    real: np.ndarray, generated: np.ndarray, k: int, own: list[int], theirs: list[int]
) -> tuple[float, float, float, float]:
    def distance(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.sqrt(((x - y) ** 2).sum()))

    def to_others(z: np.ndarray, groups: list[int]) -> list[list[float]]:
        pairs = list(zip(z, groups, strict=True))
        return [sorted(distance(x, y) for y, h in pairs if g != h) for x, g in pairs]

    apart = to_others(real, own), to_others(generated, theirs)
    k = min(k, *(len(row) for rows in apart for row in rows))
    radii, generated_radii = ([row[k - 1] for row in rows] for rows in apart)
    in_real = np.array([[distance(g, r) < radius for r, radius in zip(real, radii, strict=True)] for g in generated])
    in_generated = np.array(
        [[distance(r, g) < s for g, s in zip(generated, generated_radii, strict=True)] for r in real]
    )
    return (
        in_real.any(1).mean(),
        in_generated.any(1).mean(),
        sum(row.sum() / k for row in in_real) / len(generated),
        in_real.any(0).mean(),
    )


@settings(max_examples=60, deadline=None)
@given(n=numbers, m=numbers, d=st.integers(1, 4), k=st.integers(1, 6), seed=seeds, size=st.integers(1, 3))
def test_by_definition(n: int, m: int, d: int, k: int, seed: int, size: int) -> None:
    """`size` rows in a row are of one clip, and no neighbours of each other."""
    real, generated = features(n, d, seed), features(m, d, seed + 100)
    own, theirs = torch.arange(n) // size, torch.arange(m) // size
    groups = {"real_groups": own, "generated_groups": theirs} if size > 1 else {}
    if min(n, m) <= size:
        with pytest.raises(ValueError, match="two clips"):
            precision_recall_density_coverage(real, generated, k, **groups)
        return
    ours = precision_recall_density_coverage(real, generated, k, **groups)
    expected = by_definition(real.numpy(), generated.numpy(), k, own.tolist(), theirs.tolist())
    assert tuple(ours) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(n=numbers, m=numbers, seed=seeds)
def test_order_sides_and_scale(n: int, m: int, seed: int) -> None:
    real, generated = features(n, 3, seed), features(m, 3, seed + 100)
    scores = precision_recall_density_coverage(real, generated)
    generator = torch.Generator().manual_seed(seed)
    shuffled = generated[torch.randperm(m, generator=generator)]
    assert precision_recall_density_coverage(4 * real[torch.randperm(n, generator=generator)], 4 * shuffled) == scores
    swapped = precision_recall_density_coverage(generated, real)
    assert (swapped.precision, swapped.recall) == (scores.recall, scores.precision)
    same = precision_recall_density_coverage(real, real)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert 0 < same.density <= 1  # 1 unless two neighbours are equally far
    assert tuple(precision_recall_density_coverage(real, generated + 1000)) == (0, 0, 0, 0)


def test_lost_and_invented_clips_show_where_they_should() -> None:
    """All generated clips near one real mode of two: precise, half recalled. One in two far off: half as precise."""
    generator = torch.Generator().manual_seed(0)
    mode = torch.randn(100, 4, generator=generator)
    real = torch.cat([mode, torch.randn(100, 4, generator=generator) + 50])
    one_mode = precision_recall_density_coverage(real, torch.randn(200, 4, generator=generator))
    assert one_mode.precision > 0.9 and one_mode.density > 0.9
    assert 0.4 < one_mode.recall < 0.5 and 0.4 < one_mode.coverage <= 0.5
    invented = torch.cat([torch.randn(100, 4, generator=generator), torch.randn(100, 4, generator=generator) - 50])
    scores = precision_recall_density_coverage(mode, invented)
    assert 0.4 < scores.precision <= 0.5


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real, generated = features(23, 3, 0), features(17, 3, 1)
    whole = precision_recall_density_coverage(real, generated)
    monkeypatch.setattr(neighbours, "_BLOCK", 50)
    assert precision_recall_density_coverage(real, generated) == whole
    apart = np.linalg.norm(real[:, None].numpy() - real[None].numpy(), axis=2)
    assert mean_distance(real).item() == pytest.approx(apart.sum() / (23 * 22), rel=1e-12)


def test_what_cannot_be_measured_is_refused() -> None:
    few, clips, broken = torch.zeros(1, 2), torch.rand(4, 2), torch.tensor([[0.0, 1], [float("inf"), 0]])
    for pair in ((few, clips), (clips, few)):
        with pytest.raises(ValueError, match="two clips"):
            precision_recall_density_coverage(*pair)
    for pair in ((broken, clips), (clips, broken)):
        with pytest.raises(ValueError, match="not finite"):
            precision_recall_density_coverage(*pair)
    for refused, words in ((few, "two clips"), (broken, "not finite")):
        with pytest.raises(ValueError, match=words):
            mean_distance(refused)
    with pytest.raises(ValueError, match="no 0th neighbour"):
        precision_recall_density_coverage(clips, clips, 0)
