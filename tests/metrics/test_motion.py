"""Motion, against made videos."""

import pytest
import torch

from stgan.metrics.motion import motion


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
