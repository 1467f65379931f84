"""Lists of the clips of a folder: which files they are, what they name, and which are not read."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stgan.errors import StganError
from stgan.names import one_line, printable, quoted
from stgan.records import read_text
from stgan.video.clip_folder import ClipFile
from stgan.video.columns import (
    CLASSES,
    column,
    lists_clips,
    read_header,
    read_list,
    read_pairs,
    split_named,
    split_of_table,
    unknown,
    with_class_names,
)
from stgan.video.frame_folders import VIDEOS, frame_files
from stgan.video.paths import inside, is_clip, names_in
from stgan.video.ucf101_lists import find_ucf, is_ucf_list

LISTS = (".csv", ".tsv", ".jsonl", ".txt")
_OTHER_LISTS = (".json", ".xlsx", ".xls", ".ods", ".parquet")
_MANIFEST = "manifest.jsonl"  # beside generated clips, which lie in folders of their actions
_BEGINNING = 1 << 18  # bytes of a file that tell whether it is a list of clips


@dataclass
class Remarks:
    """What there is to say about lists, besides their clips.

    dropped: listed clips in no split. notes: what is left out, a sentence for each list. forms: what is special about
    how lists were read, in words, each once.
    """

    dropped: set[Path] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    forms: dict[str, None] = field(default_factory=dict)


def choose_csv(root: Path, name: str | None) -> list[Path]:
    """The list of a folder of clips: the one of this name, or the only one that lists clips; [] if none does.

    Several files are returned if each has the name of another split. A list that names no columns counts where there
    is no other, also none of UCF-101.

    Raises:
        StganError: there is no such file, or several files list the same clips.
    """
    if name is not None:
        table = root / inside(name, root)
        if not os.path.isfile(table):
            raise StganError(f"there is no file {quoted(name)} in {quoted(root)}: give the name of its list.")
        return [table]
    tables = [path for path in _files(root, LISTS) if lists_clips(read_header(_beginning(path)))]
    if not tables and find_ucf(root) is None:
        tables = [path for path in _files(root, LISTS) if not _is_of_classes(path) and _read_pairs(root, path)]
    splits = [split_of_table(path.stem) for path in tables]
    if len(tables) > 1 and (None in splits or len(set(splits)) < len(splits)):
        raise StganError(f"{quoted(root)} has several lists of clips, {table_names(tables)}: name the one to use.")
    return tables


def clips_from_tables(root: Path, tables: Sequence[Path], split_column: str, remarks: Remarks) -> list[ClipFile]:
    """The clips of csv files. Where there are several and they have no column of splits, their names are the splits."""
    clips: dict[Path, ClipFile] = {}
    for table in tables:
        split = split_of_table(table.stem) if len(tables) > 1 else None
        for clip in _clips_from_csv(root, table, split_column, remarks):
            if clip.path in clips:
                raise StganError(f"{quoted(table)} names {quoted(clip.path)}, which another list has: remove one.")
            clips[clip.path] = replace(clip, split=clip.split or split)
    return list(clips.values())


def _clips_from_csv(root: Path, table: Path, split_column: str, remarks: Remarks) -> list[ClipFile]:
    columns, rows = _rows(table)
    if not lists_clips(columns) and (pairs := _read_pairs(root, table)):
        columns = ["path", "label"]
        rows = enumerate((dict(zip(columns, pair, strict=True)) for pair in _with_names(table, pairs, remarks)), 1)
    in_split = split_column if split_column in columns else None
    if split_column == "split":
        in_split = column(columns, "split")
    wanted = {"path": column(columns, "path"), "label": column(columns, "label")}
    if split_column != "split":
        wanted[split_column] = in_split
    for meaning, found in wanted.items():
        if found is None:
            there = quoted(", ".join(columns)) if columns else "none"
            raise StganError(f"{quoted(table)} has no column {quoted(meaning)}: it has {there}.")
    in_path, in_label, in_group = wanted["path"] or "", wanted["label"] or "", column(columns, "group")
    if (unused := [name for name in unknown(columns) if name != split_column]) and not in_group:
        remarks.notes.append(
            f"{quoted(table.name)} has no column of groups (actor, subject), and these columns are not used: "
            f"{quoted(', '.join(unused))}."
        )
    clips: dict[Path, ClipFile] = {}
    in_no_split: Counter[str] = Counter()
    for number, row in rows:
        if not row[in_path] or not row[in_label]:
            raise StganError(f"entry {number} of {quoted(table)} lacks a path or a label: fill it in or remove it.")
        split = split_named(row[in_split]) if in_split else None
        path = _listed(root, row[in_path], table)
        if in_split and split is None:
            in_no_split[row[in_split]] += 1
            remarks.dropped.add(path)
            continue
        if path in clips:
            raise StganError(
                f"entry {number} of {quoted(table)} names {quoted(row[in_path])} again: remove one of them."
            )
        clips[path] = ClipFile(path, row[in_label], (in_group and row[in_group]) or None, split)
    missing = [path for path in clips if not is_clip(path)]
    if missing:
        raise StganError(
            f"{quoted(table)} names {len(missing)} clip(s) that do not exist, the first being {quoted(missing[0])}: "
            "complete the folder or correct the list."
        )
    if in_no_split:
        values = ", ".join(
            f"{printable(value)[:40] or 'empty'} ({count})" for value, count in in_no_split.most_common(5)
        )
        remarks.notes.append(
            f"{quoted(table.name)} has {in_no_split.total()} clip(s) whose {printable(str(in_split), 40)} is neither "
            f"train, val nor test and which are left out: {values}."
        )
    return list(clips.values())


def _listed(root: Path, name: str, table: Path) -> Path:
    """The path of a listed clip. A slash at the start may mean the folder itself, as in some lists of UCF-101."""
    if name.startswith("/") and ".." not in name and is_clip(root / name.lstrip("/")):
        name = name.lstrip("/")
    return root / inside(name, table)


def _rows(table: Path) -> tuple[list[str], Iterator[tuple[int, Mapping[str, str]]]]:
    """The columns and the numbered rows of a list. Reading the rows may raise StganError, too."""

    def refused(error: ValueError) -> StganError:
        return StganError(f"{quoted(table)} cannot be read as a list of clips ({one_line(error)}): correct it.")

    def numbered() -> Iterator[tuple[int, Mapping[str, str]]]:
        try:
            yield from enumerate(rows, start=1)
        except ValueError as error:
            raise refused(error) from error

    try:
        columns, rows = read_list(read_text(table))
    except ValueError as error:
        raise refused(error) from error
    return columns, numbered()


def _read_pairs(root: Path, table: Path) -> list[tuple[str, str]]:
    """The paths and labels of a list that names no columns; [] if this is none."""

    def names_clip(name: str) -> bool:
        try:
            return is_clip(_listed(root, name, table))
        except StganError:
            return False

    first = "".join(_beginning(table).lstrip().splitlines()[:1])
    try:
        return read_pairs(read_text(table), names_clip) if read_pairs(first, names_clip) else []
    except StganError:
        return []


def _with_names(table: Path, pairs: list[tuple[str, str]], remarks: Remarks) -> list[tuple[str, str]]:
    """Paths and labels, where a name replaces each label if all are numbers and a file beside the list names them."""
    names, form = with_class_names(table, [label for _, label in pairs])
    remarks.forms |= dict.fromkeys(filter(None, ("without a header line", form)))
    return [(path, name) for (path, _), name in zip(pairs, names, strict=True)]


def _is_of_classes(path: Path) -> bool:
    return path.name in CLASSES[:2] or is_ucf_list(path.name)


def unread_lists(root: Path) -> list[str]:
    """A sentence for each file (at most three) that may list clips and is not read.

    Those are tables, and texts that name a clip, except for UCF-101's lists.
    """
    found = []
    for path in _files(root, (*LISTS, *_OTHER_LISTS)):
        text, ending = _beginning(path), path.suffix.lower()
        if ending not in (".txt", ".json") or (not is_ucf_list(path.name) and _names_a_clip(root, text)):
            columns = quoted(", ".join(read_header(text)))
            found.append(
                f"{quoted(path.name)} is not read: save it as csv, with the columns path and label in its first line."
                if ending in _OTHER_LISTS
                else f"{quoted(path.name)} is not read, since its columns are not those of a list of clips: {columns}."
            )
    return found[:3]


def _names_a_clip(root: Path, text: str) -> bool:
    words = re.split(r"[\s,;|\"']+", text[:2000])
    return any(
        Path(word).suffix.lower() in VIDEOS or ("/" in word and frame_files(root / word.lstrip("/"))) for word in words
    )


def _files(root: Path, endings: tuple[str, ...]) -> list[Path]:
    names = (name for name in names_in(root) if name.lower().endswith(endings) and name != _MANIFEST)
    return [root / name for name in names if not name.startswith(".") and os.path.isfile(root / name)]


def _beginning(path: Path) -> str:
    return read_text(path, _BEGINNING, "replace", beginning=True)


def table_names(tables: Sequence[Path]) -> str:
    return quoted(", ".join(table.name for table in tables))
