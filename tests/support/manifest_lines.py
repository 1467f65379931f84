"""The lines of a folder's manifest as plain values, for tests that change them; and lines that stgan never writes."""

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


LINE = {"file": "left/a.mp4", "action": "left", "index": 0}
HOSTILE = {
    "not JSON": b"[1, 2",
    "an array": b"[1, 2]",
    "a blank line": b"",
    "bytes that are no text": b'{"file": "\xff"}',
    "a name that comes twice": b'{"file": "a.mp4", "action": "left", "index": 0, "seed": 1, "seed": 2}',
    "a number that is infinite": b'{"file": "a.mp4", "action": "left", "index": 0, "seed": 1e999}',
    "no index": b'{"file": "a.mp4", "action": "left"}',
    "NaN": json.dumps({**LINE, "seed": float("nan")}).encode(),
    "deep nesting": b'{"file": "a", "action": "left", "index": 0, "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "a huge number": b'{"file": "a", "action": "left", "index": ' + b"9" * 10_000 + b"}",
    **{
        f"{name} {value!r:.40}": json.dumps({**LINE, name: value}).encode()
        for name, value in [
            ("file", None),
            ("file", 3),
            ("file", ""),
            ("file", "."),
            ("file", "/etc/passwd"),
            ("file", "../x.mp4"),
            ("file", "left/../../x.mp4"),
            ("file", "left//a.mp4"),
            ("file", "./a.mp4"),
            ("file", "C:\\x.mp4"),
            ("file", "a\0b"),
            ("file", "a\nb"),
            ("file", "\ud800"),
            ("file", "x" * 2000),
            ("action", ["left"]),
            ("action", "\x1b[31m"),
            ("index", -1),
            ("index", True),
            ("index", 0.0),
            ("hashes", []),
        ]
    },
}
