"""A folder of clips as a data set: files, actions, groups (actors or source videos) and splits."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stgan.errors import StganError
from stgan.files import named
from stgan.names import is_file_name, one_line, printable, quoted
from stgan.records import read_text
from stgan.video.columns import column, lists_clips, read_header, read_list, split_named, split_of_table, unknown
from stgan.video.frame_folders import IMAGES, VIDEOS, frame_files

EXTENSIONS = VIDEOS
SPLITS = ("train", "val", "test")

_UCF_LISTS = "ucfTrainTestlist"
_UCF_LIST = re.compile(r"(train|test)list\d+\.txt")
_LISTS = (".csv", ".tsv", ".jsonl", ".txt")
_OTHER_LISTS = (".json", ".xlsx", ".xls", ".ods", ".parquet")
_MANIFEST = "manifest.jsonl"  # beside generated clips, which lie in folders of their actions
_BEGINNING = 1 << 18  # bytes of a file that tell whether it is a list of clips
_MOST_VISITED = 200_000  # files that are looked at to find those that were left out
_LAYOUTS = (
    "a csv file with the columns path and label, UCF-101 with its ucfTrainTestlist folder, "
    "or one folder of clips per action, which may be in folders named train, val and test"
)


@dataclass(frozen=True)
class ClipFile:
    """One clip: its file (or its folder of frames), its action (`label`), and its group and split.

    Clips of one group (one actor, one source video) look alike, so all of them belong to the same split.
    """

    path: Path
    label: str
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class ClipFolder:
    """The clips of a folder, in a fixed order.

    layout: how the folder was read, in words. notes: what was left out of it, a sentence each.
    """

    root: Path
    clips: tuple[ClipFile, ...]
    layout: str = ""
    notes: tuple[str, ...] = ()

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


@dataclass
class _LeftOut:
    """What a list names and is left out. dropped: clips in no split; notes: a sentence for each list."""

    dropped: set[Path] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


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

    1. A list in the folder (csv, tsv, txt, or jsonl) with the columns ``path`` (relative to the folder) and ``label``
       and, optionally, ``actor`` or ``group``, and ``split``. Every clip it names must exist. Other usual names of the
       columns (``file_name``, ``Video Path``, ``class``, ...) and other separators (``;``, tab, ``|``) will do. Several
       such files whose names say train, val and test are read together.
    2. UCF-101: the folder ``UCF-101`` (or its parent) with the official lists in ``ucfTrainTestlist`` inside it or
       beside it; or class folders with such lists beside them, as ``stgan select`` writes. Listed clips that are not
       on disk and files that are not listed are skipped, so a part of UCF-101 is enough. The group is the ``gNN`` of
       the name, within its action.
    3. A folder per action: ``<label>/<clip>``. Such clips have no group and no split. If all folders with clips are
       named train, val or test, each may have a list or a folder per action, and its name is the split.

    A clip is a video file, or a folder of images, one a frame. What is left out is counted in `ClipFolder.notes`.
    Hidden files and files that are not regular are skipped. A label must be a valid name of a folder.

    Args:
        root: the folder.
        csv: the name of the list, if there are several.
        split_column: the csv column of the split, for example ``strict`` for J-HMDB. If the column exists, clips whose
            entry is not ``train``, ``val`` or ``test`` are skipped.
        ucf_split: the number of one of UCF-101's three official splits.

    Raises:
        StganError: there are no clips, or the lists or labels are wrong.
    """
    root = named(root)
    if not os.path.isdir(root):
        raise StganError(f"{quoted(root)} is not a folder: give a folder with {_LAYOUTS}.")
    left = _LeftOut()
    tables = choose_csv(root, csv)
    ucf = None if tables else find_ucf(root)
    if tables:
        layout = _names(tables)
        clips = _clips_from_tables(root, tables, split_column, left)
    elif ucf:
        layout = f"UCF-101 by its lists of split {ucf_split}"
        clips = _clips_from_ucf(*ucf, ucf_split)
    elif clips := _clips_from_splits(root, split_column, left):
        layout = f"the folders {', '.join(dict.fromkeys(_top(clip.path, root) for clip in clips))} as splits"
    else:
        layout = "a folder per action"
        clips = _clips_from_folders(root)
    left_out = _left_out(
        ucf[0] if ucf else root, {*(clip.path for clip in clips), *left.dropped}, listed=bool(tables or ucf)
    )
    unread = [] if tables else _unread_lists(root)
    if not clips:
        found = "".join(f" It has {each}" for each in left_out[:1]) + "".join(
            f" The file {each}" for each in unread[:1]
        )
        raise StganError(f"{quoted(root)} has no clips: give a folder with {_LAYOUTS}.{found}")
    _check_labels(root, {clip.label for clip in clips})
    notes = [*left.notes, *(f"the folder has {each}" for each in left_out), *unread]
    return ClipFolder(root, tuple(clips), layout, tuple(notes))


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


