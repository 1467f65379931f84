"""Clips that are stored as a folder of images, one a frame, in the order of the numbers in their names."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from stgan.files import sha256
from stgan.video.tensors import TensorClip

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff")
VIDEOS = (
    *(".mp4", ".avi", ".webm", ".gif", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".asf", ".flv", ".f4v", ".3gp"),
    *(".3g2", ".ts", ".mts", ".m2ts", ".vob", ".ogv", ".ogg", ".qt", ".divx", ".mpe", ".m2v", ".mxf", ".dv", ".rm"),
    *(".rmvb", ".ivf", ".nut", ".wtv", ".y4m", ".amv", ".mod", ".tod", ".3gpp", ".3gp2", ".m2t", ".mk3d", ".xvid"),
    *(".264", ".h264", ".avc", ".265", ".h265", ".hevc", ".m1v", ".mpv", ".mjpg", ".mjpeg", ".obu"),
)
"""Endings of the names of video files that `read_video` reads."""


def frame_files(folder: Path) -> list[Path]:
    """The images of a clip's folder, in the order of the frames: 2 before 10. Links may be broken.

    Empty if `folder` is no folder, or has videos, whose thumbnails the images may be.
    """
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")] if os.path.isdir(folder) else []
    except OSError:
        return []
    if any(name.lower().endswith(VIDEOS) for name in names):
        return []
    images = sorted((name for name in names if name.lower().endswith(IMAGES)), key=_by_number)
    return [folder / name for name in images if not os.path.isdir(folder / name)]


def clip_sha256(path: Path | TensorClip) -> str:
    """SHA-256 of a clip's file, of the names and contents of a folder's frames, or of a tensor's frames as RGB bytes,
    hexadecimal.
    """
    if isinstance(path, TensorClip):
        return path.sha256()
    if not path.is_dir():
        return sha256(path)
    frames = "".join(f"{file.name}\0{sha256(file) if file.is_file() else ''}\n" for file in frame_files(path))
    return hashlib.sha256(frames.encode("utf-8", "surrogateescape")).hexdigest()


def same_number(files: Sequence[Path]) -> tuple[Path, Path] | None:
    """Two images whose names have the same numbers, such as 1.jpg and 1.png, or 1.png and 1_mask.png, if there are."""
    seen: dict[tuple[int, ...], Path] = {}
    for file in files:
        if (numbers := _numbers(file)) and (other := seen.setdefault(numbers, file)) != file:
            return other, file
    return None


def times_by_number(files: Sequence[Path]) -> Float[np.ndarray, " time"]:
    """When each image is shown, counted in frames from the first: by the one number of the names that rises.

    The usual distance of two numbers is a frame. Names that are numbered otherwise count as one frame each.
    """
    numbers = [_numbers(file) for file in files]
    rising = [each for each in zip(*numbers, strict=False) if len(set(each)) > 1]
    if len(set(map(len, numbers))) > 1 or len(rising) != 1:
        return np.arange(len(files), dtype=float)
    times = np.array(rising[0], dtype=float) - rising[0][0]
    return times / np.median(np.diff(times))


def _numbers(file: Path) -> tuple[int, ...]:
    return tuple(int(digits[:100]) for digits in re.findall("[0-9]+", file.stem))


def _by_number(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"([0-9]+)|([^0-9]+)", os.path.splitext(name)[0])
    return [(int(digits[:100] or -1), other) for digits, other in parts], name
