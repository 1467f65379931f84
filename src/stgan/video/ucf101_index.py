"""A check of a copy of UCF-101, and an index of its clips.

With the index, a second check is fast: clips whose files have not changed are not decoded again.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from stgan.errors import StganError
from stgan.names import quoted
from stgan.records import as_record, read_record, write_record
from stgan.video.clip_folder import ClipFile
from stgan.video.decoding import in_order, inspect_clip
from stgan.video.frame_folders import VIDEOS
from stgan.video.io import VideoError, read_video
from stgan.video.ucf101_lists import SIDES, Side, find_ucf, list_path, read_lists
from stgan.video.ucf101_names import FRAME_RATES, SIZE, UCF101, WHERE, ClipName, Published, parse_name

INDEX = "index.json"
_FORMAT = 1
_BEGINNING = 4  # frames; enough to see that the file can be decoded
_SAVE_EVERY = 30.0  # seconds


@dataclass(frozen=True)
class IndexedClip:
    """A listed clip whose file exists.

    file:   class/name.avi. group, number: see `stgan.video.ucf101_names.ClipName`.
    splits: "train" or "test" by the number of the split.
    frames: None if only the beginning was decoded.
    fps:    None if the file cannot be read (`reason` says why), or was not reached by an interrupted run.
    """

    file: str
    label: str
    group: int
    number: int
    splits: Mapping[int, Side]
    bytes: int
    mtime_ns: int
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    fps: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if parse_name(self.file) != ClipName(self.label, self.group, self.number):
            raise ValueError(f"{quoted(self.file)} is not the name of such a clip")


@dataclass(frozen=True)
class Index:
    """The result of `prepare_ucf101`.

    videos:  the folder of the class folders.
    splits:  the numbers of the splits that were checked.
    listed:  the number of listed clips.
    faults:  faults of the lists, a sentence each.
    missing: listed clips that are not on disk. extra: clips on disk that are not listed.
    """

    videos: Path
    splits: tuple[int, ...]
    listed: int
    faults: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    clips: tuple[IndexedClip, ...]

    @property
    def readable(self) -> tuple[IndexedClip, ...]:
        return tuple(clip for clip in self.clips if clip.fps is not None)

    @property
    def unreadable(self) -> dict[str, str]:
        """Why clips cannot be read, by file."""
        return {clip.file: clip.reason for clip in self.clips if clip.reason}

    @property
    def unusual(self) -> dict[str, str]:
        """Sizes and frame rates of clips that differ from the published ones, by file."""
        return {
            clip.file: f"{clip.width}x{clip.height} at {clip.fps:.4g} frames per second"
            for clip in self.readable
            if clip.fps is not None
            and not ((clip.height, clip.width) == SIZE and any(abs(clip.fps - rate) < 0.01 for rate in FRAME_RATES))
        }

    def problems(self) -> list[str]:
        """Differences that make the set incomplete, a sentence each; empty for a complete set."""
        found = list(self.faults)
        for names, what in ((self.missing, "are listed but missing"), (self.unreadable, "cannot be read")):
            if names:
                found.append(f"{len(names)} of {self.listed} clips {what}, first {quoted(next(iter(names)))}.")
        waiting = len(self.clips) - len(self.readable) - len(self.unreadable)
        if waiting:
            found.append(f"{waiting} of {self.listed} clips have not been checked: run the same command again.")
        on_disk = {name.lower(): name for name in self.extra}
        respelled = [name for name in self.missing if name.lower() in on_disk]
        if respelled:
            listed, there = respelled[0], on_disk[respelled[0].lower()]
            found.append(
                f"{len(respelled)} clips have another spelling, first {quoted(there)} for {quoted(listed)}: rename "
                "them as listed."
            )
        return found

    def warnings(self) -> list[str]:
        """Differences from the published set that do not make it incomplete, a sentence each."""
        found = []
        if self.unusual:
            file, facts = next(iter(self.unusual.items()))
            found.append(
                f"{len(self.unusual)} clips are not of 320x240 at 25 or 29.97 frames per second, first {quoted(file)} "
                f"({facts}): they are not the published files, so results are not comparable."
            )
        if self.extra:
            found.append(f"{len(self.extra)} clips are not listed and not used, first {quoted(self.extra[0])}.")
        return found

    def counts(self, split: int) -> dict[str, int]:
        """Readable clips of a split: "train", "test"."""
        return {side: sum(clip.splits.get(split) == side for clip in self.readable) for side in SIDES}

    def clip_files(self, split: int) -> tuple[ClipFile, ...]:
        """The readable clips of a split, with "train" or "test" as their split and "class_gNN" as their group.

        Raises:
            StganError: that split was not checked.
        """
        if split not in self.splits:
            raise StganError(f"the index has no split {split}: run stgan data prepare ucf101 with its lists.")
        return tuple(
            ClipFile(self.videos / clip.file, clip.label, f"{clip.label}_g{clip.group:02d}", clip.splits[split])
            for clip in self.readable
            if split in clip.splits
        )

    def summary(self) -> dict[str, Any]:
        """The index without the single clips, as plain values for JSON."""
        return {
            "format": _FORMAT,
            "videos": str(self.videos),
            "complete": not self.problems(),
            "listed": self.listed,
            "found": len(self.clips),
            "classes": len({clip.label for clip in self.clips}),
            "groups": len({(clip.label, clip.group) for clip in self.clips}),
            "splits": {str(split): self.counts(split) for split in self.splits},
            "wholly_decoded": sum(clip.frames is not None for clip in self.clips),
            "problems": self.problems(),
            "warnings": self.warnings(),
            "faults": list(self.faults),
            "missing": list(self.missing),
            "unreadable": self.unreadable,
            "unusual": self.unusual,
            "extra": list(self.extra),
        }

    def save(self, path: Path) -> None:
        """Write the index to a JSON file, or replace it."""
        write_record(path, {**self.summary(), "clips": self.clips})


def load_index(path: Path) -> Index:
    """Read what `Index.save` wrote. StganError if it is missing or damaged."""
    if not path.exists():
        raise StganError(f"there is no {quoted(path)}: make it with stgan data prepare ucf101.")
    try:
        values = read_record(path, dict[str, Any])
        if values.get("format") != _FORMAT:
            raise StganError(f"{quoted(path)} is not an index of UCF-101 of this version")
        kept = {item.name: values[item.name] for item in fields(Index) if item.name in values}
        splits = as_record(dict[int, Any], kept.get("splits"), path)
        return as_record(Index, {**kept, "splits": list(splits)}, path)
    except StganError as error:
        raise StganError(f"{error}; make it anew with stgan data prepare ucf101") from error


def prepare_ucf101(
    root: Path,
    index: Path,
    *,
    splits: Sequence[int] = (1, 2, 3),
    quick: bool = False,
    published: Published = UCF101,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Index:
    """Check a copy of UCF-101 and write its index. Missing and broken clips are recorded in the index.

    Args:
        root: holds `UCF-101` (class folders) and `ucfTrainTestlist` (the official lists).
        index: the file to write. Its entries of unchanged files are kept, so an interrupted run can be continued.
        splits: the numbers of the splits to check.
        quick: decode only the beginning of each clip.
        published: the size of the complete set.
        progress: called after each clip with the number done and the total.

    Raises:
        StganError: there is no folder of lists, a list cannot be parsed, or the index cannot be written.
    """
    unknown = sorted(set(splits) - set(published.splits))
    if unknown:
        raise StganError(f"UCF-101 has the splits 1, 2 and 3, no split {unknown[0]}.")
    found = find_ucf(root) if root.is_dir() else None
    if found is None:
        raise StganError(f"{quoted(root)} has no folder ucfTrainTestlist: {WHERE}.")
    videos, lists = found[0].resolve(), found[1]
    sides, faults = read_lists(lists, splits, published)
    clips = [clip for name in sorted(sides) if (clip := _entry(videos, name, sides[name]))]
    there = {clip.file for clip in clips}
    all_listed = any(all(list_path(lists, split, side).is_file() for side in SIDES) for split in splits)
    result = Index(
        videos,
        tuple(splits),
        len(sides),
        tuple(faults),
        tuple(sorted(sides.keys() - there)),
        tuple(sorted(_clips_on_disk(videos) - sides.keys())) if all_listed else (),
        tuple(clips),
    )
    known = _known(index, videos, quick)
    done = {
        clip.file: replace(former, splits=clip.splits)
        for clip in clips
        if (former := known.get((clip.file, clip.bytes, clip.mtime_ns)))
    }
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
        progress(len(done), len(clips))
        todo = [clip for clip in clips if clip.file not in done]
        saved = time.monotonic()
        try:
            with closing(in_order(lambda clip: _inspect(videos, clip, quick), todo)) as outcomes:
                for outcome in outcomes:
                    done[outcome.file] = outcome
                    progress(len(done), len(clips))
                    if time.monotonic() - saved > _SAVE_EVERY:
                        _with_clips(result, done).save(index)
                        saved = time.monotonic()
        finally:
            result = _with_clips(result, done)
            result.save(index)
    except OSError as error:
        raise StganError(
            f"the index cannot be written to {quoted(index)} ({error.strerror or error}): choose another --out."
        ) from error
    return result


def _entry(videos: Path, name: str, sides: Mapping[int, Side]) -> IndexedClip | None:
    """The entry of a listed clip; None if it is not a regular file."""
    path, parsed = videos / name, parse_name(name)
    if parsed is None or not os.path.isfile(path):
        return None
    status = path.stat()
    return IndexedClip(name, parsed.label, parsed.group, parsed.number, sides, status.st_size, status.st_mtime_ns)


def _clips_on_disk(videos: Path) -> set[str]:
    return {
        f"{folder.name}/{entry.name}"
        for folder in os.scandir(videos)
        if folder.is_dir() and not folder.name.startswith(".")
        for entry in os.scandir(folder.path)
        if entry.name.lower().endswith(VIDEOS) and not entry.name.startswith(".") and entry.is_file()
    }


def _known(index: Path, videos: Path, quick: bool) -> dict[tuple[str, int, int], IndexedClip]:
    """The readable clips of an earlier run, by name, size and time; empty if there was none."""
    try:
        former = load_index(index)
    except StganError:
        return {}
    if former.videos != videos:
        return {}
    return {
        (clip.file, clip.bytes, clip.mtime_ns): clip
        for clip in former.clips
        if clip.fps is not None and (quick or clip.frames is not None)
    }


def _inspect(videos: Path, clip: IndexedClip, quick: bool) -> IndexedClip:
    path = videos / clip.file
    try:
        if quick:
            beginning = read_video(path, part=range(_BEGINNING))
            height, width = beginning.frames.shape[1:3]
            return replace(clip, height=height, width=width, fps=beginning.fps)
        facts = inspect_clip(path)
    except VideoError as error:
        return replace(clip, reason=str(error).replace(quoted(path), quoted(clip.file)))
    return replace(clip, frames=facts.frames, height=facts.height, width=facts.width, fps=facts.fps)


def _with_clips(index: Index, done: Mapping[str, IndexedClip]) -> Index:
    """The index with the clips of `done` in place of its own; clips that were not reached are unchanged."""
    return replace(index, clips=tuple(done.get(clip.file, clip) for clip in index.clips))
