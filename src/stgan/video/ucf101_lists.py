"""The official lists of UCF-101: the clips on disk that they name, and whether they are those that were published."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from stgan.errors import StganError
from stgan.names import quoted
from stgan.records import read_text
from stgan.video.clip_folder import ClipFile
from stgan.video.frame_folders import VIDEOS
from stgan.video.paths import folders_in, inside, names_in
from stgan.video.ucf101_names import Published, parse_name

Side = Literal["train", "test"]
SIDES: tuple[Side, Side] = ("train", "test")

_LISTS = "ucfTrainTestlist"  # the folder of the lists
_LIST = re.compile(r"(train|test)list\d+\.txt")


def is_ucf_list(name: str) -> bool:
    """Whether a file has the name of such a list."""
    return _LIST.fullmatch(name) is not None


def find_ucf(root: Path) -> tuple[Path, Path] | None:
    """The folder of UCF-101's class folders and the folder of its lists; None if there are no lists."""
    videos = root / "UCF-101" if (root / "UCF-101").is_dir() else root
    beside = [root.resolve().parent] if root.resolve().name == "UCF-101" else []
    for parent in (root, videos, *beside):
        if (parent / _LISTS).is_dir():
            return videos, parent / _LISTS
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
        relative = inside(line[: number.start()] if number else line, listing)
        if len(relative.parts) != 2:
            raise StganError(f"{quoted(listing)} has the line {quoted(line)}, not action/clip: correct it.")
        clips.append((relative, int(number[1]) if number else None))
    return clips


def clips_from_ucf(videos: Path, lists: Path, number: int) -> list[ClipFile]:
    clips: dict[Path, ClipFile] = {}
    # Copies of UCF-101 differ in the case of some names: HandstandPushups, HandStandPushups.
    on_disk = {f"{path.parent.name}/{path.name}".casefold(): path for path in _video_files(videos)}
    for split in ("train", "test"):
        listing = list_path(lists, number, split)
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


def list_path(lists: Path, split: int, side: str) -> Path:
    """The path of the list of one side, "train" or "test", of a split."""
    return lists / f"{side}list{split:02d}.txt"


def read_lists(
    lists: Path, splits: Sequence[int], published: Published
) -> tuple[dict[str, dict[int, Side]], list[str]]:
    """The side of each listed clip in each split, by the clip's name, and the faults of the lists, a sentence each."""
    sides: dict[str, dict[int, Side]] = defaultdict(dict)
    faults = _check_classes(lists / "classInd.txt", published.classes)
    numbers = {label: number for number, label in enumerate(published.classes, start=1)}
    for split in splits:
        for side, expected in zip(SIDES, published.splits[split], strict=True):
            listing = list_path(lists, split, side)
            if not listing.is_file():
                faults.append(f"the list {listing.name} is missing.")
                continue
            clips = read_ucf_list(listing)
            if len(clips) != expected:
                faults.append(f"the list {listing.name} names {len(clips)} clips, the official one {expected}.")
            names = [path.as_posix() for path, _ in clips]
            again = [name for name in names if split in sides[name]]
            again += [name for name, times in Counter(names).items() if times > 1]
            wrong = [path.as_posix() for path, number in clips if number not in (None, numbers.get(path.parts[0]))]
            faults += _fault(again, f"that split {split} names twice (list {listing.name})")
            faults += _fault(wrong, f"to which the list {listing.name} gives the number of another class")
            for name in names:
                sides[name][split] = side
    strange = [name for name in sides if (parsed := parse_name(name)) is None or parsed.label not in numbers]
    faults += _fault(strange, "on the lists whose names no clip of UCF-101 has")
    for name in strange:
        del sides[name]
    if len(sides) != published.clips:
        faults.append(f"the lists name {len(sides)} different clips, {published.clips} were published.")
    return dict(sides), faults + _check_groups(sides, splits, published)


def _fault(names: Sequence[str], what: str) -> list[str]:
    """A sentence about clips, if there are any."""
    return [f"there are {len(names)} clips {what}, first {quoted(names[0])}."] if names else []


def _check_classes(path: Path, classes: Sequence[str]) -> list[str]:
    if not path.is_file():
        return [f"the list {path.name} is missing."]
    try:
        found = [line.split() for line in read_text(path).splitlines() if line.strip()]
    except StganError as error:
        raise StganError(f"{quoted(path)} cannot be read: get UCF-101's official lists.") from error
    official = [[str(number), label] for number, label in enumerate(classes, start=1)]
    return [] if found == official else [f"the list {path.name} is not the official one of {len(classes)} classes."]


def _check_groups(sides: Mapping[str, Mapping[int, str]], splits: Sequence[int], published: Published) -> list[str]:
    """Faults of lists that do not name the published groups, or that divide groups between train and test."""
    groups: dict[tuple[str, int], list[Mapping[int, str]]] = defaultdict(list)
    for name, side in sides.items():
        if parsed := parse_name(name):
            groups[parsed.label, parsed.group].append(side)
    faults = []
    per_class = Counter(label for label, _ in groups)
    odd = [label for label in published.classes if per_class[label] != published.groups]
    if odd:
        faults.append(
            f"the lists name {per_class[odd[0]]} groups of {odd[0]}, not {published.groups}"
            + (f"; {len(odd) - 1} other classes differ too." if len(odd) > 1 else ".")
        )
    for split in splits:
        divided = [group for group, clips in groups.items() if len({clip.get(split) for clip in clips} - {None}) > 1]
        if divided:
            label, group = divided[0]
            faults.append(f"split {split} divides {len(divided)} groups, first group {group} of {label}.")
    return faults


def _video_files(folder: Path) -> Iterator[Path]:
    """Yield the files in the folder's subfolders whose names end like those of videos."""
    for name in folders_in(folder):
        yield from (folder / name / file for file in names_in(folder / name) if file.lower().endswith(VIDEOS))
