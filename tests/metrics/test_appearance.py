"""Drift of colours, variety and diversity of clips: what they see, and what they must not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stgan.metrics.appearance import appearance_drift, diversity, variety


def test_drift_sees_changing_colours_and_not_motion() -> None:
    moving = torch.zeros(1, 3, 8, 16, 16)
    for t in range(8):
        moving[0, :, t, 4:8, t : t + 4] = 1
    assert appearance_drift(moving).item() == pytest.approx(0, abs=1e-5)
    brighter = (torch.arange(5) / 10).view(1, 1, 5, 1, 1).expand(2, 3, -1, 4, 4)
    torch.testing.assert_close(appearance_drift(brighter), torch.tensor([25.5, 25.5]))
    assert appearance_drift(moving[:, :, :1]).tolist() == [0]


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 5), time=st.integers(1, 4), seed=st.integers(0, 99))
def test_variety_is_that_of_all_pairs(n: int, time: int, seed: int) -> None:
    videos = torch.rand(n, 3, time, 4, 4, generator=torch.Generator().manual_seed(seed))
    pictures = videos.double().numpy().mean(2)
    pairs = [abs(pictures[i] - pictures[j]).mean() for i in range(n) for j in range(i)]
    assert float(variety(videos)) == pytest.approx(255 * sum(pairs) / len(pairs), rel=1e-4)
    assert float(variety(videos[:1].expand(n, -1, -1, -1, -1))) == 0


def test_variety_of_one_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="two clips"):
        variety(torch.zeros(1, 3, 2, 4, 4))


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
            diversity(features, torch.tensor(labels))
        return
    value = diversity(features, torch.tensor(labels))
    assert value.item() == pytest.approx(np.mean(actions), rel=1e-12)
    order = torch.randperm(len(labels), generator=generator)
    torch.testing.assert_close(diversity(-2 * features[order], torch.tensor(labels)[order]), 2 * value)


def test_diversity_does_not_see_that_actions_differ() -> None:
    assert diversity(torch.tensor([[0.0], [0.0], [9.0], [9.0]]), torch.tensor([0, 0, 1, 1])).item() == 0
