"""Start frames of windows in a long video, and evenly spread choices."""

import numpy as np


def window_starts(num_frames: int, length: int) -> list[int]:
    """Start frames of windows of `length` frames that overlap by half and cover a video.

    The last window ends with the video and may overlap more. A video of at most `length` frames has one window.
    """
    last = max(0, num_frames - length)
    return [*range(0, last, max(1, length // 2)), last]


def evenly_spread(count: int, num: int, *, ends: bool = True) -> list[int]:
    """Indices of `num` of `count` items, from 0, in order and evenly spread; some repeat if `num > count`.

    ends: include the first and the last item (a single item is the first). Otherwise the items are divided into `num`
          parts, and the middle of each part is chosen.
    """
    if ends:
        return np.linspace(0, count - 1, num).round().astype(int).tolist()
    return [(2 * i + 1) * (count - 1) // (2 * num) for i in range(num)]
