"""Decoding of many clips in parallel, in order, with only a few of them in memory."""

import hashlib
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from PIL import Image

from stgan.names import quoted
from stgan.video.io import DecodedVideo, VideoError, read_video
from stgan.video.tensors import TensorClip

_MOST_WORKERS = 8  # each may hold a decoded clip
_MOST_AT_RATE = 3000  # frames, as many as `read_video` accepts
_pool = threading.local()  # ended: an event, set when nobody waits any more for what this thread decodes

Resize = Literal["bicubic", "bilinear", "lanczos", "aliased"]
"""Filters to scale frames. They average over the pixels that become one (antialiasing), but for "aliased": bilinear
between the four nearest pixels, as VideoGPT and TATS scale real clips.
"""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ClipFacts:
    """Facts of a decoded clip, before any resizing.

    fps: frames per second. sha256: of the RGB bytes of all frames, hexadecimal; it does not depend on the container
    or the file name. variable_rate, turned, interlaced, stretched, tilted: see `DecodedVideo`.
    """

    frames: int
    height: int
    width: int
    fps: float
    sha256: str
    variable_rate: bool = False
    turned: bool = False
    interlaced: bool = False
    stretched: bool = False
    tilted: bool = False


def decode_clip(
    path: Path | TensorClip,
    size: int | tuple[int, int] | None = None,
    fps: float | None = None,
    resize: Resize = "bicubic",
) -> tuple[ClipFacts, UInt8[np.ndarray, "time height width 3"]]:
    """A clip's facts and its frames. VideoError if the file cannot be read.

    size, resize: (height, width), or the side of a square, and the filter for `resize_and_crop`; a size of None keeps
        the stored one.
    fps: leave frames out so that about this many a second are left; None keeps all, as does a clip that has fewer. Of
        a clip with a variable rate, it is the frames that are shown at equal distances, the long ones repeatedly.
    """

    def keep(frame: np.ndarray) -> np.ndarray:
        return frame if size is None else resize_and_crop(frame[None], size, resize)[0]

    facts, video = _decode(path, keep)
    if fps is None:
        return facts, video.frames
    return facts, video.frames[_at_rate(path, video, fps)]


def _at_rate(path: Path | TensorClip, video: DecodedVideo, fps: float) -> np.ndarray:
    """The numbers of the frames at this rate."""
    count = len(video.frames)
    if not video.variable_rate:
        return np.arange(0, count - 0.5, max(1.0, video.fps / fps)).round().astype(int)
    instants = video.times[-1] * fps + 1
    if instants > _MOST_AT_RATE:
        raise VideoError(f"{quoted(str(path))} lasts over {_MOST_AT_RATE / fps:.0f} s: cut it into shorter clips.")
    shown = np.arange(int(instants + 1e-6)) / fps
    return np.searchsorted(video.times, shown + 1e-6, side="right").clip(1, count) - 1


def resize_and_crop(
    frames: UInt8[np.ndarray, "time _height _width *channels"], size: int | tuple[int, int], resize: Resize = "bicubic"
) -> UInt8[np.ndarray, "time _new_height _new_width *channels"]:
    """Scale frames (antialiased) to just cover `size`, (height, width) or the side of a square, and crop the centre.

    Frames of brightness alone have no axis of channels.
    """
    height, width = (size, size) if isinstance(size, int) else size
    old_height, old_width = frames.shape[1:3]
    if (old_height, old_width) == (height, width):
        return frames
    if resize == "aliased":
        return _aliased(frames, height, width)
    scale = min(old_height / height, old_width / width)
    top, left = (old_height - height * scale) / 2, (old_width - width * scale) / 2
    box = (left, top, left + width * scale, top + height * scale)
    how = Image.Resampling[resize.upper()]
    resized = [Image.fromarray(frame).resize((width, height), how, box=box) for frame in frames]
    return np.stack([np.asarray(image) for image in resized])


def _aliased(
    frames: UInt8[np.ndarray, "time _height _width 3"], height: int, width: int
) -> UInt8[np.ndarray, "time _new_height _new_width 3"]:
    """As VideoGPT and TATS do it, in single precision: the longer side is rounded up, and levels are rounded down."""
    old = frames.shape[1:3]
    scale = max(height / old[0], width / old[1])
    scaled = [
        side if side / before == scale else math.ceil(before * scale)
        for side, before in zip((height, width), old, strict=True)
    ]
    images = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float() / 255
    images = F.interpolate(images, scaled, mode="bilinear")
    top, left = (scaled[0] - height) // 2, (scaled[1] - width) // 2
    cut = images[:, :, top : top + height, left : left + width] - 0.5  # and back, which can change the last digit
    return ((cut + 0.5) * 255).byte().permute(0, 2, 3, 1).contiguous().numpy()


def inspect_clip(path: Path | TensorClip) -> ClipFacts:
    """A clip's facts, with only one of its frames in memory at a time. VideoError if the file cannot be read."""
    return _decode(path, lambda frame: frame[:0])[0]


def attempt(function: Callable[[Item], Result], path: Item) -> Result | VideoError:
    """The function's result, or the VideoError that it raised."""
    try:
        return function(path)
    except VideoError as error:
        return error


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Generator[Result, None, None]:
    """Yield `function` of each item, in the order of the items, computed on a pool of threads.

    At most two items per worker are running or waiting to be yielded. An error of the function is raised at its
    item's turn, and no further item is started. Where the caller ends early, a clip that is being decoded ends at its
    next frame.

    workers: threads; default: one per core, at most eight.
    """
    workers = workers or min(os.cpu_count() or 1, _MOST_WORKERS)
    left = iter(items)
    ended = threading.Event()
    pool = ThreadPoolExecutor(workers, initializer=setattr, initargs=(_pool, "ended", ended))
    try:
        waiting: deque[Future[Result]] = deque(pool.submit(function, item) for item in islice(left, 2 * workers))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(left, 1))
            yield result
    finally:
        ended.set()
        pool.shutdown(cancel_futures=True)


def _decode(path: Path | TensorClip, keep: Callable[[np.ndarray], np.ndarray]) -> tuple[ClipFacts, DecodedVideo]:
    digest = hashlib.sha256()
    height = width = 0

    def take(frame: np.ndarray) -> np.ndarray:
        nonlocal height, width
        if (ended := getattr(_pool, "ended", None)) and ended.is_set():
            raise CancelledError
        height, width = frame.shape[:2]
        digest.update(np.ascontiguousarray(frame).data)
        return keep(frame)

    video = read_video(path, transform=take)
    facts = ClipFacts(
        len(video.frames), height, width, video.fps, digest.hexdigest(),
        video.variable_rate, video.turned, video.interlaced, video.stretched, video.tilted,
    )  # fmt: skip
    return facts, video
