"""Frames to train on: how they are moved, and how what moves in them is told from what stands still."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stgan.training.clip_data import ClipData, emphasis, shifted
from stgan.training.step_randomness import StepRandomness


@settings(max_examples=60, deadline=None)
@given(
    down=st.integers(-12, 12), right=st.integers(-12, 12), mirror=st.booleans(), colour=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_shifting_is_padding_and_cutting(down: int, right: int, mirror: bool, colour: bool, seed: int) -> None:
    shape = (2, 7, 9, 3) if colour else (2, 7, 9)
    frames = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    padded = np.pad(frames, ((0, 0), (12, 12), (12, 12), (0, 0))[: len(shape)], mode="edge")
    expected = padded[:, 12 - down : 19 - down, 12 - right : 21 - right]
    found = shifted(frames, down, right, mirror)
    assert found.dtype == np.uint8 and np.array_equal(found, expected[:, :, ::-1] if mirror else expected)
    rolled = np.roll(frames, (down, right), (1, 2))  # alike where nothing comes in from beyond
    inside = slice(max(down, 0), max(7 + min(down, 0), 0)), slice(max(right, 0), max(9 + min(right, 0), 0))
    assert np.array_equal(shifted(frames, down, right, False)[:, inside[0], inside[1]], rolled[:, inside[0], inside[1]])


def test_emphasis_rises_from_sensor_noise_to_movement() -> None:
    foreground = torch.tensor([[[0, 16, 24, 32], [40, 48, 60, 255]]], dtype=torch.uint8)
    expected = torch.tensor([[[[1, 1, 1.75, 2.5], [3.25, 4, 4, 4]]]])
    assert torch.equal(emphasis(foreground, 3.0), expected)
    assert torch.equal(emphasis(foreground, 0.0), torch.ones(1, 1, 2, 4))


@pytest.mark.parametrize("shift", [0, 2])
def test_a_frame_and_its_foreground_are_moved_alike(data: ClipData, shift: int) -> None:
    batch = data.frames(24, StepRandomness(0, 1), shift)
    moves = [
        (y, x, mirror) for y in range(-shift, shift + 1) for x in range(-shift, shift + 1) for mirror in (False, True)
    ]
    seen = set()
    for image, action, number, foreground in zip(*batch, strict=True):
        clip = data.clips[int(number)]
        assert data.labels[int(number)] == int(action)
        still = np.median(clip, 0)
        from_still = np.abs(clip - np.floor(still)).max(-1).astype(np.uint8)
        found = [
            move
            for move in moves
            for frame, far in zip(shifted(clip, *move), shifted(from_still, *move), strict=True)
            if np.array_equal(frame, image.numpy()) and np.array_equal(far, foreground.numpy())
        ]
        assert found
        seen.update(found)
    assert len({mirror for _, _, mirror in seen}) == 2 and (shift == 0) == (len({move[:2] for move in seen}) == 1)


def test_what_stands_still_is_no_foreground(data: ClipData) -> None:
    square = np.full((20, 16, 16, 3), 60, np.uint8)
    square[:, :3, :3] = 200  # bright, but it never moves
    for t in range(20):
        square[t, 8:11, t % 12 : t % 12 + 3] = 220
    one = replace(data.select([True] + [False] * 8), clips=[square])
    batch = one.frames(8, StepRandomness(0, 0))
    moving = (batch.images == 220).all(-1)
    assert torch.equal(batch.foreground, torch.where(moving, 160, 0).byte())


def test_windows_are_of_the_clips_and_frames_that_were_drawn(data: ClipData) -> None:
    drawn = data.window_frames(10, StepRandomness(2, 3))
    videos, labels = data.windows(10, StepRandomness(2, 3))
    for (clip, frames), video, label in zip(drawn, videos, labels, strict=True):
        assert np.array_equal(data.clips[clip][frames], video.numpy()) and data.labels[clip] == int(label)
        assert np.array_equal(frames, np.arange(frames[0], frames[0] + 16))
    halves = [data.window_frames(10, StepRandomness(2, 3, rank, 2)) for rank in (0, 1)]
    for one, other in zip(drawn, [*halves[0], *halves[1]], strict=True):
        assert one[0] == other[0] and np.array_equal(one[1], other[1])


def test_a_short_clip_is_tested_on_few_windows_that_show_all_of_it(data: ClipData) -> None:
    for frames, windows in ((9, 1), (16, 1), (17, 2), (24, 2), (40, 4), (160, 10)):
        pixel = np.linspace(0, 255, frames).round().astype(np.uint8)
        clip = np.broadcast_to(pixel[:, None, None, None], (frames, 16, 16, 3))
        one = replace(data.select([True] + [False] * 8), clips=[clip])
        videos = one.test_windows(0)
        assert videos.shape == (windows, 3, 16, 16, 16)
        assert {*(255 * videos).round().byte().unique().tolist()} == {*pixel.tolist()}
