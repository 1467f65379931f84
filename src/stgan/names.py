"""Words for sentences: names from files that are not trusted, and which of them may name a file; durations."""

import os
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import PurePath

_LISTED = 24  # names in a sentence; of more the nearest few
_NEAREST = 5
_LONGEST = 300  # characters; a path that is really there is hardly ever longer


def is_file_name(word: str) -> bool:
    """Whether a word from an untrusted file may name a folder or a file, here and on other systems."""
    return word.isprintable() and 0 < len(word.encode()) <= 100 and word[0] != "." and not set(word) & set("/\\:")


def printable(name: str, most: int | None = None) -> str:
    """A name for a picture or a page: escaped if it has letters that cannot be printed, cut beyond `most` letters."""
    name = name if name.isprintable() else ascii(name)
    return name if most is None or len(name) <= most else f"{name[: most - 3]}..."


def quoted(name: str | PurePath) -> str:
    """A name or a path for a message: in quotes, on one line whatever is in it, and not longer than a few lines."""
    text = repr(os.fspath(name))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 50]}...{text[-40:]}"


def as_path(path: PurePath) -> str:
    """A path for a command to copy, with a separator: `./weizmann` cannot be taken for a name."""
    text = os.fspath(path)
    return text if text.startswith(("/", "./", "../")) else f"./{text}"


def listed(known: Collection[str], wrong: str) -> str:
    """Names for a message about a wrong one: all of them, or of very many those that are most like it."""
    if len(known) <= _LISTED:
        return ", ".join(known)
    nearest = get_close_matches(wrong, known, _NEAREST, cutoff=0)
    return f"{len(known)}, of which the most similar are {', '.join(nearest)}"


def duration(seconds: float) -> str:
    """In the unit that suits it."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
