"""Reading and writing of video files.

Videos of files are RGB bytes, ``uint8 (time, height, width, 3)``. Networks use RGB floats in [0, 1], shaped
``(3, time, height, width)`` or ``(batch, 3, time, height, width)``; `to_float` and `to_uint8` convert between the two.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import torch
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from stgan.errors import StganError
from stgan.files import replacing
from stgan.names import quoted
from stgan.video.boxes import declared_entries

# Containers of videos. Playlists (HLS, concat, ...) are excluded: they make ffmpeg open other files and addresses.
_FORMATS = "mov,mp4,avi,matroska,webm,gif,mpeg,mpegts,ogg,flv,asf"
_FREE_ENTRIES = 1 << 20  # index entries allowed for a file of any size; they take about 60 MB
_FALLBACK_FPS = 25.0
_MAX_FPS = 1000.0
_GIB = 1024**3
_MOST_DECODED = 6 * _GIB  # pixels of all frames together; 3000 frames of 1920x1080 have 5.8 GiB
_MOST_GIF = 2 * _GIB  # of a GIF, which can be a millionth of that
# "psnr" turns off x264's psychovisual optimisations, which change colours at sharp edges.
# The colour space is declared because players assume another one for large frames.
# "mbtree" reads uninitialised memory on processors with AVX-512, so that equal frames gave different files.
_LOSSLESS_TO_THE_EYE = {
    "crf": "8",
    "tune": "psnr",
    "x264-params": "mbtree=0",
    "colorspace": "smpte170m",
    "color_range": "tv",
}

LARGEST_GIF = 65_535  # pixels: the format has two bytes for each side


class VideoError(StganError):
    """A video file cannot be read or written; the message says which file and why."""


@dataclass(frozen=True)
class DecodedVideo:
    """A decoded video file: RGB frames and their rate in frames per second."""

    frames: UInt8[np.ndarray, "time height width 3"]
    fps: float


def read_video(
    path: str | Path,
    *,
    max_frames: int | None = 3000,
    part: range | None = None,
    max_pixels: int = 4096 * 4096,
    max_bytes: int = 4 * _GIB,
    transform: Callable[[UInt8[np.ndarray, "_ _ 3"]], UInt8[np.ndarray, "_ _ 3"]] | None = None,
) -> DecodedVideo:
    """Decode a video file (mp4, avi, webm, gif, ...).

    The frames are returned as stored: each frame once, in order, regardless of time stamps, and not rotated.

    Args:
        path: the file.
        max_frames: the largest number of frames to accept; None for no limit.
        part: the frames to return, a range of step 1; default: all. Frames behind it are not decoded, so it is not
            checked whether the file is complete.
        max_pixels: the largest frame to accept, as height x width.
        max_bytes: the largest memory to use for frames. The file is not trusted: each limit is checked before the
            memory is allocated.
        transform: applied to each frame as it is decoded, for example to make it smaller; all its results have the
            same size. The original frames are never in memory together.

    Returns:
        At least one frame, ``uint8 (time, height, width, 3)``, and the frame rate (25 if the file has none).

    Raises:
        VideoError: the file is missing, empty, cut short, damaged, not a video, or exceeds a limit.
    """
    path = Path(path)
    _check_readable(path)
    data = bytearray()  # grows in place, so that memory holds the frames once
    first, behind = (part.start, part.stop) if part is not None else (0, None)
    count, size = 0, (0, 0)
    try:
        # The path is absolute, because ffmpeg reads "a:b.mp4" as a protocol.
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        with av.open(os.path.abspath(path), options=options, metadata_errors="replace") as container:
            # The cover picture of an audio file is a video stream of one frame.
            streams = [
                stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic
            ]
            if not streams:
                raise VideoError(f"{quoted(path)} has no video stream: give a video file.")
            stream = streams[0]
            context = stream.codec_context
            if context is None:
                raise VideoError(f"{quoted(path)} uses a video codec that is not supported: convert it to mp4.")
            _check_frame_size(path, context.height, context.width, max_pixels)
            context.options = {"max_pixels": str(max_pixels)}  # the header's size may be wrong
            context.thread_count = 1  # the fastest for small clips
            # `frame.to_ndarray` would set up a new conversion for each frame, with a thread per core.
            converter = VideoReformatter()
            last = 0.0  # the time of the last frame, in seconds
            most = _MOST_GIF if container.format.name == "gif" else _MOST_DECODED
            wanted = (number for number in (max_frames, behind) if number is not None)
            expected = min([_declared_frames(path, container, stream), *wanted])
            _check_decoded(path, expected * context.height * context.width, most)
            for frame in _decode(path, container, stream):
                if count == 0:
                    size = (frame.height, frame.width)
                    _check_frame_size(path, *size, max_pixels)
                elif size != (frame.height, frame.width):
                    raise VideoError(f"{quoted(path)} changes its frame size on the way: convert it to one size.")
                count += 1
                _check_decoded(path, count * frame.height * frame.width, most)
                if max_frames is not None and count > max_frames:
                    raise VideoError(f"{quoted(path)} has more than {max_frames} frames: cut it into shorter clips.")
                last = max(last, frame.time or 0.0)
                if count <= first:
                    continue
                kept = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                if transform is not None:
                    kept = transform(kept)
                if len(data) + kept.nbytes > max_bytes:
                    raise VideoError(f"{quoted(path)} takes more than {max_bytes / _GIB:.3g} GiB decoded: shorten it.")
                data += kept.tobytes()
                if count == behind:
                    break
            if count == 0:
                raise VideoError(f"{quoted(path)} holds no video frame: it is empty or cut short.")
            fps = _frame_rate(container, stream, count, last)
            if count <= first:
                raise VideoError(f"{quoted(path)} has {count} frames, no frame {first}: get the whole file.")
            if count != behind:
                _check_whole(path, container, stream, count, last + 3 / fps)
    except av.FFmpegError as error:
        raise VideoError(f"{quoted(path)} cannot be read as a video ({_reason(error)}): check the file.") from error
    except MemoryError as error:
        raise VideoError(f"{quoted(path)} does not fit into memory decoded: shorten it.") from error
    return DecodedVideo(np.frombuffer(data, np.uint8).reshape(count - first, *kept.shape), fps)


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
            raise VideoError(f"{quoted(path)} cannot be written ({_reason(error)}): check the folder.") from error


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


def to_float(frames: UInt8[np.ndarray, "time height width 3"]) -> Float[Tensor, "3 time height width"]:
    """Convert RGB bytes to a float32 tensor in [0, 1], channels first."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2))).float() / 255


