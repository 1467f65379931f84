"""A folder of clips as a data set: files, actions, groups (actors or source videos) and splits."""

import csv as csv_module
import os
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TextIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stgan.errors import StganError
from stgan.names import is_file_name, quoted
from stgan.records import LARGEST_TEXT, read_text

EXTENSIONS = (".mp4", ".avi", ".webm", ".gif", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg")
SPLITS = ("train", "val", "test")

_UCF_LISTS = "ucfTrainTestlist"
_LONGEST_LINE = 100_000  # characters; a line of a list names one clip
_LAYOUTS = (
    "a csv file with the columns path and label, UCF-101 with its ucfTrainTestlist folder, "
    "or one folder of clips per action"
)


@dataclass(frozen=True)
class ClipFile:
    """One clip: its file, its action (`label`), and its group and split.

    Clips of one group (one actor, one source video) look alike, so all of them belong to the same split.
    """

    path: Path
    label: str
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class ClipFolder:
    """The clips of a folder, in a fixed order."""

    root: Path
    clips: tuple[ClipFile, ...]

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def actions(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted({clip.label for clip in self.clips}))

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that occur, sorted."""
        return tuple(sorted({clip.group for clip in self.clips if clip.group is not None}))

    def select(self, *, groups: Collection[str] | None = None, split: str | None = None) -> "ClipFolder":
        """The clips of these groups and this split; None means any.

        Raises:
            StganError: no clip has one of the groups or the split, or no clip has both.
        """
        self._check_known("group", set(groups or ()), self.groups)
        known_splits = sorted({clip.split for clip in self.clips if clip.split is not None})
        self._check_known("split", set() if split is None else {split}, known_splits)
        kept = tuple(
            clip
            for clip in self.clips
            if (groups is None or clip.group in groups) and (split is None or clip.split == split)
        )
        if not kept:
            raise StganError(f"no clip of {quoted(self.root)} meets the selection: loosen it.")
        return replace(self, clips=kept)

    def _check_known(self, kind: str, wanted: set[str], known: Collection[str]) -> None:
        unknown = sorted(wanted - set(known))
        if unknown:
            there = f"choose from {', '.join(known)}" if known else f"its clips have no {kind}"
            raise StganError(f"{quoted(self.root)} has no {kind} {quoted(unknown[0])}: {there}.")


def data_root(path: str | Path | None) -> Path:
    """The data folder: `path`, else the environment variable ``STGAN_DATA``.

    Raises:
        StganError: neither is given, or it is not a folder.
    """
    given = path if path is not None else os.environ.get("STGAN_DATA") or None
    if given is None:
        raise StganError("no data folder is given: pass --data or set the environment variable STGAN_DATA.")
    root = Path(os.path.expanduser(given))  # Path.expanduser raises where there is no such user
    if not os.path.isdir(root):
        source = "--data" if path is not None else "STGAN_DATA"
        raise StganError(f"the data folder {quoted(root)} does not exist: correct {source}.")
    return root


def find_clips(
    root: str | Path, *, csv: str | None = None, split_column: str = "split", ucf_split: int = 1
) -> ClipFolder:
    """Find the clips of a folder, in the first of three layouts that fits:

    1. A csv file in the folder with the columns ``path`` (relative to the folder) and ``label`` and, optionally,
       ``actor`` or ``group``, and ``split``. Every clip it names must exist.
    2. UCF-101: the folder ``UCF-101`` (or its parent) with the official lists in ``ucfTrainTestlist`` inside it or
       beside it; or class folders with such lists beside them, as ``stgan select`` writes. Listed clips that are not
       on disk and files that are not listed are skipped, so a part of UCF-101 is enough. The group is the ``gNN`` of
       the name, within its action.
    3. A folder per action: ``<label>/<clip>``. Such clips have no group and no split.

    Hidden files and files that are not regular are skipped. A label must be a valid name of a folder.

    Args:
        root: the folder.
        csv: the name of the csv file, if there are several.
        split_column: the csv column of the split, for example ``strict`` for J-HMDB. If the column exists, clips whose
            entry is not ``train``, ``val`` or ``test`` are skipped.
        ucf_split: the number of one of UCF-101's three official splits.

    Raises:
        StganError: there are no clips, or the lists or labels are wrong.
    """
    root = Path(root)
    if not os.path.isdir(root):
        raise StganError(f"{quoted(root)} is not a folder: give a folder with {_LAYOUTS}.")
    table = choose_csv(root, csv)
    ucf = None if table else find_ucf(root)
    if table:
        clips = _clips_from_csv(root, table, split_column)
    elif ucf:
        clips = _clips_from_ucf(*ucf, ucf_split)
    else:
        clips = _clips_from_folders(root)
    if not clips:
        raise StganError(f"{quoted(root)} has no clips: give a folder with {_LAYOUTS}.")
    _check_labels(root, {clip.label for clip in clips})
    return ClipFolder(root, tuple(clips))


def resize_and_crop(
    frames: UInt8[np.ndarray, "time _height _width 3"], size: int | tuple[int, int]
) -> UInt8[np.ndarray, "time _new_height _new_width 3"]:
    """Scale frames (antialiased) to just cover `size`, (height, width) or the side of a square, and crop the centre."""
    height, width = (size, size) if isinstance(size, int) else size
    old_height, old_width = frames.shape[1:3]
    if (old_height, old_width) == (height, width):
        return frames
    scale = min(old_height / height, old_width / width)
    top, left = (old_height - height * scale) / 2, (old_width - width * scale) / 2
    box = (left, top, left + width * scale, top + height * scale)
    resized = [Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC, box=box) for frame in frames]
    return np.stack([np.asarray(image) for image in resized])


def choose_csv(root: Path, name: str | None) -> Path | None:
    """The csv file of a folder of clips: the one of this name, or the only one that lists clips; None if none does.

    Raises:
        StganError: there is no such file, or several files list clips.
    """
    if name is not None:
        table = root / _inside(name, root)
        if not os.path.isfile(table):
            raise StganError(f"there is no file {quoted(name)} in {quoted(root)}: give the name of its csv file.")
        return table
    entries = [entry for entry in _listing(root) if entry.lower().endswith(".csv") and not entry.startswith(".")]
    files = [root / entry for entry in entries if os.path.isfile(root / entry)]
    tables = [path for path in files if {"path", "label"} <= set(_columns(path))]
    if len(tables) > 1:
        names = quoted(", ".join(path.name for path in tables))
        raise StganError(f"{quoted(root)} has several lists of clips, {names}: name the csv file to use.")
    return tables[0] if tables else None


def _columns(table: Path) -> list[str]:
    """The column names of a csv file; empty if the file is not csv, since any file may lie beside the clips."""
    try:
        with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            return [name.strip() for name in next(csv_module.reader(_lines(file)), ())]
    except csv_module.Error:
        return []
    except OSError as error:
        raise StganError(f"{quoted(table)} cannot be read ({error.strerror}): correct or remove it.") from error


def _read_csv(table: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The column names and the rows; entries are stripped, and missing ones are empty."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv_module.DictReader(_lines(file), restval="")
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [{name: (row[name] or "").strip() for name in columns} for row in reader]
    except (OSError, UnicodeDecodeError, csv_module.Error) as error:
        raise StganError(f"{quoted(table)} cannot be read as a csv file in UTF-8: correct it.") from error
    return columns, rows


def _lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file. csv.Error for a line or a file that is too long."""
    left = LARGEST_TEXT
    while line := file.readline(_LONGEST_LINE):
        left -= len(line)
        if left < 0:
            raise csv_module.Error("the file is too long")
        if len(line) == _LONGEST_LINE:
            raise csv_module.Error("a line is too long")
        yield line


def _clips_from_csv(root: Path, table: Path, split_column: str) -> list[ClipFile]:
    columns, rows = _read_csv(table)
    wanted = ["path", "label"] if split_column == "split" else ["path", "label", split_column]
    for column in wanted:
        if column not in columns:
            there = quoted(", ".join(columns)) if columns else "none"
            raise StganError(f"{quoted(table)} has no column {quoted(column)}: it has {there}.")
    clips: dict[Path, ClipFile] = {}
    for number, row in enumerate(rows, start=1):
        if not row["path"] or not row["label"]:
            raise StganError(f"entry {number} of {quoted(table)} lacks a path or a label: fill it in or remove it.")
        split = row.get(split_column)
        if split is not None and split not in SPLITS:
            continue
        path = root / _inside(row["path"], table)
        if path in clips:
            raise StganError(
                f"entry {number} of {quoted(table)} names {quoted(row['path'])} again: remove one of them."
            )
        clips[path] = ClipFile(path, row["label"], row.get("actor") or row.get("group") or None, split)
    missing = [path for path in clips if not os.path.isfile(path)]
    if missing:
        raise StganError(
            f"{quoted(table)} names {len(missing)} clip(s) that do not exist, the first being {quoted(missing[0])}: "
            "complete the folder or correct the list."
        )
    return list(clips.values())


def find_ucf(root: Path) -> tuple[Path, Path] | None:
    """The folder of UCF-101's class folders and the folder of its lists; None if there are no lists."""
    videos = root / "UCF-101" if (root / "UCF-101").is_dir() else root
    beside = [root.resolve().parent] if root.resolve().name == "UCF-101" else []
    for parent in (root, videos, *beside):
        if (parent / _UCF_LISTS).is_dir():
            return videos, parent / _UCF_LISTS
    return (root, root) if all((root / f"{split}list01.txt").is_file() for split in ("train", "test")) else None


def read_ucf_list(listing: Path) -> list[tuple[PurePosixPath, int | None]]:
    """The clips of a list of UCF-101 as action/clip, each with the number of its class (None in test lists).

    Raises:
        StganError: the list cannot be read, or a line does not name a clip.
    """
    try:
        lines = read_text(listing).splitlines()
    except StganError as error:
        raise StganError(f"{quoted(listing)} cannot be read: get UCF-101's official lists.") from error
    clips = []
    for line in filter(None, map(str.strip, lines)):
        number = re.search(r"\s+([0-9]{1,9})$", line)
        relative = _inside(line[: number.start()] if number else line, listing)
        if len(relative.parts) != 2:
            raise StganError(f"{quoted(listing)} has the line {quoted(line)}, not action/clip: correct it.")
        clips.append((relative, int(number[1]) if number else None))
    return clips


def _clips_from_ucf(videos: Path, lists: Path, number: int) -> list[ClipFile]:
    clips: dict[Path, ClipFile] = {}
    for split in ("train", "test"):
        listing = lists / f"{split}list{number:02d}.txt"
        for relative, _ in read_ucf_list(listing):
            path = videos / relative
            if path in clips:
                raise StganError(f"{quoted(listing)} has {quoted(relative)}, which is on the lists twice: remove one.")
            if os.path.isfile(path):
                label, name = relative.parts
                group = re.search(r"_g(\d+)_", name)
                clips[path] = ClipFile(path, label, group and f"{label}_g{group[1]}", split)
    return list(clips.values())


def _clips_from_folders(root: Path) -> list[ClipFile]:
    clips = []
    for label in _listing(root):
        folder = root / label
        if not label.startswith(".") and os.path.isdir(folder):
            clips += [
                ClipFile(folder / name, label)
                for name in _listing(folder)
                if name.lower().endswith(EXTENSIONS)
                and not name.startswith(".")
                and os.path.isfile(os.path.join(folder, name))
            ]
    return clips


def _listing(folder: Path) -> list[str]:
    """The sorted names in a folder."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise StganError(f"{quoted(folder)} cannot be read ({error.strerror}): correct its permissions.") from error


def _check_labels(root: Path, labels: Collection[str]) -> None:
    """StganError unless all labels can name folders and differ also on file systems that ignore case."""
    seen: dict[str, str] = {}
    for label in sorted(labels):
        if not is_file_name(label):
            raise StganError(
                f"{quoted(root)} has the label {quoted(label)}, which cannot name a folder: use at most 100 bytes of "
                "printable characters, no slash, backslash or colon, and no dot at the start."
            )
        alike = seen.setdefault(unicodedata.normalize("NFC", label).casefold(), label)
        if alike != label:
            raise StganError(
                f"{quoted(root)} has the labels {alike!a} and {label!a}, which differ only in case or in how "
                "their letters are encoded: give them one spelling."
            )


def _inside(name: str, source: Path) -> PurePosixPath:
    """A name from an untrusted list as a path inside the list's folder. StganError if it leads outside."""
    parts = name.replace("\\", "/").split("/")  # both slashes, so that a list means the same on all systems
    if not parts[0] or parts[0][1:2] == ":" or ".." in parts:
        raise StganError(f"{quoted(source)} names {quoted(name)}, which is outside the folder: use paths within it.")
    return PurePosixPath(name)
