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
        """All entries; none if there is no manifest yet."""
        if not self.path.exists():
            return []
        entries = []
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                entry = json.loads(line)
                if [type(entry[key]) for key in ("file", "action", "index")] != [str, str, int]:
                    raise TypeError
            except (ValueError, KeyError, TypeError) as error:
                raise StganError(f"{self.path} line {number} is not a manifest entry; repair or remove it") from error
            entries.append(entry)
        return entries

    def append(self, entry: dict[str, Any]) -> None:
        """Add a line and force it to the disk."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def start_anew(self) -> None:
        self.path.unlink(missing_ok=True)
