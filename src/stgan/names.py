"""Parts of messages: names from untrusted files, errors on one line, durations."""

import os
import re
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import PurePath
from typing import Any

_FORMULA = re.compile(r"'*[=+@\t\r\n-]")  # how a csv cell begins that a spreadsheet runs
_LISTED = 24  # names in a sentence; of a longer list only the most similar are shown
_NEAREST = 5
_LONGEST = 300  # characters of a name; real paths are hardly ever longer
_LONGEST_REASON = 500  # characters of an error's text


def is_file_name(word: str) -> bool:
    """Whether a word from an untrusted file is safe as the name of a folder or file on any system."""
    return word.isprintable() and 0 < len(word.encode()) <= 100 and word[0] != "." and not set(word) & set("/\\:")


def printable(name: str, most: int | None = None) -> str:
    """A name for a picture or a page: escaped if it has unprintable characters, cut to `most` characters."""
    name = name if name.isprintable() else ascii(name)
    return name if most is None or len(name) <= most else f"{name[: most - 3]}..."


def escaped(text: str) -> str:
    """A text for a terminal: as it is, but unprintable characters except line breaks are escaped.

    Names and values from files may hold sequences that move the cursor, change the title, or hide what follows.
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def csv_cell(value: Any) -> Any:
    """A value for a csv file: a text that spreadsheets would run as a formula gets an apostrophe in front.

    Numbers stay as they are, also as texts. `from_csv_cell` takes the apostrophe away again.
    """
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value.strip()


def from_csv_cell(text: str) -> str:
    """The text of which `csv_cell` made this."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def quoted(name: str | PurePath) -> str:
    """A name or a path for a message: in quotes, escaped, and at most 300 characters long."""
    text = repr(os.fspath(name))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 50]}...{text[-40:]}"


def one_line(error: object, lines: int | None = None) -> str:
    """The text of an error (or its first `lines`) on one line of at most 500 printable characters."""
    text = " ".join(" ".join(str(error).strip().splitlines()[:lines]).split()) or type(error).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."


def as_path(path: PurePath) -> str:
    """A path to print in a command, always with a separator: `./weizmann` is a path, `weizmann` could be a name."""
    text = os.fspath(path)
    return text if text.startswith(("/", "./", "../")) else f"./{text}"


def listed(known: Collection[str], wrong: str) -> str:
    """The known names, for a message about a wrong one: all of them, or only the most similar of a long list."""
    if len(known) <= _LISTED:
        return ", ".join(known)
    nearest = get_close_matches(wrong, known, _NEAREST, cutoff=0)
    return f"{len(known)}, of which the most similar are {', '.join(nearest)}"


def duration(seconds: float) -> str:
    """A duration in words, in the unit that suits it: "2.5 minutes"."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
