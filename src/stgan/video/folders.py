"""A folder of clips as a data set: in which layout it is, and the clips that it has."""

import os
import unicodedata
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from stgan.errors import StganError
from stgan.files import named
from stgan.names import is_file_name, quoted
from stgan.video.clip_folder import ClipFile, ClipFolder
from stgan.video.clip_lists import Remarks, choose_csv, clips_from_tables, table_names, unread_lists
from stgan.video.columns import split_named
from stgan.video.frame_folders import VIDEOS, frame_files
from stgan.video.left_out import left_out_files
from stgan.video.paths import folders_in, is_clip, is_of_page, names_in
from stgan.video.tensors import TENSORS
from stgan.video.ucf101_lists import clips_from_ucf, find_ucf

_LAYOUTS = (
    "a csv file with the columns path and label, UCF-101 with its ucfTrainTestlist folder, "
    "or one folder of clips per action, which may be in folders named train, val and test"
)


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
       such files whose names say train, val and test are read together. Where no list names its columns, one of a path
       and a label a line will do, separated also by the last space. Labels that are numbers are replaced by the names
       in ``classes.txt``, ``classInd.txt`` or ``labels.txt``, if there is such a file beside the list.
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
    remarks = Remarks()
    tables = choose_csv(root, csv)
    ucf = None if tables else find_ucf(root)
    if tables:
        layout = table_names(tables)
        clips = clips_from_tables(root, tables, split_column, remarks)
    elif ucf:
        layout = f"UCF-101 by its lists of split {ucf_split}"
        clips = clips_from_ucf(*ucf, ucf_split)
    elif clips := _clips_from_splits(root, split_column, remarks):
        layout = f"the folders {', '.join(dict.fromkeys(_top(clip.path, root) for clip in clips))} as splits"
    else:
        layout = "a folder per action"
        clips = _clips_from_folders(root)
    left_out = left_out_files(
        ucf[0] if ucf else root, {*(clip.path for clip in clips), *remarks.dropped}, listed=bool(tables or ucf)
    )
    unread = [] if tables else unread_lists(root)
    if not clips:
        found = "".join(f" It has {each}" for each in left_out[:1]) + "".join(
            f" The file {each}" for each in unread[:1]
        )
        raise StganError(f"{quoted(root)} has no clips: give a folder with {_LAYOUTS}.{found}")
    _check_labels(root, {clip.label for clip in clips})
    notes = [*remarks.notes, *(f"the folder has {each}" for each in left_out), *unread]
    return ClipFolder(root, tuple(clips), ", ".join([layout, *remarks.forms]), tuple(notes))


def loose_clips(root: Path) -> list[Path]:
    """The clips directly in a folder without lists: its videos and folders of frames, if they are more than those in a
    folder for each action; or its files of tensors, if there are none of either; or else those in a folder for each.
    """
    if choose_csv(root, None) or find_ucf(root):
        return []
    there = [root / name for name in names_in(root) if not name.startswith(".") and not is_of_page(root / name)]
    loose = [path for path in there if frame_files(path) or (path.suffix.lower() in VIDEOS and path.is_file())]
    sorted_by_action = _clips_from_folders(root)
    if loose or sorted_by_action:
        return loose if len(loose) > len(sorted_by_action) else []
    if tensors := [path for path in there if _is_tensors(path)]:
        return tensors
    within = [path for label in folders_in(root) for path in map((root / label).joinpath, names_in(root / label))]
    tensors = [path for path in within if _is_tensors(path)]
    _check_labels(root, {path.parent.name for path in tensors})
    return tensors


def _is_tensors(path: Path) -> bool:
    return path.suffix.lower() in TENSORS and not path.name.startswith(".") and not path.is_dir()


def _clips_from_folders(root: Path) -> list[ClipFile]:
    return [
        ClipFile(path, label)
        for label in folders_in(root)
        for path in (root / label / name for name in names_in(root / label))
        if not path.name.startswith(".") and (path.name.lower().endswith(VIDEOS) or path.is_dir()) and is_clip(path)
    ]


def _clips_from_splits(root: Path, split_column: str, remarks: Remarks) -> list[ClipFile]:
    """The clips of folders that are named train, val and test; [] if any clip is in another folder of `root`."""
    if any(split_named(_top(clip.path, root)) is None for clip in _clips_from_folders(root)):
        return []
    clips: list[ClipFile] = []
    for name in folders_in(root):
        folder, split = root / name, split_named(name)
        if split is not None:
            tables = choose_csv(folder, None)
            own = clips_from_tables(folder, tables, split_column, remarks) if tables else _clips_from_folders(folder)
            clips += [replace(clip, split=split) for clip in own]
    return clips


def _top(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0]


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
