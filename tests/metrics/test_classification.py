"""The scores, against closed forms, numpy and torchmetrics."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from stgan.metrics.classification import (
    confusion_matrix,
    contributions,
    inception_interval,
    inception_score,
    wilson_interval,
)

sizes = st.tuples(st.integers(1, 12), st.integers(1, 6))
weights = sizes.flatmap(lambda size: arrays(float, size, elements=st.sampled_from([0.0, 1e-30, 0.1, 0.5, 1.0, 7.0])))


def probabilities_of(values: np.ndarray) -> Tensor:
    """Rows that sum to one; rows of nothing but zeros become certain of the first class."""
    values = values.copy()
    values[values.sum(1) == 0, 0] = 1
    return torch.from_numpy(values / values.sum(1, keepdims=True))


def entropy(p: np.ndarray) -> np.ndarray:
    return -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)


def restated(probabilities: Tensor, splits: int) -> tuple[float, float]:
    """The score as the exponential of a mutual information: the entropy of the mean less the mean entropy."""
    n = len(probabilities)
    parts = [probabilities[i * n // splits : (i + 1) * n // splits].double().numpy() for i in range(splits)]
    scores = [np.exp(entropy(part.mean(0)) - entropy(part).mean()) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


@settings(deadline=None)
@given(weights, st.integers(1, 12))
def test_inception_score_in_numpy(values: np.ndarray, splits: int) -> None:
    probabilities = probabilities_of(values)
    splits = min(splits, len(probabilities))
    mean, std = inception_score(probabilities.log(), splits)
    assert (mean.item(), std.item()) == pytest.approx(restated(probabilities, splits), rel=1e-12, abs=1e-12)
    assert 1 <= mean <= probabilities.shape[1] + 1e-12


def test_inception_score_in_closed_form() -> None:
    for classes in (1, 101):
        balanced = torch.eye(classes).repeat(3, 1)
        assert inception_score(balanced.log())[0].item() == pytest.approx(classes)
        uniform = torch.full((5, classes), 1 / classes)
        assert inception_score(uniform.log())[0].item() == pytest.approx(1)
        always_the_first = torch.eye(classes)[:1].repeat(5, 1)
        assert inception_score(always_the_first.log())[0].item() == pytest.approx(1)
    undecided_in_pairs = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    assert inception_score(undecided_in_pairs.log())[0].item() == pytest.approx(2)


def test_splits_are_taken_in_order() -> None:
    one_class_a_split = torch.eye(2).repeat_interleave(5, 0)
    assert [x.item() for x in inception_score(one_class_a_split.log())] == pytest.approx([2, 0])
    assert [x.item() for x in inception_score(one_class_a_split.log(), 2)] == pytest.approx([1, 0])
    certain_then_undecided = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]])
    assert [x.item() for x in inception_score(certain_then_undecided.log(), 2)] == pytest.approx([1.5, 0.5])


def test_rounding_of_single_precision_does_not_count() -> None:
    """Rows of float32 logarithms sum to one only nearly; their scores must not show it."""
    logits = torch.tensor([[0.5 + 1e-4, 0.5 - 1e-4], [0.5 - 1e-4, 0.5 + 1e-4]], dtype=torch.float64).log()
    score = inception_score(logits.float())[0]
    assert score.dtype == torch.float64
    assert score.item() - 1 == pytest.approx(2e-8, rel=1e-2)
    unnormalised = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        inception_score(unnormalised.log_softmax(1) + 1e-3), inception_score(unnormalised), rtol=1e-6, atol=1e-7
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([0, -1, 3, -400, -1000]), min_size=3, max_size=3), min_size=2, max_size=6),
    st.booleans(),
)
def test_probabilities_below_the_smallest_number(rows: list[list[int]], impossible: bool) -> None:
    """Against the definition in 60 decimal digits; a probability of exp(-1000) is 0 in float64."""
    log_p = torch.tensor(rows, dtype=torch.float64)
    if impossible:
        log_p = torch.cat([log_p, torch.full((len(rows), 1), -float("inf"), dtype=torch.float64)], 1)
    with localcontext() as context:
        context.prec = 60
        p = [[Decimal(x).exp() for x in row] for row in rows]
        p = [[x / sum(row) for x in row] for row in p]
        marginal = [sum(column) / len(p) for column in zip(*p, strict=True)]
        exact = [float(sum(x * (x / m).ln() for x, m in zip(row, marginal, strict=True))) for row in p]
    assert contributions(log_p).tolist() == pytest.approx(exact, rel=1e-12, abs=1e-12)
    assert inception_score(log_p)[0].item() == pytest.approx(float(np.exp(np.mean(exact))), rel=1e-12)


@settings(deadline=None)
@given(weights, st.integers(0, 99))
def test_contributions_belong_to_their_clips(values: np.ndarray, seed: int) -> None:
    log_p = probabilities_of(values).log()
    each = contributions(log_p)
    assert ((each >= 0) & (each <= np.log(len(log_p)) + 1e-12)).all()
    torch.testing.assert_close(each.mean().exp(), inception_score(log_p)[0])
    order = torch.randperm(len(log_p), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(contributions(log_p[order]), each[order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(contributions(log_p.repeat(3, 1)), each.repeat(3), rtol=1e-12, atol=1e-12)


def test_a_clip_without_probabilities_is_refused() -> None:
    for row in ([float("nan"), 0.0], [-float("inf")] * 2):
        for measure in (inception_score, contributions, inception_interval):
            with pytest.raises(ValueError, match="a clip has no probabilities"):
                measure(torch.tensor([row, [0.0, 0.0]]))


def logits_of(n: int, classes: int, generator: torch.Generator) -> Tensor:
    """A judge that names 80 % of the clips of random classes as asked, more and less certainly."""
    named = torch.randint(classes, (n,), generator=generator)
    certainty = 5 * torch.empty(n).exponential_(generator=generator)
    return torch.randn(n, classes, generator=generator) + certainty[:, None] * torch.eye(classes)[named]


def test_interval_covers_the_score_of_as_many_clips() -> None:
    """The mean score of sets of n clips lies in most of the intervals, and each holds the score it stands beside."""
    for n, classes, splits in ((36, 9, 1), (90, 9, 10)):
        generator = torch.Generator().manual_seed(0)
        expected = np.mean([inception_score(logits_of(n, classes, generator), splits)[0].log() for _ in range(200)])
        covered = 0
        for _ in range(60):
            clips = logits_of(n, classes, generator)
            low, high = inception_interval(clips, splits, resamples=200)
            assert 1 <= low <= inception_score(clips, splits)[0] <= high <= classes
            covered += low <= np.exp(expected) <= high
        assert covered >= 51  # of 60: nearer to 92 % than to 95 % for so few clips


def test_interval_is_that_of_drawing_clips_one_set_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for splits in (1, 4):
        monkeypatch.undo()
        clips = logits_of(30, 4, torch.Generator().manual_seed(1))
        generator = torch.Generator().manual_seed(7)
        sets = torch.randint(30, (50, 30), generator=generator)
        drawn = np.log([inception_score(clips[indices], splits)[0].item() for indices in sets])
        score = np.log(inception_score(clips, splits)[0].item())
        expected = np.exp(score + np.quantile(drawn - drawn.mean(), [0.025, 0.975]))
        assert inception_interval(clips, splits, 50, seed=7) == pytest.approx(tuple(expected), rel=1e-12)
        monkeypatch.setattr("stgan.metrics.classification._BLOCK", 100)
        assert inception_interval(clips, splits, 50, seed=7) == pytest.approx(tuple(expected), rel=1e-12)


def test_interval_of_clips_that_are_all_alike() -> None:
    assert inception_interval(torch.zeros(5, 3)) == pytest.approx((1, 1))
    assert inception_interval(torch.zeros(1, 3)) == pytest.approx((1, 1))
    assert inception_interval(torch.eye(4).repeat(20, 1).log())[1] == 4


def test_impossible_splits() -> None:
    for clips, splits in ((0, 1), (3, 4), (3, 0)):
        with pytest.raises(ValueError, match=f"{clips} clips cannot be scored in {splits} splits"):
            inception_score(torch.zeros(clips, 2), splits)


@settings(deadline=None)
@given(st.integers(1, 5).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.tuples(*[st.integers(0, k - 1)] * 2)))))
def test_confusion_matrix(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = drawn
    naive = [[pairs.count((row, column)) for column in range(classes)] for row in range(classes)]
    actions, predicted = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).T
    matrix = confusion_matrix(actions, predicted, classes)
    assert matrix.tolist() == naive
    if classes > 1:  # torchmetrics knows no single class
        assert torch.equal(matrix, multiclass_confusion_matrix(predicted, actions, classes))


@given(n=st.integers(1, 200), data=st.data())
def test_wilson_interval_solves_its_quadratic(n: int, data: st.DataObject) -> None:
    """Its ends are the proportions that lie 1.96 standard errors of their own from the one observed."""
    successes = data.draw(st.integers(0, n))
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    for end in (low, high):
        assert abs(end - successes / n) == pytest.approx(1.96 * (end * (1 - end) / n) ** 0.5, abs=1e-6)


def test_no_proportion() -> None:
    for successes, n in ((0, 0), (4, 3), (-1, 3)):
        with pytest.raises(ValueError, match="is no proportion"):
            wilson_interval(successes, n)


def test_windows_of_a_clip_are_drawn_together() -> None:
    """Each clip three times over: the interval of the clips, not a narrower one."""
    clips = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)) * 2
    groups = torch.arange(20).repeat(3)
    wide = inception_interval(clips.repeat(3, 1), groups=groups)
    assert wide == pytest.approx(inception_interval(clips), rel=1e-9)
    narrow = inception_interval(clips.repeat(3, 1))
    assert narrow[1] - narrow[0] < 0.8 * (wide[1] - wide[0])
    assert inception_interval(clips, groups=torch.arange(20)) == inception_interval(clips)
    with pytest.raises(ValueError, match="2 groups of clips cannot be drawn in 3 splits"):
        inception_interval(clips, 3, groups=torch.arange(20) % 2)
