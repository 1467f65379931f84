"""Clips that are stored as a folder of images, one a frame, in the order of the numbers in their names."""

import hashlib
import os
import re
from pathlib import Path

from stgan.files import sha256

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff")
VIDEOS = (
    *(".mp4", ".avi", ".webm", ".gif", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".asf", ".flv", ".f4v", ".3gp"),
    *(".3g2", ".ts", ".mts", ".m2ts", ".vob", ".ogv", ".ogg", ".qt", ".divx", ".mpe", ".m2v", ".mxf", ".dv", ".rm"),
    *(".rmvb", ".ivf", ".nut", ".wtv", ".y4m", ".amv", ".mod", ".tod"),
)
"""Endings of the names of video files that `read_video` reads."""


def frame_files(folder: Path) -> list[Path]:
    """The images of a clip's folder, in the order of the frames: 2 before 10.

    Empty if `folder` is no folder, or has videos, whose thumbnails the images may be.
    """
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")] if os.path.isdir(folder) else []
    except OSError:
        return []
    if any(name.lower().endswith(VIDEOS) for name in names):
        return []
    images = sorted((name for name in names if name.lower().endswith(IMAGES)), key=_by_number)
    return [folder / name for name in images if os.path.isfile(folder / name)]


def clip_sha256(path: Path) -> str:
    """SHA-256 of a clip's file, or of the names and contents of a folder's frames, hexadecimal."""
    if not path.is_dir():
        return sha256(path)
    frames = "".join(f"{file.name}\0{sha256(file)}\n" for file in frame_files(path))
    return hashlib.sha256(frames.encode("utf-8", "surrogateescape")).hexdigest()


def _by_number(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"([0-9]+)|([^0-9]+)", os.path.splitext(name)[0])
    return [(int(digits[:100] or -1), other) for digits, other in parts], name
