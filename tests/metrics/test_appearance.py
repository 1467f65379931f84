"""Drift of colours and variety of clips: what they see, and what they must not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stgan.metrics.appearance import appearance_drift, variety


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
