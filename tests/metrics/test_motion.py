"""Motion, flicker and standstill: what they see in made videos, and what they must not."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stgan.metrics.motion import (
    VISIBLE,
    block_means,
    flicker,
    frozen,
    held,
    is_flickering,
    is_frozen,
    motion,
    visible_motion,
)
from stgan.video import center_window, read_video, to_float, write_video


def passing(width: int, speed: int, height: int = 32, time: int = 12) -> Tensor:
    """A bright bar of `width` pixels on grey that moves to the right by `speed` pixels a frame, and leaves."""
    video = torch.full((1, 3, time, height, height), 0.25)
    for t in range(time):
        video[..., t, 4:20, max(0, t * speed - width) : max(0, t * speed)] = 0.75
    return video


def test_motion_is_a_mean_over_pixels_of_each_clip() -> None:
    videos = torch.zeros(2, 3, 4, 8, 8)
    videos[1, :, 1::2, :2] = 1.0  # a quarter of the picture flickers: changes of opposite sign do not cancel
    assert motion(videos).tolist() == pytest.approx([0, 255 / 4])


def test_clips_that_are_too_short() -> None:
    for measure, frames, value in (
        (motion, 1, 0),
        (visible_motion, 1, 0),
        (flicker, 3, 0),
        (frozen, 1, 1),
        (held, 2, 1),
    ):
        assert measure(torch.rand(2, 3, frames, 4, 4)).tolist() == [value] * 2


def test_what_moves_does_not_flicker_however_fast() -> None:
    for speed in (1, 3, 8, 16):
        for width in (1, 8):
            video = passing(width, speed)
            assert motion(video) > 0.5
            assert flicker(video).item() == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(4, 9))
def test_all_change_of_alternating_frames_is_flicker(seed: int, time: int) -> None:
    two = torch.rand(1, 3, 2, 16, 16, generator=torch.Generator().manual_seed(seed))
    alternating = two[:, :, torch.arange(time) % 2]
    torch.testing.assert_close(flicker(alternating), motion(alternating))


def test_flicker_is_found_beside_motion_and_in_brightness_alone() -> None:
    video = passing(8, 2)
    brighter = video + 0.1 * (torch.arange(12) % 2).view(1, 1, -1, 1, 1)
    # To and fro everywhere but where the bar's own change is larger for a moment.
    assert 0.8 * 25.5 < flicker(brighter).item() <= 25.5 + 1e-4


def test_sensor_noise_moves_but_hardly_flickers() -> None:
    noise = 0.5 + 0.02 * torch.randn(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0))
    assert motion(noise) > 5
    assert flicker(noise) < 0.1 * motion(noise)
    assert frozen(0.5 + 0.3 * (noise - 0.5)).item() == 1


@settings(max_examples=25, deadline=None)
@given(time=st.integers(4, 7), height=st.integers(1, 6), seed=st.integers(0, 99))
def test_flicker_and_standstill_pixel_by_pixel(time: int, height: int, seed: int) -> None:
    """Clips under 32 pixels have blocks of one pixel."""
    video = torch.rand(1, 3, time, height, 5, generator=torch.Generator().manual_seed(seed)) * 0.05
    pixels = 255 * video[0].double().numpy()
    total = 0.0
    for channel, y, x in itertools.product(range(3), range(height), range(5)):
        a = np.diff(pixels[channel, :, y, x])
        for t in range(time - 3):
            if len({bool(a[t] > 0), bool(a[t + 1] <= 0), bool(a[t + 2] > 0)}) == 1:
                total += min(abs(a[t : t + 3]))
    assert flicker(video).item() == pytest.approx(total / (3 * (time - 3) * height * 5), rel=1e-3)
    still = [np.abs(pixels[:, t + 1] - pixels[:, t]).max() < 4 for t in range(time - 1)]
    assert frozen(video).item() == pytest.approx(np.mean(still))
    held_ = [np.ptp(pixels[:, t : t + 3], axis=1).max() < VISIBLE for t in range(time - 2)]
    assert held(video).item() == pytest.approx(np.mean(held_))
    change = np.abs(np.diff(pixels, axis=1))
    visible = change * (change.max(0) >= VISIBLE)
    assert visible_motion(video).item() == pytest.approx(visible.mean(), rel=1e-3, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.01, 0.9), seed=st.integers(0, 99))
def test_contrast_brightness_direction_of_time_and_mirrors(scale: float, seed: int) -> None:
    video = torch.rand(2, 3, 6, 32, 32, generator=torch.Generator().manual_seed(seed))
    for measure in (motion, flicker):
        torch.testing.assert_close(measure(scale * video + 0.1), scale * measure(video), rtol=1e-3, atol=1e-3)
    for measure in (motion, visible_motion, flicker, frozen, held):
        for dimension in (2, 3, 4):
            torch.testing.assert_close(measure(video.flip(dimension)), measure(video))
        torch.testing.assert_close(measure(video)[1:], measure(video[1:]))


def test_steps_without_visible_change() -> None:
    video = passing(8, 2)
    assert frozen(video).item() == 0
    held = torch.cat([video, video[:, :, -1:].expand(-1, -1, 11, -1, -1)], 2)
    assert frozen(held).item() == 0.5
    repeated = video.repeat_interleave(2, 2)  # each frame twice
    assert frozen(repeated).item() == pytest.approx(12 / 23)
    fading = (torch.arange(9) / 100).view(1, 1, -1, 1, 1).expand(1, 3, -1, 8, 8)  # 2.55 levels a step
    assert frozen(fading).item() == 1
    assert frozen(2 * fading).item() == 0


def test_verdicts() -> None:
    video = passing(8, 2, time=16)
    standing = video[:, :, [6] * 16]
    pause = torch.cat([video[:, :, :12], video[:, :, 11:12].expand(-1, -1, 4, -1, -1)], 2)  # three of 14 are held
    repeated = video[:, :, :8].repeat_interleave(2, 2)  # as films are that were brought to another frame rate
    clips = torch.cat([video, standing, pause, repeated])
    assert frozen(clips)[3] > 0.5 and is_frozen(held(clips)).tolist() == [False, True, False, False]
    lights = torch.zeros(16).index_fill(0, torch.arange(0, 16, 2), 0.02).view(1, 1, 16, 1, 1)
    clips = torch.cat([video, video + lights, standing + lights / 10, standing])
    assert is_flickering(flicker(clips), motion(clips)).tolist() == [False, True, True, False]
    noise = 0.5 + 0.02 * torch.randn(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0))
    assert not is_flickering(flicker(noise), motion(noise)).item()


def test_visible_motion_does_without_noise() -> None:
    noise = 0.01 * torch.randn(1, 3, 12, 64, 64, generator=torch.Generator().manual_seed(0))
    video = passing(16, 4, 64)
    assert visible_motion(noise + 0.5).item() == 0
    torch.testing.assert_close(visible_motion(video + noise), visible_motion(video), rtol=0.05, atol=0)
    assert motion(video + noise) > 1.3 * motion(video)


def test_any_size_of_picture() -> None:
    for height, width in ((1, 1), (33, 70), (48, 32)):
        video = torch.full((1, 3, 4, height, width), 0.5)
        video[:, :, 1::2] += 0.2
        assert flicker(video).item() == pytest.approx(51, rel=1e-5)
        assert frozen(video).item() == 0


@pytest.mark.real
def test_real_clips_move_and_do_not_flicker(real_data: Path, tmp_path: Path) -> None:
    """And what is made of them does neither, or both, also once it has been compressed."""
    for path in sorted((real_data / "weizmann").glob("*/denis_*.mp4")):
        frames = read_video(path).frames
        frames = frames[center_window(len(frames), 16)]
        brightened = frames.astype(np.int16) + 8 * (np.arange(16) % 2).reshape(-1, 1, 1, 1)
        made = {"as it is": frames, "held": frames[[0] * 16], "flickering": brightened.clip(0, 255).astype(np.uint8)}
        clips = {}
        for name, clip in made.items():
            write_video(tmp_path / f"{name}.mp4", clip)
            clips[name] = to_float(read_video(tmp_path / f"{name}.mp4").frames)[None]
        assert flicker(clips["as it is"]) < 0.08 * motion(clips["as it is"])
        assert frozen(clips["as it is"]) <= 0.2  # a pause at the lowest point of bend
        assert flicker(clips["flickering"]) > 10 * flicker(clips["as it is"])
        assert frozen(clips["flickering"]) == 0
        assert frozen(clips["held"]) == 1


@pytest.mark.parametrize("metric", [visible_motion, flicker, frozen, held])
def test_given_block_means_are_those_of_the_videos(metric: Callable[..., Tensor]) -> None:
    videos = torch.rand(3, 3, 6, 40, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(metric(videos), metric(videos, block_means(videos)))