def choose_csv(root: Path, name: str | None) -> list[Path]:
    """The list of a folder of clips: the one of this name, or the only one that lists clips; [] if none does.

    Several files are returned if each has the name of another split.

    Raises:
        StganError: there is no such file, or several files list the same clips.
    """
    if name is not None:
        table = root / _inside(name, root)
        if not os.path.isfile(table):
            raise StganError(f"there is no file {quoted(name)} in {quoted(root)}: give the name of its list.")
        return [table]
    tables = [path for path in _files(root, _LISTS) if lists_clips(read_header(_beginning(path)))]
    splits = [split_of_table(path.stem) for path in tables]
    if len(tables) > 1 and (None in splits or len(set(splits)) < len(splits)):
        raise StganError(f"{quoted(root)} has several lists of clips, {_names(tables)}: name the one to use.")
    return tables


def _files(root: Path, endings: tuple[str, ...]) -> list[Path]:
    names = (name for name in _listing(root) if name.lower().endswith(endings) and name != _MANIFEST)
    return [root / name for name in names if not name.startswith(".") and os.path.isfile(root / name)]


def _beginning(path: Path) -> str:
    return read_text(path, _BEGINNING, "replace", beginning=True)


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


def _listed(root: Path, name: str, table: Path) -> Path:
    """The path of a listed clip. A slash at the start may mean the folder itself, as in some lists of UCF-101."""
    if name.startswith("/") and ".." not in name and _is_clip(root / name.lstrip("/")):
        name = name.lstrip("/")
    return root / _inside(name, table)


def _clips_from_tables(root: Path, tables: Sequence[Path], split_column: str, left: _LeftOut) -> list[ClipFile]:
    """The clips of csv files. Where there are several and they have no column of splits, their names are the splits."""
    clips: dict[Path, ClipFile] = {}
    for table in tables:
        split = split_of_table(table.stem) if len(tables) > 1 else None
        for clip in _clips_from_csv(root, table, split_column, left):
            if clip.path in clips:
                raise StganError(f"{quoted(table)} names {quoted(clip.path)}, which another list has: remove one.")
            clips[clip.path] = replace(clip, split=clip.split or split)
    return list(clips.values())


