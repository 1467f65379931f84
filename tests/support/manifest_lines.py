"""The lines of a folder's manifest as plain values, for tests that change them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def write_lines(folder: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Replaces the manifest, as `Manifest.write` does."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
