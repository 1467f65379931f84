"""Where windows of a long video start, and evenly spread choices."""

import numpy as np


def window_starts(num_frames: int, length: int) -> list[int]:
    """First frames of windows of `length` frames that overlap by half and cover a video.

    The last one ends with the video, and may overlap its neighbour by more. A video that is not longer has one window.
    """
    last = max(0, num_frames - length)
    return [*range(0, last, max(1, length // 2)), last]


def evenly_spread(count: int, num: int, *, ends: bool = True) -> list[int]:
    """`num` of `count` items by their numbers from 0 on, in order and evenly spread; some repeat if `num > count`.

    ends: the first and the last item are among them (a single one is the first); else each stands in the middle of
          the part that it stands for (a single one is in the middle).
    """
    if ends:
        return np.linspace(0, count - 1, num).round().astype(int).tolist()
    return [(2 * i + 1) * (count - 1) // (2 * num) for i in range(num)]
