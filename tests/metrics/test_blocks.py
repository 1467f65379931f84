"""Metrics of pixels are of RGB videos in [0, 1], and give no number for anything else."""

import pytest
import torch

from stgan.metrics.appearance import appearance_change, background_change, colour_change, pixel_diversity
from stgan.metrics.blocks import check_pixels
from stgan.metrics.motion import flicker, frozen, held, motion, visible_motion

METRICS = (
    *(motion, visible_motion, flicker, frozen, held),
    *(appearance_change, background_change, colour_change, pixel_diversity),
)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
def test_values_of_another_range_have_no_metrics(metric: object) -> None:
    assert callable(metric)
    videos = torch.rand(2, 3, 4, 8, 8)
    assert metric(videos).isfinite().all()
    broken = videos.clone()
    broken[0, 0, 0, 0, 0] = float("nan")
    for wrong in (255 * videos, 2 * videos - 1, broken, broken[:, :, :1]):
        with pytest.raises(ValueError, match=r"values of videos are in \[0, 1\]"):
            metric(wrong)


def test_rounding_is_allowed_and_other_channels_are_not() -> None:
    check_pixels(torch.full((1, 3, 2, 4, 4), 1 + 1e-4))
    check_pixels(torch.empty(0, 3, 2, 4, 4))
    with pytest.raises(ValueError, match="three channels"):
        check_pixels(torch.rand(1, 4, 2, 4, 4))
