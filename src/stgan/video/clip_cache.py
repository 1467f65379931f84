"""A cache of decoded clips on disk, in one file that is mapped into memory.

For each frame size the folder holds two files:

- ``frames_64.u8``: the RGB bytes of all clips;
- ``index_64.jsonl``: a header line, then one line per clip, written after its bytes are on disk.

Both files only grow. A killed run loses only unfinished clips, and memory maps of other processes stay valid. A clip
whose file has changed gets a new line.
"""

import hashlib
import json
import math
import mmap
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import UInt8

from stgan.errors import StganError
from stgan.files import locked
from stgan.records import checked, parse_json
from stgan.video.clip_folder import ClipFolder
from stgan.video.decoding import ClipFacts, attempt, decode_clip, in_order
from stgan.video.frame_folders import frame_files
from stgan.video.io import VideoError

_GIB = 1024**3
_LARGEST = 64 * _GIB
_SHARE_OF_DISK = 0.8
_FORMAT = 4  # must be raised when files are decoded otherwise, or more is known of them
_Side = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class _File:
    """A clip's file (or its frames) when it was decoded: relative path, size in bytes, time of the last change."""

    path: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class _Entry:
    """A line of the index. sha256: of the cached frames, hexadecimal."""

    file: _File
    offset: int
    shape: tuple[_Side, _Side, _Side, Literal[3]]
    sha256: str
    facts: ClipFacts

    @property
    def end(self) -> int:
        return self.offset + math.prod(self.shape)


