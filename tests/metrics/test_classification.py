"""The scores, against closed forms, numpy and torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn
from torchmetrics.image.inception import InceptionScore

from stgan.metrics.classification import confusion_matrix, inception_score, motion

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
    parts = np.array_split(probabilities.double().numpy(), splits)
    scores = [np.exp(entropy(part.mean(0)) - entropy(part).mean()) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


@settings(deadline=None)
@given(weights, st.integers(1, 12))
def test_inception_score_in_numpy(values: np.ndarray, splits: int) -> None:
    probabilities = probabilities_of(values)
    splits = min(splits, len(probabilities))
    mean, std = inception_score(probabilities, splits)
    assert (mean.item(), std.item()) == pytest.approx(restated(probabilities, splits), rel=1e-9, abs=1e-9)
    assert 1 - 1e-9 <= mean <= probabilities.shape[1] + 1e-9


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save", r"ignore:std\(\)")
@pytest.mark.parametrize("splits", [1, 2, 5])
def test_inception_score_of_torchmetrics(splits: int) -> None:
    """torchmetrics shuffles the clips, and takes the sample's standard deviation instead of the population's."""
    torch.manual_seed(0)
    logits = 3 * torch.randn(40, 7, dtype=torch.float64)
    reference = InceptionScore(feature=nn.Identity(), splits=splits)
    reference.update(logits)
    torch.manual_seed(1)
    mean, std = reference.compute()
    torch.manual_seed(1)
    ours = inception_score(logits[torch.randperm(40)].softmax(1), splits)
    torch.testing.assert_close(ours[0], mean)
    if splits > 1:
        torch.testing.assert_close(ours[1], std * ((splits - 1) / splits) ** 0.5)


@pytest.mark.parametrize("classes", [1, 2, 10, 101])
def test_inception_score_in_closed_form(classes: int) -> None:
    balanced = torch.eye(classes).repeat(3, 1)
    assert inception_score(balanced)[0].item() == pytest.approx(classes)
    uniform = torch.full((5, classes), 1 / classes)
    assert inception_score(uniform)[0].item() == pytest.approx(1)
    always_the_first = torch.eye(classes)[:1].repeat(5, 1)
    assert inception_score(always_the_first)[0].item() == pytest.approx(1)


def test_inception_score_of_classes_between_which_clips_are_undecided() -> None:
    pairs = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    assert inception_score(pairs)[0].item() == pytest.approx(2)


def test_splits_are_taken_in_order() -> None:
    one_class_a_split = torch.eye(2).repeat_interleave(5, 0)
    assert [x.item() for x in inception_score(one_class_a_split)] == pytest.approx([2, 0])
    assert [x.item() for x in inception_score(one_class_a_split, 2)] == pytest.approx([1, 0])
    certain_then_undecided = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]])
    assert [x.item() for x in inception_score(certain_then_undecided, 2)] == pytest.approx([1.5, 0.5])


def test_small_differences_survive_single_precision() -> None:
    probabilities = torch.tensor([[0.5 + 1e-4, 0.5 - 1e-4], [0.5 - 1e-4, 0.5 + 1e-4]])
    score = inception_score(probabilities)[0]
    assert score.dtype == torch.float64
    assert score.item() - 1 == pytest.approx(2e-8, rel=1e-2)


@pytest.mark.parametrize(("clips", "splits"), [(0, 1), (3, 4), (3, 0), (3, -1)])
def test_impossible_splits(clips: int, splits: int) -> None:
    with pytest.raises(ValueError, match=f"{clips} clips cannot be scored in {splits} splits"):
        inception_score(torch.full((clips, 2), 0.5), splits)


@settings(deadline=None)
@given(st.integers(1, 5).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.tuples(*[st.integers(0, k - 1)] * 2)))))
def test_confusion_matrix(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = drawn
    naive = [[pairs.count((row, column)) for column in range(classes)] for row in range(classes)]
    actions, predicted = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).T
    assert confusion_matrix(actions, predicted, classes).tolist() == naive


@pytest.mark.parametrize("step", [0.0, 0.125, -0.25])
def test_motion_of_a_steady_change(step: float) -> None:
    ramp = 0.5 + step * torch.arange(3).view(1, 1, 3, 1, 1)
    assert motion(ramp.expand(2, 3, 3, 4, 5)).tolist() == pytest.approx([255 * abs(step)] * 2)


def test_motion_is_a_mean_over_pixels_of_each_clip() -> None:
    videos = torch.zeros(2, 3, 4, 8, 8)
    videos[1, :, 1::2, :2] = 1.0  # a quarter of the picture flickers: changes of opposite sign do not cancel
    assert motion(videos).tolist() == pytest.approx([0, 255 / 4])


def test_motion_of_a_single_frame() -> None:
    assert motion(torch.rand(2, 3, 1, 4, 4)).tolist() == [0, 0]
