"""Files that list clips, as different tools write them: csv or JSON lines, with or without names of their columns."""

import csv
import io
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from stgan.errors import StganError
from stgan.names import from_csv_cell, one_line, quoted
from stgan.records import parse_json, read_text

CLASSES = ("classes.txt", "classInd.txt", "labels.txt")
"""Files that name the classes of numbers."""

_LONGEST_LINE = 100_000  # characters; a line of a list names one clip
_MOST_LINES = 1_000_000
_MOST_COLUMNS = 1000
_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?\s*')  # a first line of Excel's
_DECIMAL = re.compile(r"[-+]?[0-9]*\.[0-9]+(e[-+]?[0-9]+)?", re.IGNORECASE)
_NAMES = {
    "path": (
        *("path", "file_name", "video_path", "clip_path", "file_path", "file", "video", "clip"),
        *("video_file", "video_name", "clip_name"),
    ),
    "label": ("label", "action", "class", "category", "class_name", "label_name", "action_name", "activity"),
    "group": tuple(
        f"{who}{ending}" for who in ("actor", "group", "subject", "person") for ending in ("", "_id", "_name")
    ),
    "split": ("split", "subset", "set", "partition"),
}
_SPLITS = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val"},
    **{"test": "test", "testing": "test"},
}


def column(columns: Iterable[str], meaning: str) -> str | None:
    """The column that has the clips' path, label, group or split; None if there is none."""
    spelled = {_bare(name): name for name in reversed(list(columns))}
    return next((spelled[_bare(name)] for name in _NAMES[meaning] if _bare(name) in spelled), None)


def unknown(columns: Iterable[str]) -> list[str]:
    """The columns whose names mean nothing here."""
    known = {_bare(name) for names in _NAMES.values() for name in names}
    return [name for name in columns if _bare(name) not in known]


def _bare(name: str) -> str:
    """A column's name without what spellings differ in: Video Path, video_path, VideoPath."""
    return re.sub(r"[\W_]+", "", name).casefold()


def lists_clips(columns: Sequence[str]) -> bool:
    """Whether these are the columns of a list of clips, and not of the scores that `stgan evaluate --csv` writes.

    The list of a selected set has scores, too, beside `path`. A manifest of generated clips lies beside a folder for
    each action.
    """
    own = "path" not in columns and not {"contribution", "hashes"}.isdisjoint(columns)
    return not own and None not in (column(columns, "path"), column(columns, "label"))


def split_named(name: str) -> str | None:
    """The split ("train", "val" or "test") that a word names; None if it names none."""
    return _SPLITS.get(name.strip().casefold())


def split_of_table(stem: str) -> str | None:
    """The split that the name of a csv file names, such as `val` or `list_val`."""
    splits = {split for word in re.split(r"[^a-zA-Z]+", stem) if (split := split_named(word))}
    return splits.pop() if len(splits) == 1 else None


def read_header(text: str) -> list[str]:
    """The columns that the first line of a list of clips names; [] if there is no such line."""
    lines = _lines(text)
    try:
        first = next(lines, "")
        return read_list(first + next(lines, "") if _SEPARATOR.fullmatch(first) else first)[0]
    except ValueError:
        return []


def read_list(text: str) -> tuple[list[str], Iterator[Mapping[str, str]]]:
    """The columns and the rows of a list: csv, separated by , ; tab or |, or a JSON object on each line.

    Cells are stripped; those that are missing are empty. Reading the rows may raise the errors, too.

    Raises:
        ValueError: the list is neither, or has too many or too long lines.
    """
    if re.match(r"\s*\{", text):
        names: dict[str, None] = {}
        for values in _objects(text):
            names.update(dict.fromkeys(values))
            if len(names) > _MOST_COLUMNS:
                raise ValueError(f"more than {_MOST_COLUMNS} names of values")
        return list(names), (defaultdict(str, values) for values in _objects(text))
    lines = _lines(text)
    first = next(lines, "")
    given = _SEPARATOR.fullmatch(first)
    delimiter = given[1] if given else _separator(first)
    rows = _cells(csv.reader(lines if given else chain([first], lines), delimiter=delimiter))
    columns = next(rows, [])
    return columns, (defaultdict(str, zip(columns, row, strict=False)) for row in rows if row)


