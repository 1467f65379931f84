"""Decoded frames in another size."""

import numpy as np

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