def _clips_from_csv(root: Path, table: Path, split_column: str, left: _LeftOut) -> list[ClipFile]:
    columns, rows = _rows(table)
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
        left.notes.append(
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
            left.dropped.add(path)
            continue
        if path in clips:
            raise StganError(
                f"entry {number} of {quoted(table)} names {quoted(row[in_path])} again: remove one of them."
            )
        clips[path] = ClipFile(path, row[in_label], (in_group and row[in_group]) or None, split)
    missing = [path for path in clips if not _is_clip(path)]
    if missing:
        raise StganError(
            f"{quoted(table)} names {len(missing)} clip(s) that do not exist, the first being {quoted(missing[0])}: "
            "complete the folder or correct the list."
        )
    if in_no_split:
        values = ", ".join(
            f"{printable(value)[:40] or 'empty'} ({count})" for value, count in in_no_split.most_common(5)
        )
        left.notes.append(
            f"{quoted(table.name)} has {in_no_split.total()} clip(s) whose {in_split} is neither train, val nor test "
            f"and which are left out: {values}."
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
    # Copies of UCF-101 differ in the case of some names: HandstandPushups, HandStandPushups.
    on_disk = {f"{path.parent.name}/{path.name}".casefold(): path for path in _video_files(videos)}
    for split in ("train", "test"):
        listing = lists / f"{split}list{number:02d}.txt"
        for relative, _ in read_ucf_list(listing):
            path = videos / relative
            if not os.path.isfile(path):
                path = on_disk.get(relative.as_posix().casefold(), path)
            if path in clips:
                raise StganError(f"{quoted(listing)} has {quoted(relative)}, which is on the lists twice: remove one.")
            if os.path.isfile(path):
                label, name = relative.parts
                group = re.search(r"_g(\d+)_", name)
                clips[path] = ClipFile(path, label, group and f"{label}_g{group[1]}", split)
    return list(clips.values())


def _clips_from_folders(root: Path) -> list[ClipFile]:
    return [
        ClipFile(path, label)
        for label in _folders(root)
        for path in (root / label / name for name in _listing(root / label))
        if not path.name.startswith(".")
        and (path.name.lower().endswith(EXTENSIONS) or path.is_dir())
        and _is_clip(path)
    ]


def _clips_from_splits(root: Path, split_column: str, left: _LeftOut) -> list[ClipFile]:
    """The clips of folders that are named train, val and test; [] if any clip is in another folder of `root`."""
    if any(split_named(_top(clip.path, root)) is None for clip in _clips_from_folders(root)):
        return []
    clips: list[ClipFile] = []
    for name in _folders(root):
        folder, split = root / name, split_named(name)
        if split is not None:
            tables = choose_csv(folder, None)
            own = _clips_from_tables(folder, tables, split_column, left) if tables else _clips_from_folders(folder)
            clips += [replace(clip, split=split) for clip in own]
    return clips


def _folders(folder: Path) -> list[str]:
    return [name for name in _listing(folder) if not name.startswith(".") and os.path.isdir(folder / name)]


def _is_clip(path: Path) -> bool:
    """Whether there is a regular file, or a folder of frames."""
    return os.path.isfile(path) or bool(frame_files(path))


def _video_files(folder: Path) -> Iterator[Path]:
    """Yield the files in the folder's subfolders whose names end like those of videos."""
    for name in _folders(folder):
        yield from (folder / name / file for file in _listing(folder / name) if file.lower().endswith(EXTENSIONS))


def _left_out(root: Path, named: Collection[Path], *, listed: bool) -> list[str]:
    """What lies in the folder and is none of the named clips, a sentence each.

    These are videos and, beside a list, folders of frames; without a list, all other files. Files directly in the
    folder (lists, notes) are not counted, except for videos.
    """
    taken = {os.path.abspath(path) for path in named}
    videos: list[str] = []
    frames: list[str] = []
    others: Counter[str] = Counter()
    visited = 0
    for place, folders, files in os.walk(root):
        folders[:] = sorted(
            name for name in folders
            if not name.startswith(".") and os.path.abspath(os.path.join(place, name)) not in taken
        )  # fmt: skip
        for name in sorted(files):
            visited += 1
            path = os.path.join(place, name)
            if name.startswith(".") or os.path.abspath(path) in taken:
                continue
            if name.lower().endswith(EXTENSIONS):
                videos.append(os.path.relpath(path, root))
            elif place != os.fspath(root):
                others[os.path.splitext(name)[1].lower()] += 1
        if place != os.fspath(root) and frame_files(Path(place)):
            frames.append(os.path.relpath(place, root))
        if visited > _MOST_VISITED:
            break
    found = []
    if videos:
        where = "on no list" if listed else "not in a folder of an action"
        found.append(f"{len(videos)} video file(s) {where}, which are left out; the first: {quoted(videos[0])}.")
    if frames and listed:
        found.append(
            f"{len(frames)} folder(s) of images on no list, which are left out; the first: {quoted(frames[0])}."
        )
    if others and not listed:
        kinds = ", ".join(f"{printable(ending) or 'no ending'} ({count})" for ending, count in others.most_common(8))
        advice = " Images are read as frames if each clip has a folder of its own." if set(others) & set(IMAGES) else ""
        found.append(f"{others.total()} file(s) that are no videos, which are left out: {kinds}.{advice}")
    return found


def _top(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0]


def _unread_lists(root: Path) -> list[str]:
    """A sentence for each file (at most three) that may list clips and is not read.

    Those are tables, and texts that name a clip, except for UCF-101's lists.
    """
    found = []
    for path in _files(root, (*_LISTS, *_OTHER_LISTS)):
        text, ending = _beginning(path), path.suffix.lower()
        if ending not in (".txt", ".json") or (not _UCF_LIST.fullmatch(path.name) and _names_a_clip(root, text)):
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
        Path(word).suffix.lower() in EXTENSIONS or ("/" in word and frame_files(root / word.lstrip("/")))
        for word in words
    )


def _names(tables: Sequence[Path]) -> str:
    return quoted(", ".join(table.name for table in tables))


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
    return PurePosixPath(*parts)
