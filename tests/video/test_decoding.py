"""Decoded frames in another size."""

import math

import numpy as np
import pytest
from restated import between_four

from stgan.video import resize_and_crop


def test_resize_and_crop_keeps_the_centre() -> None:
    frames = np.zeros((2, 40, 80, 3), np.uint8)
    frames[:, 10:30, 30:50] = 255  # a square in the middle
    small = resize_and_crop(frames, 20)
    assert small.shape == (2, 20, 20, 3)
    assert (small[:, 6:14, 6:14] == 255).all() and (small[:, :4] == 0).all() and (small[:, :, :4] == 0).all()
    assert np.array_equal(small[:, ::-1, ::-1], small)
    assert resize_and_crop(frames, (40, 80)) is frames
    assert resize_and_crop(frames, (7, 50)).shape == (2, 7, 50, 3)
    assert resize_and_crop(frames, 100).shape == (2, 100, 100, 3)


def test_resize_is_antialiased() -> None:
    lines = np.zeros((1, 64, 64, 3), np.uint8)
    lines[:, :, ::2] = 255
    assert np.abs(resize_and_crop(lines, 8).astype(int) - 127).max() < 10


@pytest.mark.parametrize("shape", [(24, 32), (37, 23), (30, 30), (9, 14)])
def test_aliased_is_how_videogpt_and_tats_scale_real_clips(shape: tuple[int, int]) -> None:
    """Restated: the short side becomes 16, the other is rounded up, the centre is cut out, bytes are cut off."""
    frames = np.random.default_rng(0).integers(0, 256, (2, *shape, 3)).astype(np.uint8)
    scale = 16 / min(shape)
    height, width = (16, math.ceil(shape[1] * scale)) if shape[0] < shape[1] else (math.ceil(shape[0] * scale), 16)
    top, left = (height - 16) // 2, (width - 16) // 2
    wanted = np.stack([between_four(frame / 255, height, width) for frame in frames])
    wanted = 255 * wanted[:, top : top + 16, left : left + 16]
    found = resize_and_crop(frames, 16, "aliased")
    assert found.shape == (2, 16, 16, 3)
    assert (np.abs(found - wanted) < 1.001).all() and (found == np.floor(wanted)).mean() > 0.99
    assert resize_and_crop(frames, (12, 7), "aliased").shape == (2, 12, 7, 3)
