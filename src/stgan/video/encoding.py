"""Writing of video files."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stgan.errors import VideoError
from stgan.files import replacing
from stgan.names import quoted
from stgan.video.io import MAX_FPS, reason_of

# "psnr" turns off x264's psychovisual optimisations, which change colours at sharp edges.
# The colour space is declared because players assume another one for large frames.
# "mbtree" reads uninitialised memory on processors with AVX-512, so that equal frames gave different files.
_LOSSLESS_TO_THE_EYE = {
    "crf": "9",
    "tune": "psnr",
    "x264-params": "mbtree=0",
    "colorspace": "smpte170m",
    "color_range": "tv",
}

LARGEST_GIF = 65_535  # pixels: the format has two bytes for each side


def write_video(
    path: str | Path, frames: UInt8[np.ndarray, "time height width 3"], fps: float = 25.0, *, quality: int | None = None
) -> None:
    """Write an mp4 file (H.264, any frame size), atomically.

    By default it is visually lossless, with colour at full resolution (4:4:4), because the usual half resolution blurs
    the edges of small clips. Most players support that; a few hardware decoders do not.

    Args:
        path: where to write; ends in ``.mp4``.
        frames: RGB, at least one.
        fps: frames per second.
        quality: x264's rate factor, 0 (best) to 51, with colour at half the resolution, for small files.

    Raises:
        VideoError: the file cannot be written there.
        ValueError: `frames` or `fps` is not as described.
    """
    rate = _check_writable(frames, fps)
    options = _LOSSLESS_TO_THE_EYE
    if quality is not None:
        options = options | {"crf": str(quality), "preset": "slow", "tune": "ssim"}
    with _replacing(Path(path), ".mp4") as temporary:
        try:
            with av.open(os.fspath(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
                stream = container.add_stream("libx264", rate=rate, options=options)
                stream.height, stream.width = frames.shape[1:3]
                stream.pix_fmt = "yuv444p" if quality is None else "yuv420p"
                for array in frames:
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
        except av.FFmpegError as error:
            raise VideoError(f"{quoted(path)} cannot be written ({reason_of(error)}): check the folder.") from error


def write_gif(path: str | Path, frames: UInt8[np.ndarray, "time height width 3"], fps: float = 25.0) -> None:
    """Write a GIF that loops forever, with one palette of 256 colours for the whole clip, atomically.

    GIF counts time in units of 10 ms. The start of each frame is rounded to that, so that the clip keeps its speed
    (at 24 fps, most frames take 40 ms and some 50 ms). Above 50 fps the GIF plays at 50, because players slow down
    frames of less than 20 ms. A frame that equals the one before it is stored as a longer duration of that one.

    Args:
        path: where to write; ends in ``.gif``.
        frames: RGB, at least one.
        fps: frames per second.

    Raises:
        VideoError: the file cannot be written there, or the frames are larger than the format allows.
        ValueError: `frames` or `fps` is not as described.
    """
    _check_writable(frames, fps)
    if max(frames.shape[1:3]) > LARGEST_GIF:
        raise VideoError(f"{path} cannot be written: a GIF is at most {LARGEST_GIF} pixels wide and high")
    starts = [round(100 * i / min(fps, 50.0)) for i in range(len(frames) + 1)]
    durations = [10 * (end - start) for start, end in pairwise(starts)]
    # Several palettes or dithering would make the still parts of the picture flicker.
    sample = np.concatenate(list(frames[:: math.ceil(len(frames) / 32)]))
    palette = Image.fromarray(sample).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    with _replacing(Path(path), ".gif") as temporary:
        images[0].save(temporary, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)


def _check_writable(frames: np.ndarray, fps: float) -> Fraction:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or frames.size == 0:
        raise ValueError(f"frames must be uint8 (time, height, width, 3), not {frames.dtype} {frames.shape}")
    if not 0 < fps <= MAX_FPS:
        raise ValueError(f"fps must be over 0 and at most {MAX_FPS:g}, not {fps}")
    return Fraction(fps).limit_denominator(10_000)


@contextmanager
def _replacing(path: Path, suffix: str) -> Iterator[Path]:
    """As `files.replacing`, for an output file with this suffix. VideoError if it cannot be written."""
    if path.suffix.lower() != suffix:
        raise VideoError(f"{quoted(path)} does not end in {suffix}: give the output that ending.")
    if not path.parent.is_dir():
        raise VideoError(f"{quoted(path)} cannot be written (its folder does not exist): make the folder first.")
    try:
        with replacing(path.absolute()) as temporary:
            yield temporary
    except OSError as error:
        raise VideoError(f"{quoted(path)} cannot be written ({reason_of(error)}): check the folder.") from error
