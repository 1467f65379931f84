"""Paths in a folder of clips: what lies there, and where the names on a list lead."""

import os
from pathlib import Path, PurePosixPath

from stgan.errors import StganError
from stgan.names import quoted
from stgan.video.frame_folders import frame_files


def names_in(folder: Path) -> list[str]:
    """The sorted names in a folder."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise StganError(f"{quoted(folder)} cannot be read ({error.strerror}): correct its permissions.") from error


def folders_in(folder: Path) -> list[str]:
    """The sorted names of folders in a folder that may hold clips."""
    inner = (name for name in names_in(folder) if not name.startswith(".") and os.path.isdir(folder / name))
    return [name for name in inner if not is_of_page(folder / name)]


def is_of_page(folder: Path) -> bool:
    """Whether a folder holds the figures or films of a page beside it, as `stgan report` writes them."""
    stem, _, kind = folder.name.rpartition("_")
    return kind in ("figures", "files") and os.path.isfile(folder.with_name(f"{stem}.html"))


def is_clip(path: Path) -> bool:
    """Whether there is a regular file, or a folder of frames."""
    return os.path.isfile(path) or bool(frame_files(path))


def inside(name: str, source: Path) -> PurePosixPath:
    """A name from an untrusted list as a path inside the list's folder. StganError if it leads outside."""
    parts = name.replace("\\", "/").split("/")  # both slashes, so that a list means the same on all systems
    if not parts[0] or parts[0][1:2] == ":" or ".." in parts:
        raise StganError(f"{quoted(source)} names {quoted(name)}, which is outside the folder: use paths within it.")
    return PurePosixPath(*parts)
