"""`manifest.jsonl`: what each clip of a folder shows, and how it was generated."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any

from stgan.errors import StganError
from stgan.files import replacing
from stgan.names import quoted
from stgan.records import checked, parse_json

MANIFEST = "manifest.jsonl"
_LONGEST_LINE = 1 << 20  # bytes; usual lines have about 2000
_LONGEST_NAME = 1000  # characters of a clip's path or action


@dataclass(frozen=True)
class Entry:
    """One line: a finished clip.

    file:    its path, relative to the folder, with "/".
    action:  what it shows: an action, or a target under its name.
    index:   its number among the clips of that action, from 0.
    details: the other names and values of the line, any plain values: how the clip was generated
             (`GenerationJob.settings`), the condition networks' scores of it, and the `sha256` of its file. Only the
             type of `hashes` is checked: it is a mapping.
    """

    file: str
    action: str
    index: int
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for word in (self.file, self.action):
            if not word.isprintable() or not 0 < len(word) <= _LONGEST_NAME:
                raise ValueError(f"{quoted(word)} is not a usable name")
        # A file has only one accepted path, so that two lines cannot name it. Windows paths are refused.
        path = PurePosixPath(self.file)
        if set(self.file) & set("\\:") or not path.name or path.as_posix() != self.file:
            raise ValueError(f"{quoted(self.file)} is not a usable path")
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{quoted(self.file)} is outside the folder")
        if self.index < 0:
            raise ValueError(f"the index {self.index} is negative")
        if not isinstance(self.details.get("hashes", {}), dict):
            raise ValueError("the hashes must be names and values")

    @classmethod
    def from_line(cls, line: str | bytes) -> "Entry":
        """Parse a line. ValueError if it is not an entry."""
        values = parse_json(line)
        if not isinstance(values, dict):
            raise ValueError("it must hold names and values")
        known = {name: values.pop(name) for name in ("file", "action", "index") if name in values}
        return checked(cls, {**known, "details": values})

    def values(self) -> dict[str, Any]:
        """All names and values of the line."""
        return {"file": self.file, "action": self.action, "index": self.index, **self.details}

    def line(self) -> bytes:
        return json.dumps(self.values(), allow_nan=False).encode() + b"\n"


class Manifest:
    """`manifest.jsonl` of a folder: one line per finished clip, written after the clip's file is complete."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST

    def read(self) -> Iterator[Entry]:
        """Yield the entries; none if there is no manifest yet. An unfinished last line is skipped.

        The file is not trusted: lines that are too long, paths outside the folder and repeated clips are refused.

        Raises:
            StganError: a line is not an entry, or the file cannot be read.
        """
        if not os.path.lexists(self.path):
            return
        if not self.path.is_file():  # opening a pipe would block
            raise StganError(f"{quoted(self.path)} is not a regular file; remove it")
        files: set[str] = set()
        number = 1
        try:
            with self.path.open("rb") as file:
                while (line := file.readline(_LONGEST_LINE)).endswith(b"\n"):
                    entry = Entry.from_line(line)
                    if entry.file in files:
                        raise ValueError(f"it names {quoted(entry.file)} a second time")
                    files.add(entry.file)
                    yield entry
                    number += 1
            if len(line) == _LONGEST_LINE:
                raise ValueError("it is too long")
        except ValueError as error:
            raise StganError(
                f"{quoted(self.path)} line {number} is not a manifest entry ({error}); repair or remove it"
            ) from error
        except OSError as error:
            raise StganError(
                f"{quoted(self.path)} cannot be read ({error.strerror or error}); correct that or remove it"
            ) from error

    def write(self, entries: Iterable[Entry]) -> None:
        """Replace the whole manifest, atomically."""
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            for entry in entries:
                file.write(entry.line())
            file.flush()
            os.fsync(file.fileno())

    def append(self, entry: Entry) -> None:
        """Append a line and flush it to the disk. If that fails, nothing is added.

        Raises:
            FileNotFoundError: `write` has not been called, or the file was removed since.
        """
        line = entry.line()
        with self.path.open("r+b", buffering=0) as file:  # a buffer would be written on closing, even after a failure
            end = _end_of_lines(file)
            file.truncate(end)  # a killed process may have left part of a line
            file.seek(end)
            try:
                written = 0
                while written < len(line):
                    written += file.write(line[written:])
                os.fsync(file.fileno())
            finally:
                if file.seek(0, os.SEEK_END) != end + len(line):
                    file.truncate(end)


def _end_of_lines(file: FileIO) -> int:
    """The offset after the last complete line."""
    end = file.seek(0, os.SEEK_END)
    start = max(0, end - _LONGEST_LINE)
    file.seek(start)
    return start + file.read().rfind(b"\n") + 1
