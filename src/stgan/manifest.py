"""`manifest.jsonl`: what each clip of a folder shows and how it was made."""

import json
import os
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NoReturn

from stgan.errors import StganError
from stgan.files import replacing
from stgan.names import quoted

MANIFEST = "manifest.jsonl"
_LONGEST_LINE = 1 << 20  # bytes; ours are about 2000
_LONGEST_NAME = 1000  # characters of a clip's path or its action

Entry = dict[str, Any]


class Manifest:
    """`manifest.jsonl`: a line a finished clip; written after the clip's file is complete.

    An entry holds at least `file` (the clip, relative to the folder, with "/"), `action` and `index`.
    """

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
                file.write(_line(entry))
            file.flush()
            os.fsync(file.fileno())

    def append(self, entry: Entry) -> None:
        """Add a line and force it to the disk: a whole line or, if that fails, nothing.

        Raises:
            FileNotFoundError: `write` has not been called, or someone took the file away since.
        """
        line = _line(entry)
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
                entry = json.loads(line, parse_constant=_refuse)
                _check(entry)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                self._complain(number, "is not a manifest entry", error)
            name = entry["file"]
            if PurePosixPath(name).is_absolute() or ".." in name.split("/"):
                self._complain(number, f"names a file outside the folder, {quoted(name)}")
            if name in files:
                self._complain(number, f"names {quoted(name)} a second time")
            files.add(name)
            yield entry
        if len(line) == _LONGEST_LINE:
            self._complain(number + 1, "is too long for a manifest entry")

    def _complain(self, number: int, what: str, error: Exception | None = None) -> NoReturn:
        raise StganError(f"{quoted(self.path)} line {number} {what}; repair or remove it") from error


def _check(entry: Any) -> None:
    """Raise ValueError, KeyError or TypeError unless what every reader relies on is there and of its type."""
    if [type(entry[key]) for key in ("file", "action", "index")] != [str, str, int] or entry["index"] < 0:
        raise TypeError
    for name in (entry["file"], entry["action"]):
        if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
            raise ValueError
    # One way to write a path, so that two lines cannot name one file; nothing that is a path on Windows only.
    path = PurePosixPath(entry["file"])
    if set(entry["file"]) & set("\\:") or not path.name or path.as_posix() != entry["file"]:
        raise ValueError
    if not isinstance(entry.get("hashes", {}), dict):
        raise TypeError


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _line(entry: Entry) -> bytes:
    return json.dumps(entry, allow_nan=False).encode() + b"\n"


def _end_of_lines(file: FileIO) -> int:
    """The offset after the last line that ends."""
    end = file.seek(0, os.SEEK_END)
    start = max(0, end - _LONGEST_LINE)
    file.seek(start)
    return start + file.read().rfind(b"\n") + 1
