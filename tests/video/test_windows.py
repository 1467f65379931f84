"""Windows of frames."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stgan.video import (
    center_window,
    find_clips,
    random_window,
    read_video,
    spread_windows,
    window_at,
    windows_in_view,
)
from stgan.video.windows import foreground

num_frames_ = st.integers(1, 60)
lengths = st.integers(1, 40)


def check(window: np.ndarray, num_frames: int, length: int) -> None:
    """What holds for every window."""
    assert window.shape == (length,)
    assert window.dtype.kind == "i"
    assert window.min() >= 0 and window.max() < num_frames
    steps = np.abs(np.diff(window))
    assert (steps == 1).all() if num_frames > 1 else (steps == 0).all()
    if num_frames >= length:
        assert (np.diff(window) == 1).all()


@given(num_frames_, lengths, st.integers(0, 2**32 - 1))
def test_random_window(num_frames: int, length: int, seed: int) -> None:
    window = random_window(num_frames, length, np.random.default_rng(seed))
    check(window, num_frames, length)
    assert np.array_equal(window, random_window(num_frames, length, np.random.default_rng(seed)))


@given(num_frames_, lengths)
def test_center_window(num_frames: int, length: int) -> None:
    window = center_window(num_frames, length)
    check(window, num_frames, length)
    if num_frames >= length:
        before, after = window[0], num_frames - 1 - window[-1]
        assert after - before in (0, 1)


@given(num_frames_, lengths, st.integers(1, 12), st.data())
def test_spread_windows(num_frames: int, length: int, count: int, data: st.DataObject) -> None:
    possible = range(max(0, num_frames - length) + 1)
    starts = data.draw(st.none() | st.lists(st.sampled_from(possible), min_size=1, unique=True).map(sorted))
    windows = spread_windows(num_frames, length, count, starts)
    allowed = list(possible if starts is None else starts)
    places = [allowed.index(window[0]) for window in windows]
    assert places == sorted(set(places)) and 1 <= len(windows) <= count
    if len(allowed) > count:
        assert len(windows) == count
    steps = np.diff(places)
    assert not len(steps) or steps.max() - steps.min() <= 1
    for window in windows:
        check(window, num_frames, length)
    if count == 1 and starts is None:
        assert np.array_equal(windows[0], center_window(num_frames, length))


def test_short_clips_play_back_and_forth() -> None:
    assert window_at(4, 9).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert window_at(2, 4).tolist() == [0, 1, 0, 1]
    assert window_at(1, 3).tolist() == [0, 0, 0]
    assert window_at(4, 4, start=2).tolist() == [2, 3, 2, 1]


def test_every_start_is_drawn() -> None:
    rng = np.random.default_rng(0)
    assert {int(random_window(10, 8, rng)[0]) for _ in range(50)} == {0, 1, 2}


def test_impossible_windows() -> None:
    for num_frames, length, start in ((0, 4, 0), (4, 0, 0), (4, 4, 4), (4, 4, -1)):
        with pytest.raises(ValueError):
            window_at(num_frames, length, start)


def wall(num_frames: int) -> np.ndarray:
    """A grey wall with a little noise, 32 x 32."""
    noise = np.random.default_rng(0).integers(-6, 7, (num_frames, 32, 32, 3))
    return (150 + noise).astype(np.uint8)


def walker(num_frames: int = 50, speed: float = 1.0, first: float = -8.0) -> np.ndarray:
    """A dark block of 6 x 20 pixels that walks from left to right, from outside the frame on."""
    frames = wall(num_frames)
    for index, frame in enumerate(frames):
        left = round(first + speed * index)
        frame[8:28, max(0, left) : max(0, left + 6)] = 20
    return frames


def test_foreground_is_the_part_that_moves() -> None:
    amount = foreground(walker())
    assert amount.shape == (50,)
    assert amount[0] == 0 and amount[-1] == 0
    assert amount[25] == pytest.approx(6 * 20 / 32**2)
    assert foreground(wall(5)).max() == 0


def test_windows_leave_out_the_walker_coming_and_going() -> None:
    starts = windows_in_view(walker(), 16)
    # At the least 4 of the block's 6 columns are in the frame while its left edge is from -2 to 28.
    assert starts == list(range(6, 36 - 16 + 2))
    loose, strict = windows_in_view(walker(), 16, minimum=0.1), windows_in_view(walker(), 16, minimum=1.0)
    assert set(strict) < set(starts) < set(loose)
    assert windows_in_view(walker(), 16, minimum=0.0) == list(range(35))


def test_someone_who_stays_keeps_every_window() -> None:
    frames = wall(50)
    frames[:, 8:28, 12:18] = 20  # the body, always there
    for index in range(50):
        row = 8 + index % 10
        frames[index, row : row + 2, 18:26] = 20  # an arm
    assert windows_in_view(frames, 16) == list(range(35))


def test_a_moving_camera_keeps_every_window() -> None:
    scene = np.random.default_rng(1).integers(0, 256, (32, 120, 3), np.uint8)
    frames = np.stack([scene[:, index : index + 32] for index in range(50)])
    assert windows_in_view(frames, 16) == list(range(35))


def test_without_a_full_window_the_fullest_is_taken() -> None:
    frames = walker(num_frames=24, speed=3.0, first=-12.0)  # in view for about 11 frames
    starts = windows_in_view(frames, 16)
    amount = foreground(frames)
    assert len(starts) >= 1
    best = max(amount[start : start + 16].sum() for start in range(9))
    assert all(amount[start : start + 16].sum() == pytest.approx(best) for start in starts)


@given(st.integers(1, 20), st.integers(1, 24), st.integers(0, 1000))
def test_there_is_always_a_window(num_frames: int, length: int, seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (num_frames, 4, 5, 3), np.uint8)
    starts = windows_in_view(frames, length)
    assert starts and starts == sorted(set(starts))
    for start in starts:
        check(window_at(num_frames, length, start), num_frames, length)


@pytest.mark.real
def test_real_walkers_are_in_view(real_data: Path) -> None:
    folder = find_clips(real_data / "weizmann")
    kept: Counter[str] = Counter()
    for clip in folder.clips:
        frames = read_video(clip.path).frames
        starts = windows_in_view(frames, 16)
        possible = len(frames) - 15
        if clip.label in ("walk", "run", "side", "jump"):
            assert len(starts) < possible, f"{clip.path.name} lost no window though the person leaves"
        else:
            assert len(starts) == possible, f"{clip.path.name} lost windows though the person stays"
        kept[clip.label] += len(starts)
    assert kept["walk"] > 150 and kept["side"] > 80 and kept["jump"] > 120 and kept["run"] > 40
