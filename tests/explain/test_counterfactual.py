"""Counterfactuals flip the network with a small change, and no smaller share of it is enough."""

import pytest
import torch
from torch import Tensor, nn

from stgan.errors import StganError
from stgan.explain.answers import log_probabilities
from stgan.explain.counterfactual import Counterfactual, CounterfactualSettings, find_counterfactual
from stgan.networks import VideoClassifier, adapt
from stgan.video import to_float, to_uint8


class Linear(nn.Module):
    """Three classes: brighter than middle grey on the left, brighter on the right, and neither."""

    def forward(self, videos: Tensor) -> Tensor:
        left, right = videos[..., :16].mean((1, 2, 3, 4)), videos[..., 16:].mean((1, 2, 3, 4))
        return 40 * torch.stack([left - right, right - left, torch.full_like(left, 0.02)], 1)


@pytest.fixture(scope="module")
def linear() -> VideoClassifier:
    return adapt(Linear(), ["left", "right", "neither"], size=32, frames=8, mean=0.0, std=1.0)


@pytest.fixture(scope="module")
def video() -> Tensor:
    video = torch.rand(3, 8, 32, 32, generator=torch.Generator().manual_seed(0)) / 2
    video[..., :16] += 0.08
    return (255 * video).round() / 255


@pytest.fixture(scope="module")
def found(linear: VideoClassifier, video: Tensor) -> Counterfactual:
    return find_counterfactual(linear, video, 1)


def says(network: VideoClassifier, video: Tensor) -> Tensor:
    return log_probabilities(network, video[None])[0].exp()


def test_it_flips(linear: VideoClassifier, video: Tensor, found: Counterfactual) -> None:
    assert int(says(linear, video).argmax()) == 0
    after = says(linear, found.video)
    assert found.flipped and int(after.argmax()) == 1 and float(after[1]) >= 0.5
    assert torch.equal(to_float(to_uint8(found.video)), found.video)  # it can be written to a file as it is
    assert 0 < 255 * float((found.video - video).abs().mean()) < 25


def test_no_smaller_share_is_enough(linear: VideoClassifier, video: Tensor) -> None:
    """To within the last bisection, whatever the step: a large step is cut back."""
    fine = CounterfactualSettings(step=40.0, bisections=8)
    large = find_counterfactual(linear, video, 1, fine)
    assert large.flipped and 0 < large.share < 1
    change = large.video - video
    assert float(says(linear, large.video)[1]) == pytest.approx(0.5, abs=0.05)
    assert float(says(linear, video + 0.9 * change)[1]) < 0.5
    coarse = find_counterfactual(linear, video, 1, CounterfactualSettings(step=40.0, bisections=0))
    assert coarse.share == 1 and float(says(linear, coarse.video)[1]) > float(says(linear, large.video)[1])


def test_it_is_deterministic_and_counts_its_steps(
    linear: VideoClassifier, video: Tensor, found: Counterfactual
) -> None:
    calls: list[int] = []
    again = find_counterfactual(linear, video, 1, on_step=calls.append)
    assert torch.equal(again.video, found.video) and calls == list(range(1, found.steps + 1))


def test_too_few_steps_do_not_flip(linear: VideoClassifier, video: Tensor) -> None:
    few = CounterfactualSettings(iterations=2, bisections=0)
    free = find_counterfactual(linear, video, 1, few)
    assert not free.flipped and free.steps == 2 and free.share == 1


def test_what_the_network_says_already_is_not_changed(linear: VideoClassifier, video: Tensor) -> None:
    same = find_counterfactual(linear, video, 0)
    assert same.flipped and same.steps == 0 and torch.equal(same.video, video)


@pytest.mark.parametrize(
    "wrong", [{"iterations": 0}, {"step": 0.0}, {"momentum": 1.0}, {"closeness": -1.0}, {"bisections": -1}]
)
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(StganError, match=next(iter(wrong))):
        CounterfactualSettings(**wrong)
