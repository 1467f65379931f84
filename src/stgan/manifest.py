"""`manifest.jsonl`: what each clip of a folder shows and how it was made."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NoReturn

from stgan.errors import StganError
from stgan.files import replacing
from stgan.names import quoted
from stgan.records import checked, parse_json

MANIFEST = "manifest.jsonl"
_LONGEST_LINE = 1 << 20  # bytes; ours are about 2000
_LONGEST_NAME = 1000  # characters of a clip's path or its action


@dataclass(frozen=True)
class Entry:
    """A line: a finished clip.

    file:    relative to the folder, with "/".
    action:  what it shows: an action, or a target under its name.
    index:   its number among the clips of that action.
    details: the other names and values of the line: how the clip was made (`GenerationJob.settings`), what the networks
             that steered say of it, and the `sha256` of its file. They are plain values, of any kind; only `hashes` is
             known to be a mapping.
    """

    file: str
    action: str
    index: int
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for word in (self.file, self.action):
            if not word.isprintable() or not 0 < len(word) <= _LONGEST_NAME:
                raise ValueError(f"{quoted(word)} is no name")
        # One way to write a path, so that two lines cannot name one file; nothing that is a path on Windows only.
        path = PurePosixPath(self.file)
        if set(self.file) & set("\\:") or not path.name or path.as_posix() != self.file:
            raise ValueError(f"{quoted(self.file)} is no path")
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{quoted(self.file)} is outside the folder")
        if self.index < 0:
            raise ValueError(f"the index is {self.index}")
        if not isinstance(self.details.get("hashes", {}), dict):
            raise ValueError("the hashes have no names")

    @classmethod
    def from_line(cls, line: str | bytes) -> "Entry":
        """ValueError for what is no entry."""
        values = parse_json(line)
        if not isinstance(values, dict):
            raise ValueError("it has no names")
        known = {name: values.pop(name) for name in ("file", "action", "index") if name in values}
        return checked(cls, {**known, "details": values})

    def values(self) -> dict[str, Any]:
        """All names and values of the line."""
        return {"file": self.file, "action": self.action, "index": self.index, **self.details}

    def line(self) -> bytes:
        return json.dumps(self.values(), allow_nan=False).encode() + b"\n"


class Manifest:
    """`manifest.jsonl`: a line a finished clip; written after the clip's file is complete."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST

    def read(self) -> Iterator[Entry]:
        """The entries one by one; none if there is no manifest yet. A last line that was cut short is no entry.

        The file is not trusted: no line is read that is too long, no name leaves the folder, no clip comes twice.

        Raises:
            StganError: a line is not an entry, or the file cannot be read.
        """
        if not os.path.lexists(self.path):
            return
        if not self.path.is_file():  # to open a pipe would wait for ever
            raise StganError(f"{quoted(self.path)} is not a regular file; remove it")
        try:
            with self.path.open("rb") as file:
                yield from self._entries(file)
        except OSError as error:
            raise StganError(
                f"{quoted(self.path)} cannot be read ({error.strerror or error}); put that right or remove it"
            ) from error

    def write(self, entries: Iterable[Entry]) -> None:
        """Replace the whole manifest, atomically."""
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            for entry in entries:
                file.write(entry.line())
            file.flush()
            os.fsync(file.fileno())

    def append(self, entry: Entry) -> None:
        """Add a line and force it to the disk: a whole line or, if that fails, nothing.

        Raises:
            FileNotFoundError: `write` has not been called, or someone took the file away since.
        """
        line = entry.line()
        with self.path.open("r+b", buffering=0) as file:  # a buffer would be written after all when the file is closed
            end = _end_of_lines(file)
            file.truncate(end)  # the process that wrote last may have been killed in the middle of its line
            file.seek(end)
            try:
                written = 0
                while written < len(line):
                    written += file.write(line[written:])
                os.fsync(file.fileno())
            finally:
                if file.seek(0, os.SEEK_END) != end + len(line):
                    file.truncate(end)

    def _entries(self, file: BinaryIO) -> Iterator[Entry]:
        files: set[str] = set()
        number = 0
        while (line := file.readline(_LONGEST_LINE)).endswith(b"\n"):
            number += 1
            try:
                entry = Entry.from_line(line)
            except ValueError as error:
                self._complain(number, f"is not a manifest entry ({error})", error)
            if entry.file in files:
                self._complain(number, f"names {quoted(entry.file)} a second time")
            files.add(entry.file)
            yield entry
        if len(line) == _LONGEST_LINE:
            self._complain(number + 1, "is too long for a manifest entry")

    def _complain(self, number: int, what: str, error: Exception | None = None) -> NoReturn:
        raise StganError(f"{quoted(self.path)} line {number} {what}; repair or remove it") from error


def _end_of_lines(file: FileIO) -> int:
    """The offset after the last line that ends."""
    end = file.seek(0, os.SEEK_END)
    start = max(0, end - _LONGEST_LINE)
    file.seek(start)
    return start + file.read().rfind(b"\n") + 1
