"""Reading of video files.

Videos of files are RGB bytes, ``uint8 (time, height, width, 3)``. Networks use RGB floats in [0, 1], shaped
``(3, time, height, width)`` or ``(batch, 3, time, height, width)``; `to_float` and `to_uint8` convert between the two.
"""

import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from jaxtyping import Float, UInt8
from PIL import ExifTags, Image, ImageOps
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile
from torch import Tensor

from stgan.errors import VideoError
from stgan.names import quoted
from stgan.video.boxes import declared_entries
from stgan.video.frame_folders import IMAGES, frame_files, same_number, times_by_number
from stgan.video.tensors import MOST_DECODED, MOST_FRAMES, MOST_PIXELS, TensorClip

# Containers of videos. Playlists (HLS, concat, ...) are excluded: they make ffmpeg open other files and addresses.
_BARE = ("h264", "hevc", "mpegvideo", "m4v", "mjpeg", "obu")  # streams without a container, and so without time stamps
_FORMATS = ",".join(
    ("mov,mp4,avi,matroska,webm,gif,mpeg,mpegts,ogg,flv,asf,mxf,dv,rm,ivf,nut,wtv,yuv4mpegpipe", *_BARE)
)
_IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF")
# Compressions of TIFF. The others are rare, and some ask for much memory.
_TIFF = ("raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "jpeg")
_FREE_ENTRIES = 1 << 20  # index entries allowed for a file of any size; they take about 60 MB
_FALLBACK_FPS = 25.0
MAX_FPS = 1000.0
_UPRIGHT = (1, 0, 0, 1)
_SLIGHT = 0.01  # deviations from square pixels and from quarter turns that are not noted
_MATRIX = struct.Struct("=5i")  # the beginning of ffmpeg's display matrix
_WRONG_RATE = 0.05  # more than rounded time stamps of three frames differ from the declared rate
_GIB = 1024**3
_MOST_GIF = 2 * _GIB  # of a GIF, which can be a millionth of that


@dataclass(frozen=True)
class DecodedVideo:
    """A decoded video file: RGB frames and their rate in frames per second.

    times: when each frame is shown, in seconds from the first returned one.
    variable_rate: the time between frames varies, so that `fps` is only the mean.
    turned: the file asks players to rotate or mirror its frames, which was done.
    interlaced: frames have lines of two moments.
    stretched: the file asks players to show pixels that are not square; frames are as they are stored.
    tilted: the file asks players to rotate frames by an angle that is no quarter turn; the nearest one was taken.
    """

    frames: UInt8[np.ndarray, "time height width 3"]
    fps: float
    times: Float[np.ndarray, " time"]
    variable_rate: bool = False
    turned: bool = False
    interlaced: bool = False
    stretched: bool = False
    tilted: bool = False


def read_video(
    path: str | Path | TensorClip,
    *,
    max_frames: int | None = MOST_FRAMES,
    part: range | None = None,
    max_pixels: int = MOST_PIXELS,
    max_bytes: int = 4 * _GIB,
    transform: Callable[[UInt8[np.ndarray, "_ _ 3"]], UInt8[np.ndarray, "_ _ 3"]] | None = None,
) -> DecodedVideo:
    """Decode a video file (mp4, avi, ...), a folder of images, one a frame, a tensor, or a picture (of one frame).

    The frames are returned as stored: each frame once, in order, regardless of time stamps. Like ffmpeg, this function
    turns them upright where the file has a display matrix, as phones write it, and leaves out what an edit list cuts.

    Args:
        path: the file, or the tensor in a file.
        max_frames: the largest number of frames to accept; None for no limit.
        part: the frames to return, a range of step 1; default: all. Frames behind it are not decoded, so it is not
            checked whether the file is complete.
        max_pixels: the largest frame to accept, as height x width.
        max_bytes: the largest memory to use for frames. The file is not trusted: each limit is checked before the
            memory is allocated.
        transform: applied to each frame as it is decoded, for example to make it smaller; all its results have the
            same size. The original frames are never in memory together.

    Returns:
        At least one frame, ``uint8 (time, height, width, 3)``, and the frame rate (25 if it has none).

    Raises:
        VideoError: the file is missing, empty, cut short, damaged, not a video, or exceeds a limit.
    """
    if isinstance(path, TensorClip):
        return _read_tensor(path, max_frames, part or range(len(path.stored())), max_pixels, max_bytes, transform)
    path = Path(path)
    pictures = [path] if path.suffix.lower() in IMAGES and path.is_file() else []
    if files := pictures or frame_files(path):
        return _read_images(path, files, max_frames, part or range(len(files)), max_pixels, max_bytes, transform)
    _check_readable(path)
    data = bytearray()  # grows in place, so that memory holds the frames once
    first, behind = (part.start, part.stop) if part is not None else (0, None)
    count, discarded, size, matrix = 0, 0, (0, 0), _UPRIGHT
    times: list[float | None] = []
    interlaced = tilted = False
    try:
        with _opened(path) as container:
            stream = _video_stream(path, container)
            context = stream.codec_context
            if context is None:
                raise VideoError(f"{quoted(path)} uses a video codec that is not supported: convert it to mp4.")
            _check_frame_size(path, context.height, context.width, max_pixels)
            context.options = {"max_pixels": str(max_pixels)}  # the header's size may be wrong
            context.thread_count = 1  # the fastest for small clips
            # `frame.to_ndarray` would set up a new conversion for each frame, with a thread per core.
            converter = VideoReformatter()
            last = 0.0  # the time of the last frame, in seconds
            most = _MOST_GIF if container.format.name == "gif" else MOST_DECODED
            pixels = context.height * context.width
            wanted = min((number for number in (max_frames, behind) if number is not None), default=math.inf)
            if wanted * pixels > most:
                _check_decoded(path, _count_frames(path, stream, most // pixels + 1) * pixels, most)
            for frame in _decode(path, container, stream):
                if frame is None:
                    discarded += 1
                    if max_frames is not None and discarded > max_frames:
                        raise VideoError(f"{quoted(path)} leaves out more than {max_frames} frames: cut it anew.")
                    continue
                if count == 0:
                    size, (matrix, tilted) = (frame.height, frame.width), _display_matrix(frame)
                    _check_frame_size(path, *size, max_pixels)
                elif size != (frame.height, frame.width):
                    raise VideoError(f"{quoted(path)} changes its frame size on the way: convert it to one size.")
                count += 1
                _check_decoded(path, count * frame.height * frame.width, most)
                if max_frames is not None and count > max_frames:
                    raise VideoError(f"{quoted(path)} has more than {max_frames} frames: cut it into shorter clips.")
                last = max(last, frame.time or 0.0)
                times.append(None if container.format.name in _BARE else frame.time)
                interlaced |= bool(frame.interlaced_frame)
                if count <= first:
                    continue
                kept = _upright(converter.reformat(frame, format="rgb24", threads=1).to_ndarray(), matrix)
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
            stretched = abs(float(stream.sample_aspect_ratio or 1) - 1) > _SLIGHT
            if count <= first:
                raise VideoError(f"{quoted(path)} has {count} frames, no frame {first}: get the whole file.")
            if count != behind:
                _check_whole(path, container, stream, count + discarded, last + 3 / fps)
    except av.FFmpegError as error:
        raise VideoError(f"{quoted(path)} cannot be read as a video ({reason_of(error)}): check the file.") from error
    except MemoryError as error:
        raise VideoError(f"{quoted(path)} does not fit into memory decoded: shorten it.") from error
    frames = np.frombuffer(data, np.uint8).reshape(count - first, *kept.shape)
    shown = _shown_at(times[first:], fps)
    variable = _varies(shown)
    if not variable and len(shown) > 2 and abs(shown[-1] * fps / (len(shown) - 1) - 1) > _WRONG_RATE:
        fps = min((len(shown) - 1) / float(shown[-1]), MAX_FPS)  # the declared rate contradicts the time stamps
    return DecodedVideo(frames, fps, shown, variable, matrix != _UPRIGHT, interlaced, stretched, tilted)


def count_frames(path: Path | TensorClip) -> int:
    """The number of frames of a clip, without decoding it. A damaged or hostile file may declare a wrong one.

    VideoError if the file cannot be read.
    """
    if isinstance(path, TensorClip):
        return len(path.stored())
    if files := frame_files(path):
        return len(files)
    _check_readable(path)
    try:
        with _opened(path) as container:
            return _count_frames(path, _video_stream(path, container), MOST_FRAMES)
    except av.FFmpegError as error:
        raise VideoError(f"{quoted(path)} cannot be read as a video ({reason_of(error)}): check the file.") from error


def to_float(frames: UInt8[np.ndarray, "time height width 3"]) -> Float[Tensor, "3 time height width"]:
    """Convert RGB bytes to a float32 tensor in [0, 1], channels first."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2))).float() / 255


def to_uint8(video: Float[Tensor, "3 time height width"]) -> UInt8[np.ndarray, "time height width 3"]:
    """Convert a float video to RGB bytes: clamped to [0, 1], rounded to the nearest of 256 levels."""
    levels = (video.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 3, 0).contiguous().cpu().numpy()


def _read_images(
    path: Path,
    files: list[Path],
    max_frames: int | None,
    part: range,
    max_pixels: int,
    max_bytes: int,
    transform: Callable[[np.ndarray], np.ndarray] | None,
) -> DecodedVideo:
    """As `read_video`, for a folder of images."""
    if max_frames is not None and len(files) > max_frames:
        raise VideoError(f"{quoted(path)} has more than {max_frames} frames: cut it into shorter clips.")
    if part.start >= len(files):
        raise VideoError(f"{quoted(path)} has {len(files)} frames, no frame {part.start}: get the whole folder.")
    if twins := same_number(files):
        raise VideoError(
            f"{quoted(path)} has two images of one number, {quoted(twins[0].name)} and {quoted(twins[1].name)}: give "
            "each series of frames a folder of its own."
        )
    chosen = files[part.start : part.stop]
    turned, pixels = False, 0

    def pictures() -> Iterator[np.ndarray]:
        nonlocal turned, pixels
        for file in chosen:
            if not file.is_file():  # opening a pipe would block
                raise VideoError(f"{quoted(file)} is a broken link or no regular file: get the whole folder.")
            try:
                with Image.open(file, formats=_IMAGE_FORMATS) as image:
                    _check_image(file, image, max_pixels)
                    pixels += image.width * image.height
                    _check_decoded(path, pixels, MOST_DECODED)
                    turned |= image.getexif().get(ExifTags.Base.Orientation, 1) != 1
                    frame = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            except VideoError:
                raise
            except Exception as error:  # Pillow raises errors of many kinds for damaged files
                raise VideoError(
                    f"{quoted(file)} cannot be read as an image ({reason_of(error)}): check the file."
                ) from error
            yield frame

    frames = _gathered(path, pictures(), transform, max_bytes)
    shown = times_by_number(chosen) / _FALLBACK_FPS
    return DecodedVideo(frames, _FALLBACK_FPS, shown, _varies(shown), turned)


def _read_tensor(
    clip: TensorClip,
    max_frames: int | None,
    part: range,
    max_pixels: int,
    max_bytes: int,
    transform: Callable[[np.ndarray], np.ndarray] | None,
) -> DecodedVideo:
    """As `read_video`, for a tensor in a file, which says nothing of its rate."""
    place, stored = Path(str(clip)), clip.stored()
    time, height, width, _ = stored.shape
    _check_frame_size(place, height, width, max_pixels)
    _check_decoded(place, time * height * width, MOST_DECODED)
    if max_frames is not None and time > max_frames:
        raise VideoError(f"{quoted(place)} has more than {max_frames} frames: cut it into shorter clips.")
    if part.start >= min(part.stop, time):
        raise VideoError(f"{quoted(place)} has {time} frames, no frame {part.start}: get the whole file.")
    frames = _gathered(place, clip.frames(part), transform, max_bytes)
    return DecodedVideo(frames, _FALLBACK_FPS, np.arange(len(frames)) / _FALLBACK_FPS)


def _gathered(
    path: Path,
    frames: Iterable[np.ndarray],
    transform: Callable[[np.ndarray], np.ndarray] | None,
    max_bytes: int,
) -> np.ndarray:
    """Frames of one size, transformed, as one array, "time height width 3"."""
    data, shape, count = bytearray(), None, 0
    for count, frame in enumerate(frames, 1):  # noqa: B007 (the last number is their count)
        if shape is not None and frame.shape != shape:
            raise VideoError(f"{quoted(path)} changes its frame size on the way: convert it to one size.")
        shape = frame.shape
        kept = frame if transform is None else transform(frame)
        if len(data) + kept.nbytes > max_bytes:
            raise VideoError(f"{quoted(path)} takes more than {max_bytes / _GIB:.3g} GiB decoded: shorten it.")
        data += kept.tobytes()
    return np.frombuffer(data, np.uint8).reshape(count, *kept.shape)


def _check_image(path: Path, image: Image.Image, max_pixels: int) -> None:
    """VideoError for a picture that would take too much memory, or that would lose something as a frame of 8 bits."""
    _check_frame_size(path, image.height, image.width, max_pixels)
    if image.mode.startswith(("I", "F")):
        raise VideoError(f"{quoted(path)} has more than 8 bits a channel: convert it to 8 bits.")
    if getattr(image, "is_animated", False):
        raise VideoError(f"{quoted(path)} holds several pictures: give each frame a file of its own.")
    if isinstance(image, TiffImageFile):
        width, height = (image.tag_v2.get(tag, 1) for tag in (TILEWIDTH, TILELENGTH))  # a tile is read as a whole
        _check_frame_size(path, height, width, max_pixels)
        if image.info.get("compression") not in _TIFF:
            raise VideoError(f"{quoted(path)} is compressed in a rare way: save it as TIFF with LZW, or as PNG.")


def reason_of(error: Exception) -> str:
    """The reason of an error, for a message."""
    return " ".join((getattr(error, "strerror", None) or type(error).__name__).lower().split())


def _check_readable(path: Path) -> None:
    try:
        if path.is_dir():
            raise VideoError(f"{quoted(path)} is a folder without images: give a video file or a folder of frames.")
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
        raise VideoError(f"{quoted(path)} cannot be opened ({reason_of(error)}): check the path.") from error


def _check_frame_size(path: Path, height: int, width: int, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise VideoError(
            f"{quoted(path)} has frames of {width}x{height}, more than {max_pixels} pixels: make it smaller."
        )


def _opened(path: Path) -> av.container.InputContainer:
    # The path is absolute, because ffmpeg reads "a:b.mp4" as a protocol.
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    return av.open(os.path.abspath(path), options=options, metadata_errors="replace")


def _video_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """The first one. The cover picture of an audio file is a stream of one frame."""
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        raise VideoError(f"{quoted(path)} has no video stream: give a video file.")
    return streams[0]


def _count_frames(path: Path, stream: av.VideoStream, most: int) -> int:
    """The declared number of frames. A GIF, mkv or mpg declares none, so they are counted, up to `most`, undecoded."""
    if stream.frames:
        return stream.frames
    with _opened(path) as container:
        packets = container.demux(container.streams[stream.index])
        return sum(1 for _ in islice((packet for packet in packets if packet.size), most))


def _check_decoded(path: Path, pixels: int, most: int) -> None:
    if pixels > most:
        raise VideoError(f"{quoted(path)} has more than {most} pixels in all frames together: shorten it.")


def _frame_rate(container: av.container.InputContainer, stream: av.VideoStream, count: int, last: float) -> float:
    # A GIF has no rate, only a duration for each frame, and ffmpeg's guess uses the shortest.
    mean_rate = (count - 1) / last if last and container.format.name == "gif" else None
    for rate in (mean_rate, stream.average_rate, stream.guessed_rate):
        if rate is not None and 0 < rate <= MAX_FPS:
            return float(rate)
    return _FALLBACK_FPS


def _shown_at(times: list[float | None], fps: float) -> np.ndarray:
    """Time stamps in seconds from the first frame, or those of a constant rate where the file has none that rise."""
    stamps = np.array(times, np.float64)  # None becomes NaN
    if len(stamps) > 1 and not (np.diff(stamps) > 0).all():
        stamps = np.arange(len(times)) / fps
    return np.nan_to_num(stamps - stamps[0])


def _varies(shown: np.ndarray) -> bool:
    """Whether no constant rate gives these times, to a tenth of a frame; time stamps may be rounded to 10 ms.

    Rounding changes the time between two frames by at most one unit, however many frames lie between them.
    """
    if len(shown) < 2:
        return False
    slack = max(0.2 * float(np.median(np.diff(shown))), 0.0101)
    counts = [*range(1, min(64, len(shown))), *range(64, len(shown), 64)]  # all would take minutes for an hour's video
    spans = ((count, shown[count:] - shown[:-count]) for count in counts)
    steps = np.array([((span.max() - slack) / count, (span.min() + slack) / count) for count, span in spans])
    return bool(steps[:, 0].max() > steps[:, 1].min())


def _display_matrix(frame: av.VideoFrame) -> tuple[tuple[int, int, int, int], bool]:
    """The signs (a, b, c, d) of a frame's display matrix, to the nearest quarter turn, and whether it is none.

    (x, y) of the stored frame is shown at (a x + c y, b x + d y).
    """
    found = frame.side_data.get("DISPLAYMATRIX")
    data = bytes(found) if isinstance(found, SideData) else b""
    if len(data) < _MATRIX.size:
        return _UPRIGHT, False
    a, b, _, c, d = _MATRIX.unpack_from(data)
    tilted = min(abs(a), abs(b)) > _SLIGHT * max(abs(a), abs(b))
    if abs(b) > abs(a):
        return (0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0), tilted
    return (-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1), tilted


def _upright(frame: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """A frame as its display matrix says that it is shown."""
    a, b, c, d = matrix
    turned = frame.transpose(1, 0, 2) if b else frame
    return np.ascontiguousarray(turned[:: b or d, :: c or a])


def _check_whole(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream, count: int, end: float
) -> None:
    """VideoError if the container declares clearly more than was decoded.

    One or two missing frames are normal, since decoders do not return all declared ones (Xvid's packed frames). The
    frames that an edit list cuts are still declared, but not in the index that ffmpeg makes by that list. Matroska and
    WebM declare a duration instead, which is the video's only if there is no sound. A GIF declares nothing, so a GIF
    that was cut short yields the frames that it has.
    """
    declared = stream.frames
    if "mp4" in container.format.name:
        declared = min(declared, len(stream.index_entries))
    if count < declared - max(2, declared // 50):
        raise VideoError(f"{quoted(path)} is cut short ({count} of {declared} frames): get the whole file.")
    if "matroska" in container.format.name and len(container.streams) == 1 and container.duration:
        seconds = container.duration / av.time_base
        if end < 0.98 * seconds:
            raise VideoError(f"{quoted(path)} is cut short (of {seconds:.1f} s): get the whole file.")


def _decode(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame | None]:
    """Yield the frames, and None for each one that the file asks players to discard."""
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise VideoError(f"{quoted(path)} is damaged or cut short: get the whole file.")
        if packet.is_discard:
            yield None
        yield from packet.decode()
