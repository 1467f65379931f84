"""`manifest.jsonl`: what each clip of a folder shows and how it was made."""

import json
import os
from pathlib import Path
from typing import Any

from stgan.errors import StganError

MANIFEST = "manifest.jsonl"


class Manifest:
    """`manifest.jsonl`: a line a finished clip; written after the clip's file is complete."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST

    def read(self) -> list[dict[str, Any]]:
        """All entries; none if there is no manifest yet. A last line that was cut short is no entry.

        Raises StganError for a line that is none otherwise.
        """
        if not self.path.exists():
            return []
        entries = []
        for number, line in enumerate(self._whole_lines().splitlines(), start=1):
            try:
                entry = json.loads(line)
                if [type(entry[key]) for key in ("file", "action", "index")] != [str, str, int]:
                    raise TypeError
                if not entry["file"].isprintable() or not isinstance(entry.get("hashes", {}), dict):
                    raise ValueError
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise StganError(f"{self.path} line {number} is not a manifest entry; repair or remove it") from error
            entries.append(entry)
        return entries

    def write(self, entries: list[dict[str, Any]]) -> None:
        """Replace the whole manifest, atomically."""
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
        os.replace(temporary, self.path)

    def append(self, entry: dict[str, Any]) -> None:
        """Add a line and force it to the disk."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _whole_lines(self) -> bytes:
        content = self.path.read_bytes()
        return content[: content.rfind(b"\n") + 1]
