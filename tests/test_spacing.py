"""Where windows start, and evenly spread choices."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stgan.spacing import evenly_spread, window_starts


@given(st.integers(1, 100), st.integers(1, 40))
def test_windows_overlap_by_half_and_cover_the_video(num_frames: int, length: int) -> None:
    starts = window_starts(num_frames, length)
    assert starts[0] == 0 and starts[-1] == max(0, num_frames - length)
    steps = np.diff(starts)
    assert (steps[:-1] == max(1, length // 2)).all() and (steps > 0).all() and (steps <= max(1, length // 2)).all()


def test_the_last_window_ends_with_the_video() -> None:
    assert window_starts(40, 16) == [0, 8, 16, 24]
    assert window_starts(35, 16) == [0, 8, 16, 19]
    assert window_starts(16, 16) == window_starts(3, 16) == [0]


@given(st.integers(1, 300), st.integers(1, 300), st.booleans())
def test_choices_are_evenly_spread(count: int, num: int, ends: bool) -> None:
    chosen = evenly_spread(count, num, ends=ends)
    assert len(chosen) == num and all(0 <= item < count for item in chosen)
    steps = np.diff(chosen)
    assert not len(steps) or (steps.min() >= 0 and steps.max() - steps.min() <= 1)
    assert len(set(chosen)) == min(count, num) or (not ends and num >= count)


def test_with_the_ends_or_in_the_middle_of_the_parts() -> None:
    assert evenly_spread(9, 3) == [0, 4, 8] and evenly_spread(9, 3, ends=False) == [1, 4, 6]
    assert evenly_spread(9, 1) == [0] and evenly_spread(9, 1, ends=False) == [4]
    assert evenly_spread(2, 4) == [0, 0, 1, 1] and evenly_spread(0, 0) == []
