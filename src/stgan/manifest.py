"""`manifest.jsonl`: what each clip of a folder shows, and how it was generated."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from io import BufferedIOBase
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
        return replace(checked(cls, known), details=values)  # the values are plain already

    def values(self) -> dict[str, Any]:
        """All names and values of the line."""
        return {"file": self.file, "action": self.action, "index": self.index, **self.details}

    def line(self) -> bytes:
        return json.dumps(self.values(), allow_nan=False).encode() + b"\n"


def entries_of(file: BufferedIOBase, path: Path) -> Iterator[Entry]:
    """The entries of a file of lines; an unfinished last line is skipped.

    path: of the file, for messages.

    Raises:
        StganError: a line is too long or not an entry, or a clip is named twice.
    """
    files: set[str] = set()
    number = 1
    try:
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
            f"{quoted(path)} line {number} is not a manifest entry ({error}); repair or remove it"
        ) from error


class Manifest:
    """`manifest.jsonl` of a folder: one line per finished clip.

    `stgan generate` writes it at its end, from the parts of the folder (`stgan.parts`).
    """

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
        try:
            with self.path.open("rb") as file:
                yield from entries_of(file, self.path)
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
