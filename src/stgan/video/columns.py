"""Csv files that list clips, as different tools write them: their separators and the names of their columns."""

import csv
import re
from collections.abc import Iterable, Sequence

_NAMES = {
    "path": (
        *("path", "file_name", "video_path", "clip_path", "file_path", "filename", "filepath", "file", "video", "clip"),
        *("video_file", "video_name", "clip_name"),
    ),
    "label": ("label", "action", "class", "category", "class_name", "label_name", "action_name", "activity"),
    "group": ("actor", "group", "subject", "person"),
    "split": ("split", "subset", "set", "partition"),
}
_SPLITS = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val"},
    **{"test": "test", "testing": "test"},
}


def column(columns: Iterable[str], meaning: str) -> str | None:
    """The column that has the clips' path, label, group or split; None if there is none."""
    spelled = {re.sub(r"[\s-]+", "_", name.strip()).casefold(): name for name in reversed(list(columns))}
    return next((spelled[name] for name in _NAMES[meaning] if name in spelled), None)


def lists_clips(columns: Sequence[str]) -> bool:
    """Whether these are the columns of a list of clips, and not of the scores that `stgan evaluate --csv` writes.

    The list of a selected set has scores, too, beside `path`.
    """
    scores = "contribution" in columns and "path" not in columns
    return not scores and None not in (column(columns, "path"), column(columns, "label"))


def split_named(name: str) -> str | None:
    """The split ("train", "val" or "test") that a word names; None if it names none."""
    return _SPLITS.get(name.strip().casefold())


def split_of_table(stem: str) -> str | None:
    """The split that the name of a csv file names, such as `val` or `list_val`."""
    splits = {split for word in re.split(r"[^a-zA-Z]+", stem) if (split := split_named(word))}
    return splits.pop() if len(splits) == 1 else None


def separator(header: str) -> str:
    """The separator of a csv file: the first of , ; tab | that divides its header into columns of a list of clips."""
    for each in (";", "\t", "|"):
        if lists_clips(next(csv.reader([header], delimiter=each), [])):
            return each
    return ","
