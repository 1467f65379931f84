"""Attribution is where a network looks, in space and time, by both methods."""

import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stgan.errors import StganError
from stgan.explain.answers import SHORT_WINDOW, log_odds, log_probabilities, over_time
from stgan.explain.attribution import attribute, cover, gradients, steps
from stgan.networks import VideoClassifier, adapt


class Corner(nn.Module):
    """Names a video by how red it is in the lower left quarter of its first four frames, and by nothing else."""

    def forward(self, videos: Tensor) -> Tensor:
        red = videos[:, 0, :4, 16:, :16].mean((1, 2, 3))
        return torch.stack([10 * red, torch.zeros_like(red), torch.zeros_like(red) - 1], 1)


@pytest.fixture(scope="module")
def corner() -> VideoClassifier:
    return adapt(Corner(), ["red", "else", "never"], size=32, frames=16, mean=0.0, std=1.0)


@pytest.fixture(scope="module")
def video() -> Tensor:
    return torch.rand(3, 16, 32, 32, generator=torch.Generator().manual_seed(0)) / 4 + 0.75


def test_a_network_that_looks_at_one_corner_and_some_frames(corner: VideoClassifier, video: Tensor) -> None:
    found = attribute(corner, video, 0)
    inside = torch.zeros(16, 32, 32, dtype=torch.bool)
    inside[:4, 16:, :16] = True
    values = gradients(corner, video, 0)
    assert values[~inside].abs().max() == 0 and values[inside].mean() > 0
    assert found.heat.shape == (16, 32, 32) and float(found.heat.max()) == pytest.approx(1)
    assert float(found.heat[inside].sum()) > 0.75 * float(found.heat.sum())
    assert found.covering.shape == (4, 4, 4)
    assert found.covering[0, 2:, :2].min() > 0.1 and found.covering[1:].abs().max() < 1e-5
    assert found.covering[0, :2].abs().max() < 1e-5 and found.covering[0, :, 2:].abs().max() < 1e-5
    assert found.agreement is not None and found.agreement > 0.7


def test_gradients_add_up_to_the_difference_from_grey(corner: VideoClassifier, video: Tensor) -> None:
    grey = torch.full_like(video, 0.5)
    difference = log_odds(corner, video[None], 0) - log_odds(corner, grey[None], 0)
    assert float(gradients(corner, video, 0).sum()) == pytest.approx(float(difference), rel=0.1)


def test_the_seed_decides_the_noise_and_other_random_numbers_go_on(corner: VideoClassifier, video: Tensor) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    first = gradients(corner, video, 0, seed=3)
    assert (torch.rand(1), np.random.rand()) == expected
    assert torch.equal(first, gradients(corner, video, 0, seed=3))
    assert not torch.equal(first, gradients(corner, video, 0, seed=-4))


def test_steps_are_counted(corner: VideoClassifier, video: Tensor) -> None:
    calls: list[None] = []
    attribute(corner, video, 0, batch=3, on_step=lambda: calls.append(None))
    assert len(calls) == steps(video.shape[1:], 3)


def test_batches_do_not_matter(corner: VideoClassifier, video: Tensor) -> None:
    torch.testing.assert_close(cover(corner, video, 0, batch=1), cover(corner, video, 0, batch=64))


def test_a_network_that_sees_nothing_has_no_correlation(video: Tensor) -> None:
    class Blind:
        def log_probabilities(self, videos: Tensor) -> Tensor:
            return (0 * videos.mean((1, 2, 3, 4))[:, None] + torch.tensor([1.0, 0.0])).log_softmax(1)

    found = attribute(Blind(), video, 0)
    assert found.agreement is None and not found.heat.any()


def test_without_captum(corner: VideoClassifier, video: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(StganError, match=r'pip install "stgan\[explain\]"'):
        attribute(corner, video, 0)


def test_answers_of_long_videos_and_over_time(corner: VideoClassifier) -> None:
    long = torch.rand(2, 3, 40, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(log_probabilities(corner, long).exp().sum(1), torch.ones(2))
    starts, length, values = over_time(corner, long[0])
    assert (starts, length) == ([0, 8, 16, 24], 16) and values.shape == (4, 3)
    torch.testing.assert_close(values[1:2], log_probabilities(corner, long[:1, :, 8:24]).exp())
    free = adapt(Corner(), ["red", "else", "never"], size=32, frames=None, mean=0.0, std=1.0)
    assert over_time(free, long[0, :, :16])[:2] == ([0, 4, 8], SHORT_WINDOW)
    assert over_time(free, long[0, :, :5])[:2] == ([0], 5)