def read_pairs(text: str, names_clip: Callable[[str], bool]) -> list[tuple[str, str]]:
    """The rows of a list that names no columns: a path and a label on each line. [] if it may be anything else.

    The first path has to name a clip. Cells are separated by , ; tab or |, or by the last space of the line. A decimal
    number is no label, but a score or a duration.
    """
    readings: list[list[tuple[str, str]]] = []
    for separator in ",;\t| ":
        try:
            rows = _pairs(text, separator, names_clip)
        except ValueError:
            continue
        if rows and rows not in readings:
            readings.append(rows)
    return readings[0] if len(readings) == 1 else []


def _pairs(text: str, separator: str, names_clip: Callable[[str], bool]) -> list[tuple[str, str]]:
    lines = filter(str.strip, _lines(text))
    by_space = (list(line.strip().rpartition(" ")[::2]) for line in lines)
    pairs: list[tuple[str, str]] = []
    for row in _cells(by_space if separator == " " else csv.reader(lines, delimiter=separator)):
        if len(row) != 2 or not all(row) or _DECIMAL.fullmatch(row[1]) or not (pairs or names_clip(row[0])):
            return []
        pairs.append((row[0], row[1]))
    return pairs


def with_class_names(beside: Path, labels: list[str]) -> tuple[list[str], str]:
    """Labels with a name in place of each if all are numbers and a file beside this one names them, and how, in words.

    Raises:
        StganError: the file cannot be read, or lacks a number.
    """
    file = next(filter(os.path.isfile, (beside.with_name(name) for name in CLASSES if name != beside.name)), None)
    if file is None or not all(re.fullmatch("[0-9]{1,9}", label) for label in labels):
        return labels, ""
    try:
        names = class_names(read_text(file))
    except ValueError as error:
        raise StganError(
            f"{quoted(file)} cannot be read as names of classes ({one_line(error)}): correct it."
        ) from error
    if unnamed := [label for label in labels if int(label) not in names]:
        raise StganError(
            f"{quoted(beside)} has class {unnamed[0]}, which has no name in {quoted(file.name)}: correct one of them."
        )
    form = f"with the names of classes in {quoted(file.name)} (the first is {min(names)})"
    return [names[int(label)] for label in labels], form


def class_names(text: str) -> dict[int, str]:
    """Names of classes by their numbers: of lines "NUMBER NAME", or of a name on each line, the first of which is 0.

    Raises:
        ValueError: there are too many or too long lines.
    """
    lines = [line.strip() for line in _lines(text) if line.strip()]
    numbered = {int(found[1]): found[2] for line in lines if (found := re.fullmatch(r"([0-9]{1,9})\s+(.+)", line))}
    return numbered if len(numbered) == len(lines) else dict(enumerate(lines))


def _lines(text: str) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text, newline="")):
        if len(line) > _LONGEST_LINE or number >= _MOST_LINES:
            raise ValueError(f"more than {_MOST_LINES} lines, or {_LONGEST_LINE} characters in a line")
        yield line


def _objects(text: str) -> Iterator[dict[str, str]]:
    for line in filter(str.strip, _lines(text)):
        values = parse_json(line)
        if not isinstance(values, dict):
            raise ValueError("a line is no JSON object")
        yield {name.strip(): str(value).strip() for name, value in values.items() if isinstance(value, str | int)}


def _cells(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from ([from_csv_cell(cell.strip()) for cell in row] for row in rows)
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _separator(header: str) -> str:
    """The first of , ; tab | that divides a header into columns of a list of clips."""
    for each in (";", "\t", "|"):
        if lists_clips(next(_cells(csv.reader([header], delimiter=each)), [])):
            return each
    return ","
