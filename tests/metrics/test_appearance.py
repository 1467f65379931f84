"""Changes of colours, and two diversities of clips: what they see, and what they must not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stgan.metrics.appearance import (
    appearance_change,
    background_change,
    colour_change,
    feature_diversity,
    pixel_diversity,
)
from stgan.metrics.motion import motion


def moving(clothes: float = 0.8, time: int = 8) -> Tensor:
    """A square that moves to the right before a background that stays."""
    video = (0.3 + 0.1 * torch.rand(3, 1, 1, 1, generator=torch.Generator().manual_seed(0))).repeat(1, time, 64, 64)
    for t in range(time):
        video[:, t, 16:48, 4 * t : 4 * t + 16] = clothes
    return video[None]


def test_what_moves_is_no_drift() -> None:
    video = moving()
    assert motion(video) > 5
    for measure in (appearance_change, background_change, colour_change):
        assert measure(video).item() == pytest.approx(0, abs=1e-4)
        assert measure(video[:, :, :1]).tolist() == [0]


@settings(max_examples=20, deadline=None)
@given(step=st.floats(-0.02, 0.02), seed=st.integers(0, 99))
def test_a_picture_that_grows_brighter_drifts_by_as_much(step: float, seed: int) -> None:
    picture = 0.3 + 0.2 * torch.rand(2, 3, 1, 20, 30, generator=torch.Generator().manual_seed(seed))
    brighter = picture + step * torch.arange(6).view(1, 1, 6, 1, 1)
    for measure in (appearance_change, background_change, colour_change):
        torch.testing.assert_close(measure(brighter), torch.full((2,), 255 * abs(step)), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(measure(brighter.flip(2)), measure(brighter))
        torch.testing.assert_close(measure(brighter.flip(3, 4)[:1]), measure(brighter)[:1], rtol=1e-3, atol=1e-3)


def test_a_background_that_shimmers_drifts_in_proportion() -> None:
    """A pattern of large spots that is drawn anew every `period` frames: the colours are alike, the places are not."""
    for period in (1, 4):
        spots = torch.rand(1, 3, 8 // period, 4, 4, generator=torch.Generator().manual_seed(1)).repeat_interleave(
            period, 2
        )
        spots = (spots - 0.5).repeat_interleave(16, 3).repeat_interleave(16, 4)
        once, twice = (background_change(moving() + strength * spots).item() for strength in (0.1, 0.2))
        assert once > 2 / period and twice == pytest.approx(2 * once, rel=0.1)
        assert appearance_change(moving() + 0.1 * spots) > 1 / period


def test_clothes_that_change_drift_and_the_background_does_not() -> None:
    """By the clothes' own change times their share of the frame."""
    video = moving()
    for t in range(8):
        video[0, 0, t, 16:48, 4 * t : 4 * t + 16] -= 0.05 * t  # 12.75 levels a step, of one channel
    share = 32 * 16 / 64**2
    assert colour_change(video).item() == pytest.approx(share * 12.75 / 3, rel=1e-3)
    assert background_change(video).item() == pytest.approx(0, abs=1e-4)
    both = video.clone()  # shirt and trousers change against each other: the mean colour stays
    both[0, :, :, 16:32] += 0.02 * torch.arange(8)[:, None, None]
    both[0, :, :, 32:48] -= 0.02 * torch.arange(8)[:, None, None]
    assert colour_change(both) > 2 * colour_change(video)


def test_noise_is_little_drift() -> None:
    noise = 0.5 + 0.02 * torch.randn(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0))
    assert motion(noise) > 5
    assert appearance_change(noise) < 0.1 * motion(noise)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 5), time=st.integers(1, 4), seed=st.integers(0, 99))
def test_pixel_diversity_is_that_of_all_pairs(n: int, time: int, seed: int) -> None:
    videos = torch.rand(n, 3, time, 4, 4, generator=torch.Generator().manual_seed(seed))
    pictures = videos.double().numpy().mean(2)
    pairs = [abs(pictures[i] - pictures[j]).mean() for i in range(n) for j in range(i)]
    assert float(pixel_diversity(videos)) == pytest.approx(255 * sum(pairs) / len(pairs), rel=1e-4)
    assert float(pixel_diversity(videos[:1].expand(n, -1, -1, -1, -1))) == 0
    with pytest.raises(ValueError, match="two clips"):
        pixel_diversity(videos[:1])


@settings(max_examples=25, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=2, max_size=12), seed=st.integers(0, 99))
def test_diversity_is_that_of_pairs_of_one_action(labels: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(labels), 4, generator=generator) + 100
    clips = features.double().numpy()
    actions = []
    for action in set(labels):
        own = [clip for clip, label in zip(clips, labels, strict=True) if label == action]
        if len(own) > 1:
            actions.append(np.mean([np.linalg.norm(a - b) for i, a in enumerate(own) for b in own[:i]]))
    if not actions:
        with pytest.raises(ValueError, match="two clips or more of one"):
            feature_diversity(features, torch.tensor(labels))
        return
    value = feature_diversity(features, torch.tensor(labels))
    assert value.item() == pytest.approx(np.mean(actions), rel=1e-12)
    order = torch.randperm(len(labels), generator=generator)
    torch.testing.assert_close(feature_diversity(-2 * features[order], torch.tensor(labels)[order]), 2 * value)
