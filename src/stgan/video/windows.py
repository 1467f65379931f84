"""Windows of a fixed number of frames, as arrays of frame indices, and a choice of those that show the person.

A clip shorter than its window is played back and forth (0 1 2 3 2 1 0 1 ...; a single frame repeats). Looping would
add a jump and holding the last frame a freeze, which networks would learn. Played back and forth, all steps are
between neighbouring frames of the real clip.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from stgan.spacing import evenly_spread

_CHANGED = 40  # grey levels; compression noise stays below, a person in front of a wall does not
_CROSSES_EDGE = 0.2  # of the frame's height; a person who walks out covers more of the edge, noise far less
_MIN_SIDE = 64  # pixels that `windows_in_view` keeps at least of the shorter side
_LINGERS = 0.3  # of the clip's frames; a person who passes through covers no pixel for that long


def window_at(num_frames: int, length: int, start: int = 0) -> Int[np.ndarray, "{length}"]:
    """`length` frame indices from `start`, which turn back at the ends of a clip that is too short.

    Raises:
        ValueError: `num_frames` or `length` is under 1, or `start` is not a frame of the clip.
    """
    if num_frames < 1 or length < 1:
        raise ValueError(f"a window needs frames: num_frames={num_frames}, length={length}")
    if not 0 <= start < num_frames:
        raise ValueError(f"start={start} is not a frame of a clip of {num_frames}")
    last = num_frames - 1
    return last - np.abs(last - np.arange(start, start + length) % max(1, 2 * last))


def random_window(num_frames: int, length: int, rng: np.random.Generator) -> Int[np.ndarray, "{length}"]:
    """A window with a uniformly random start (frame 0 if the clip is too short)."""
    return window_at(num_frames, length, int(rng.integers(_last_start(num_frames, length) + 1)))


def center_window(num_frames: int, length: int) -> Int[np.ndarray, "{length}"]:
    """The window in the middle of the clip."""
    return window_at(num_frames, length, _last_start(num_frames, length) // 2)


def spread_windows(
    num_frames: int, length: int, count: int, starts: Sequence[int] | None = None
) -> list[Int[np.ndarray, "{length}"]]:
    """Up to `count` windows, evenly spread over those that start at `starts` (default: all).

    A single window is the middle one. A clip that is too short has one window.
    """
    starts = range(_last_start(num_frames, length) + 1) if starts is None else starts
    places = dict.fromkeys(evenly_spread(len(starts), count, ends=False))
    return [window_at(num_frames, length, starts[place]) for place in places]


def random_windows(
    num_frames: int, length: int, count: int, rng: np.random.Generator
) -> list[Int[np.ndarray, "{length}"]]:
    """Up to `count` different windows with uniformly random starts, in order. A clip that is too short has one."""
    places = _last_start(num_frames, length) + 1
    starts = np.sort(rng.choice(places, min(count, places), replace=False))
    return [window_at(num_frames, length, int(start)) for start in starts]


def foreground(frames: UInt8[np.ndarray, "time height width 3"]) -> Float[np.ndarray, " time"]:
    """The fraction of each frame, in [0, 1], that differs from the clip's median frame (static camera).

    A person who stands still for most of the clip is part of the median and is not counted.
    """
    return _changed(frames).mean((1, 2))


def windows_in_view(
    frames: UInt8[np.ndarray, "time height width 3"], length: int, *, minimum: float = 0.6
) -> list[int]:
    """The starts of the windows that show the person from the first frame to the last.

    This is for clips from a static camera in which people enter or leave at the sides. In such a clip the foreground
    covers a good part of the left or right edge at some time, and hardly any pixel is foreground for long. In all
    other clips every window is returned: nobody comes near the edge (waving, bending: the person is part of the
    median), or the whole scene moves with the camera. A frame shows the person if its foreground is at least
    `minimum` times that of the clip's fullest frames (the 90th percentile). The windows with the most such frames
    are returned.

    Args:
        frames: the whole clip.
        length: frames of a window; a clip that is not longer has one window, which starts at 0.
        minimum: the part of the person that a frame must show, from 0 to 1.

    Returns:
        At least one start, in rising order, for `window_at`.
    """
    last = _last_start(len(frames), length)
    if last == 0 or minimum <= 0:
        return list(range(last + 1))
    step = max(1, min(frames.shape[1:3]) // _MIN_SIDE)
    changed = _changed(frames[:, ::step, ::step])
    amount = changed.mean((1, 2))
    full = np.quantile(amount, 0.9)
    at_edge = changed[:, :, [0, -1]].mean(1).max()
    lingering = (changed.mean(0) > _LINGERS).mean()
    passes_through = at_edge >= _CROSSES_EDGE and lingering < full / 2
    if not passes_through:
        return list(range(last + 1))
    shown = np.minimum(amount / (minimum * full), 1)
    in_view = np.lib.stride_tricks.sliding_window_view(shown, length).mean(1)
    return [int(start) for start in np.flatnonzero(in_view >= in_view.max() - 1e-9)]


def _last_start(num_frames: int, length: int) -> int:
    return max(0, num_frames - length)


def _changed(frames: np.ndarray) -> np.ndarray:
    """Boolean (time, height, width): pixels that differ from the clip's median in any colour."""
    median = np.median(frames, axis=0).round().astype(np.int16)
    return np.stack([(np.abs(frame - median) > _CHANGED).any(-1) for frame in frames])