def to_uint8(video: Float[Tensor, "3 time height width"]) -> UInt8[np.ndarray, "time height width 3"]:
    """Convert a float video to RGB bytes: clamped to [0, 1], rounded to the nearest of 256 levels."""
    levels = (video.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 3, 0).contiguous().cpu().numpy()


def _reason(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or type(error).__name__).lower().split())


def _check_readable(path: Path) -> None:
    try:
        if path.is_dir():
            raise VideoError(f"{quoted(path)} is a folder: give a video file.")
        if not path.exists():
            raise VideoError(f"{quoted(path)} does not exist: give the path of a video file.")
        if not path.is_file():  # opening a pipe would block
            raise VideoError(f"{quoted(path)} is a pipe or a device: give a video file.")
        if path.stat().st_size == 0:
            raise VideoError(f"{quoted(path)} is an empty file: get the file again.")
        if declared_entries(path) > path.stat().st_size + _FREE_ENTRIES:
            raise ValueError("more index entries than bytes")
    except ValueError as error:
        raise VideoError(f"{quoted(path)} declares more frames than it has bytes: get the whole file.") from error
    except OSError as error:
        raise VideoError(f"{quoted(path)} cannot be opened ({_reason(error)}): check the path.") from error


def _check_frame_size(path: Path, height: int, width: int, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise VideoError(
            f"{quoted(path)} has frames of {width}x{height}, more than {max_pixels} pixels: make it smaller."
        )


def _declared_frames(path: Path, container: av.container.InputContainer, stream: av.VideoStream) -> int:
    """The number of frames without decoding them; 0 if that is unknown. A GIF declares none, so they are counted."""
    if container.format.name != "gif":
        return stream.frames
    with av.open(os.path.abspath(path), options={"format_whitelist": "gif", "protocol_whitelist": "file"}) as again:
        return sum(packet.size > 0 for packet in again.demux(video=0))


def _check_decoded(path: Path, pixels: int, most: int) -> None:
    if pixels > most:
        raise VideoError(f"{quoted(path)} has more than {most} pixels in all frames together: shorten it.")


def _frame_rate(container: av.container.InputContainer, stream: av.VideoStream, count: int, last: float) -> float:
    # A GIF has no rate, only a duration for each frame, and ffmpeg's guess uses the shortest.
    mean_rate = (count - 1) / last if last and container.format.name == "gif" else None
    for rate in (mean_rate, stream.average_rate, stream.guessed_rate):
        if rate is not None and 0 < rate <= _MAX_FPS:
            return float(rate)
    return _FALLBACK_FPS


def _check_whole(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream, count: int, end: float
) -> None:
    """VideoError if the container declares clearly more than was decoded.

    One or two missing frames are normal, since decoders do not return all declared ones (Xvid's packed frames, edit
    lists). Matroska and WebM declare a duration instead, which is the video's only if there is no sound. A GIF declares
    nothing, so a GIF that was cut short yields the frames that it has.
    """
    if count < stream.frames - max(2, stream.frames // 50):
        raise VideoError(f"{quoted(path)} is cut short ({count} of {stream.frames} frames): get the whole file.")
    if "matroska" in container.format.name and len(container.streams) == 1 and container.duration:
        seconds = container.duration / av.time_base
        if end < 0.98 * seconds:
            raise VideoError(f"{quoted(path)} is cut short (of {seconds:.1f} s): get the whole file.")


def _decode(path: Path, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise VideoError(f"{quoted(path)} is damaged or cut short: get the whole file.")
        yield from packet.decode()


def _check_writable(frames: np.ndarray, fps: float) -> Fraction:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or frames.size == 0:
        raise ValueError(f"frames must be uint8 (time, height, width, 3), not {frames.dtype} {frames.shape}")
    if not 0 < fps <= _MAX_FPS:
        raise ValueError(f"fps must be over 0 and at most {_MAX_FPS:g}, not {fps}")
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
        raise VideoError(f"{quoted(path)} cannot be written ({_reason(error)}): check the folder.") from error
