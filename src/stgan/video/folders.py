"""A folder of clips as a data set: which files, which action, who acts, which side of the split."""

import os
import re
from collections.abc import Callable, Collection
from csv import DictReader
from csv import Error as CsvError
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stgan.errors import StganError
from stgan.video.io import read_video

EXTENSIONS = (".mp4", ".avi", ".webm", ".gif", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg")
SPLITS = ("train", "val", "test")

_UCF_LISTS = "ucfTrainTestlist"
_GIB = 1024**3
_LAYOUTS = (
    "a csv file with the columns path and label, UCF-101 with its ucfTrainTestlist folder, "
    "or one folder of clips per action"
)


@dataclass(frozen=True)
class ClipFile:
    """One clip: its file, its action, and where it stands in the data set.

    Clips of one `group` (one actor, one source video) look alike and must never be split.
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

    def select(
        self,
        *,
        groups: Collection[str] | None = None,
        exclude_groups: Collection[str] | None = None,
        split: str | None = None,
        actions: Collection[str] | None = None,
    ) -> "ClipFolder":
        """The clips that meet every condition given; what is None is no condition.

        Raises:
            StganError: a group, split or action is asked for that no clip here has, or no clip is left.
        """
        asked_groups = {*(groups or ()), *(exclude_groups or ())}
        self._check_known("group", asked_groups, self.groups)
        self._check_known("action", set(actions or ()), self.actions)
        known_splits = sorted({clip.split for clip in self.clips if clip.split is not None})
        self._check_known("split", set() if split is None else {split}, known_splits)
        kept = tuple(
            clip
            for clip in self.clips
            if (groups is None or clip.group in groups)
            and (exclude_groups is None or clip.group not in exclude_groups)
            and (split is None or clip.split == split)
            and (actions is None or clip.label in actions)
        )
        if not kept:
            raise StganError(f"no clip of '{self.root}' meets the selection: loosen it.")
        return replace(self, clips=kept)

    def _check_known(self, kind: str, asked: set[str], known: Collection[str]) -> None:
        unknown = sorted(asked - set(known))
        if unknown:
            there = f"choose from {', '.join(known)}" if known else f"its clips have no {kind}"
            raise StganError(f"'{self.root}' has no {kind} {unknown[0]!r}: {there}.")


def data_root(path: str | Path | None) -> Path:
    """The data folder: `path`, else the environment variable ``STGAN_DATA``.

    Raises:
        StganError: neither is given, or it is not a folder.
    """
    given = path if path is not None else os.environ.get("STGAN_DATA") or None
    if given is None:
        raise StganError("no data folder is given: pass --data or set the environment variable STGAN_DATA.")
    root = Path(given).expanduser()
    if not root.is_dir():
        source = "--data" if path is not None else "STGAN_DATA"
        raise StganError(f"the data folder '{root}' is not there: correct {source}.")
    return root


def find_clips(
    root: str | Path, *, csv: str | None = None, split_column: str = "split", ucf_split: int = 1
) -> ClipFolder:
    """The clips of a folder, which is laid out in one of three ways (the first that fits):

    1. A csv file in the folder with the columns ``path`` (relative to the folder) and ``label``, and if there
       are such, ``actor`` or ``group``, and ``split``. Every clip it names must exist.
    2. UCF-101: the folder ``UCF-101`` (or the one above it) with the official lists in ``ucfTrainTestlist``
       inside it or beside it. Clips on the lists that are not on disk are left out, so that a part of UCF-101
       will do; so are files on no list. The group is the ``gNN`` of the name, within its action.
    3. A folder per action: ``<label>/<clip>``. Such clips have no group and no split.

    Args:
        root: the folder.
        csv: the name of the csv file, where there are several.
        split_column: the csv column to take the split from, for example ``strict`` for J-HMDB. Where there is
            that column, clips whose entry is not ``train``, ``val`` or ``test`` are left out.
        ucf_split: which of UCF-101's three official splits.

    Raises:
        StganError: there are no clips, or the lists are wrong.
    """
    root = Path(root)
    if not root.is_dir():
        raise StganError(f"'{root}' is not a folder: give a folder with {_LAYOUTS}.")
    table = _choose_csv(root, csv)
    ucf = None if table else _find_ucf(root)
    if table:
        clips = _clips_from_csv(root, table, split_column)
    elif ucf:
        clips = _clips_from_ucf(*ucf, ucf_split)
    else:
        clips = _clips_from_folders(root)
    if not clips:
        raise StganError(f"'{root}' has no clips: give a folder with {_LAYOUTS}.")
    return ClipFolder(root, tuple(clips))


def load_clips(
    folder: ClipFolder,
    size: int | tuple[int, int] | None = None,
    *,
    max_bytes: int = 8 * _GIB,
    progress: Callable[[int, int], None] | None = None,
) -> list[UInt8[np.ndarray, "_time _height _width 3"]]:
    """Decode every clip of `folder` into memory, in its order.

    Args:
        folder: the clips.
        size: (height, width), or an int for a square, to `resize_and_crop` to; None keeps each as it is.
        max_bytes: the most memory that the clips may take.
        progress: called after each clip with the number done and the number in all.

    Raises:
        StganError: a clip cannot be read, or together they need more memory than `max_bytes`.
    """
    clips: list[np.ndarray] = []
    total = 0
    for clip in folder.clips:
        frames = read_video(clip.path).frames
        clips.append(frames if size is None else resize_and_crop(frames, size))
        total += clips[-1].nbytes
        if total > max_bytes:
            raise StganError(
                f"the {len(folder)} clips of '{folder.root}' take more than {max_bytes / _GIB:.3g} GiB "
                "decoded: use fewer clips or a smaller size."
            )
        if progress is not None:
            progress(len(clips), len(folder))
    return clips


def resize_and_crop(
    frames: UInt8[np.ndarray, "time _height _width 3"], size: int | tuple[int, int]
) -> UInt8[np.ndarray, "time _new_height _new_width 3"]:
    """Scale (antialiased) until the frame just covers `size`, (height, width), and cut the centre out."""
    height, width = (size, size) if isinstance(size, int) else size
    old_height, old_width = frames.shape[1:3]
    if (old_height, old_width) == (height, width):
        return frames
    scale = min(old_height / height, old_width / width)
    top, left = (old_height - height * scale) / 2, (old_width - width * scale) / 2
    box = (left, top, left + width * scale, top + height * scale)
    resized = [Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC, box=box) for frame in frames]
    return np.stack([np.asarray(image) for image in resized])


def _choose_csv(root: Path, name: str | None) -> Path | None:
    if name is not None:
        table = root / _inside(name, root)
        if not table.is_file():
            raise StganError(f"there is no file {name!r} in '{root}': give the name of its csv file.")
        return table
    tables = [path for path in sorted(root.glob("*.csv")) if {"path", "label"} <= set(_read_csv(path)[0])]
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise StganError(f"'{root}' has several lists of clips ({names}): say which csv file to use.")
    return tables[0] if tables else None


def _read_csv(table: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The column names and the rows, with every entry stripped and missing entries empty."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            reader = DictReader(lines, restval="")
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [{name: (row[name] or "").strip() for name in columns} for row in reader]
    except (OSError, UnicodeDecodeError, CsvError) as error:
        raise StganError(f"'{table}' cannot be read as a csv file in UTF-8: correct it.") from error
    return columns, rows


def _clips_from_csv(root: Path, table: Path, split_column: str) -> list[ClipFile]:
    columns, rows = _read_csv(table)
    wanted = ["path", "label"] if split_column == "split" else ["path", "label", split_column]
    for column in wanted:
        if column not in columns:
            raise StganError(f"'{table}' has no column {column!r}: it has {', '.join(columns) or 'none'}.")
    clips = []
    for number, row in enumerate(rows, start=1):
        if not row["path"] or not row["label"]:
            raise StganError(f"entry {number} of '{table}' lacks a path or a label: fill it in or remove it.")
        split = row.get(split_column)
        if split is not None and split not in SPLITS:
            continue
        group = row.get("actor") or row.get("group") or None
        clips.append(ClipFile(root / _inside(row["path"], table), row["label"], group, split))
    missing = [clip.path for clip in clips if not clip.path.is_file()]
    if missing:
        raise StganError(
            f"'{table}' names {len(missing)} clip(s) that do not exist, the first being '{missing[0]}': "
            "complete the folder or correct the list."
        )
    return clips


def _find_ucf(root: Path) -> tuple[Path, Path] | None:
    """The folder of UCF-101's class folders and the folder of its lists."""
    videos = root / "UCF-101" if (root / "UCF-101").is_dir() else root
    beside = [root.resolve().parent] if root.resolve().name == "UCF-101" else []
    for parent in (root, videos, *beside):
        if (parent / _UCF_LISTS).is_dir():
            return videos, parent / _UCF_LISTS
    return None


def _clips_from_ucf(videos: Path, lists: Path, number: int) -> list[ClipFile]:
    clips = []
    for split in ("train", "test"):
        listing = lists / f"{split}list{number:02d}.txt"
        try:
            lines = listing.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise StganError(f"'{listing}' cannot be read: get UCF-101's official lists.") from error
        for line in filter(None, map(str.strip, lines)):
            # The train lists add the number of the class.
            relative = _inside(re.sub(r"\s+\d+$", "", line), listing)
            if len(relative.parts) != 2:
                raise StganError(f"'{listing}' has the line {line!r}, which is not action/clip: correct it.")
            if (videos / relative).is_file():
                label, name = relative.parts
                group = re.search(r"_g(\d+)_", name)
                clips.append(ClipFile(videos / relative, label, group and f"{label}_g{group[1]}", split))
    return clips


def _clips_from_folders(root: Path) -> list[ClipFile]:
    return [
        ClipFile(path, path.parent.name)
        for path in sorted(root.glob("*/*"))
        if path.suffix.lower() in EXTENSIONS
        and not path.name.startswith(".")
        and not path.parent.name.startswith(".")
        and path.is_file()
    ]


def _inside(name: str, source: Path) -> PurePosixPath:
    """`name`, from a list that is not trusted, as a path that cannot leave its folder."""
    windows = PureWindowsPath(name)  # takes both kinds of slashes, so that a list means the same everywhere
    if windows.drive or windows.root or ".." in windows.parts:
        raise StganError(f"'{source}' names {name!r}, which is outside the folder: use paths within it.")
    return PurePosixPath(name)