class ClipCache:
    """Clips that are decoded once and then read from disk on demand, so that they need not fit into memory.

    Args:
        folder: the folder of the cache; made if missing. Processes that share it wait for each other.
        size: height and width for `resize_and_crop`; None keeps each clip's own. Each size has its own files.
        max_bytes: limit of the frames on disk; default: 64 GiB, or 80 % of the disk's free space if that is less.
    """

    def __init__(self, folder: Path, size: int | None, *, max_bytes: int | None = None) -> None:
        name = "original" if size is None else str(size)
        self.folder, self.size, self.max_bytes = folder, size, max_bytes
        self._frames, self._index = folder / f"frames_{name}.u8", folder / f"index_{name}.jsonl"
        self._lock = f".frames_{name}.lock"

    def load(self, clips: ClipFolder) -> list[UInt8[np.ndarray, "_time _height _width 3"]]:
        """The frames of every clip, in the folder's order, as read-only views into one map of the file.

        Clips that the cache does not hold are decoded into it.

        Raises:
            StganError: a clip cannot be read, there is no room for the frames, or the folder cannot be written.
        """
        with self._locked():
            entries = self._readable(clips)
            if not entries:
                return []
            with self._frames.open("rb") as file:
                mapped = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        return [mapped[entry.offset : entry.end].reshape(entry.shape) for entry in entries]

    def inspect(
        self, clips: ClipFolder, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> list[ClipFacts | VideoError]:
        """The facts of each clip, or why it cannot be read. Decodes and raises as `load` does.

        progress: called after each clip with the number done and the total.
        """
        with self._locked():
            entries = self._complete(clips, progress)
        return [entry if isinstance(entry, VideoError) else entry.facts for entry in entries]

    def hashes(self, clips: ClipFolder) -> list[str]:
        """SHA-256 of each clip's frames as `load` returns them (hexadecimal), without reading them again."""
        with self._locked():
            return [entry.sha256 for entry in self._readable(clips)]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with locked(self.folder, file=self._lock, wait=True):
                yield
        except OSError as error:
            raise StganError(
                f"decoded clips cannot be kept in '{self.folder}' ({(error.strerror or str(error)).lower()}): make "
                "room there, or choose another folder."
            ) from error

    def _readable(self, clips: ClipFolder) -> list[_Entry]:
        """The entry of each clip; raises the VideoError of the first clip that cannot be read."""
        entries = self._complete(clips, strict=True)
        return [entry for entry in entries if isinstance(entry, _Entry)]

    def _complete(
        self,
        clips: ClipFolder,
        progress: Callable[[int, int], None] = lambda done, total: None,
        *,
        strict: bool = False,
    ) -> list[_Entry | VideoError]:
        """The entry of each clip, or the error that decoding it raised. strict: raise the first error instead."""
        known: dict[_File, _Entry | VideoError] = {**self._recover()}
        end = max((entry.end for entry in known.values() if isinstance(entry, _Entry)), default=0)
        limit = min(_LARGEST, end + int(_SHARE_OF_DISK * shutil.disk_usage(self.folder).free))
        limit = limit if self.max_bytes is None else self.max_bytes
        files = [_file(clip.path, clips.root) for clip in clips.clips]
        paths = {file: clip.path for file, clip in zip(files, clips.clips, strict=True)}
        missing = [path for file, path in paths.items() if file not in known]
        decoded = in_order(partial(attempt, partial(decode_clip, size=self.size)), missing)
        with closing(decoded), self._frames.open("ab") as frames, self._index.open("ab") as index:
            for number, file in enumerate(files, start=1):
                if file not in known:
                    outcome = next(decoded)
                    if isinstance(outcome, VideoError):
                        if strict:
                            raise outcome
                        known[file] = outcome
                    else:
                        facts, array = outcome
                        if end + array.nbytes > limit:
                            raise StganError(
                                f"the decoded clips of '{clips.root}' take more than {limit / _GIB:.3g} GiB in "
                                f"'{self.folder}': use fewer clips or a smaller size, or make room on that disk."
                            )
                        sha256 = hashlib.sha256(array.data).hexdigest()
                        known[file] = entry = _Entry(file, end, array.shape, sha256, facts)
                        frames.write(array.data)
                        frames.flush()
                        os.fsync(frames.fileno())  # a line of the index means that the frames are on disk
                        index.write(json.dumps(asdict(entry)).encode() + b"\n")
                        index.flush()
                        end = entry.end
                progress(number, len(files))
        return [known[file] for file in files]

    def _recover(self) -> dict[_File, _Entry]:
        """The complete clips, after removing what a killed run left unfinished behind them."""
        entries = self._read_index()
        if entries is None:
            # New files, not truncated ones: another process may have mapped the old ones.
            self._index.unlink(missing_ok=True)
            self._frames.unlink(missing_ok=True)
            self._frames.touch()
            self._index.write_bytes(self._header)
            return {}
        end = entries[-1].end if entries else 0
        if self._frames.stat().st_size > end:
            os.truncate(self._frames, end)
        return {entry.file: entry for entry in entries}

    @property
    def _header(self) -> bytes:
        return json.dumps({"format": _FORMAT, "size": self.size}).encode() + b"\n"

    def _read_index(self) -> list[_Entry] | None:
        """The entries of the index, without an unfinished last line; None if there is no index or it is damaged."""
        try:
            with self._index.open("rb") as file:
                *lines, torn = file.read().split(b"\n")
            if not lines or lines[0] + b"\n" != self._header:
                return None
            entries = checked(tuple[_Entry, ...], [parse_json(line) for line in lines[1:]])
            starts = [0, *(entry.end for entry in entries)]
            whole = starts[-1] <= self._frames.stat().st_size
        except (FileNotFoundError, ValueError):
            return None
        if not whole or any(entry.offset != start for entry, start in zip(entries, starts, strict=False)):
            return None
        if torn:
            os.truncate(self._index, self._index.stat().st_size - len(torn))
        return list(entries)


def _file(path: Path, root: Path) -> _File:
    relative = Path(os.path.relpath(path, root)).as_posix()
    try:
        files = [file.stat() for file in frame_files(path) or [path]]
    except OSError:  # decoding it will report why
        return _File(relative, -1, -1)
    return _File(relative, sum(file.st_size for file in files), max(file.st_mtime_ns for file in files))
