"""The record of a folder that is being generated: `run.json`, and in `parts/` a file for each batch of clips.

A worker writes the lines of a batch into a file of its own, and `stgan merge` makes `manifest.jsonl` of these files. So
any number of processes and machines write into one folder, and none waits for another.
"""

import heapq
import io
import os
import re
import reprlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval

from stgan.errors import StganError
from stgan.manifest import Entry, entries_of
from stgan.names import quoted
from stgan.records import Count, Number, Text, read_bounded, read_record

RUN, PARTS, STAGED = "run.json", "parts", ".staged"
"""The settings, the parts in a folder for each action, and clips that are not yet named by a part."""

_LARGEST_RUN = 1 << 24  # bytes; the fingerprints of a condition network take up to about 200,000
_LARGEST_PART = 1 << 26
_PART = re.compile(r"(\d{4,9})\.jsonl")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RECENT = 100  # parts that tell how fast it goes and who works
_MISSED = 10  # nobody seems to work after so many batches' time without one

_AGAIN = "remove it, and stgan generate --resume makes its clips again"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What `run.json` holds: what all clips of a folder have in common, and how many are planned.

    counts:   number of clips of each action, as they were last asked for.
    settings: see `GenerationJob.settings`. Whoever makes clips in the folder has the same ones.
    begun:    versions, device and threads of the process that wrote this; those of others may differ.
    """

    format: Literal[1] = 1
    counts: dict[Text, Annotated[int, Interval(ge=1, lt=10**9)]]
    settings: dict[Text, Any]
    begun: dict[Text, Any]

    def __post_init__(self) -> None:
        if bad := [action for action in self.counts if not _is_folder_name(action)]:
            raise ValueError(f"counts: {quoted(bad[0])} cannot be the name of a folder")
        for name in ("seed", "batch"):
            if type(self.settings.get(name)) is not int:
                raise ValueError(f"settings.{name}: must be a whole number")
        if self.batch < 1:
            raise ValueError(f"settings.batch: must be at least 1, not {self.batch}")

    @property
    def batch(self) -> int:
        """Largest number of clips of an action that are made together."""
        return self.settings["batch"]

    def file(self, action: str, index: int) -> str:
        """The path of a clip within the folder."""
        return f"{action}/{action}_seed{self.settings['seed']}_{index:04d}.mp4"


def read_run(folder: Path) -> Run:
    """StganError if the folder has no `run.json`, or it is not what `stgan generate` writes."""
    if not os.path.lexists(folder / RUN):
        raise StganError(
            f"{quoted(folder)} has no {RUN}, which stgan generate writes when it begins; wait, or name another folder"
        )
    return read_record(folder / RUN, Run, "start anew without --resume and --shard", _LARGEST_RUN)


@dataclass(frozen=True)
class Part:
    """The lines of clips that follow each other, of one action; path and content are those of their file."""

    path: Path
    content: bytes
    entries: tuple[Entry, ...]


def part_path(folder: Path, action: str, first: int) -> Path:
    """The file of the part that begins with this clip of an action. No two parts have the same first clip."""
    return folder / PARTS / action / f"{first:04d}.jsonl"


def staged_name(entry: Entry) -> str:
    """The end of the name under which a clip lies in `STAGED` until a part names it, after a word of its worker's."""
    return f"{Path(entry.file).stem}.{entry.details['sha256']}.mp4"


def read_part(folder: Path, run: Run, action: str, first: int) -> Part | None:
    """The part that begins with a clip; None if there is none. It is not trusted.

    Raises:
        StganError: it cannot be read, or is not what `stgan generate` writes with the settings of the run.
    """
    path = part_path(folder, action, first)
    if not os.path.lexists(path):
        return None
    try:
        content = read_bounded(path, _LARGEST_PART)
    except StganError:
        if not os.path.lexists(path):  # taken away meanwhile
            return None
        raise
    entries = tuple(entries_of(io.BytesIO(content), path))
    if not entries or not content.endswith(b"\n"):
        raise StganError(f"{quoted(path)} is cut off or empty; {_AGAIN}")
    for index, entry in enumerate(entries, first):
        if (entry.action, entry.index, entry.file) != (action, index, run.file(action, index)):
            raise StganError(
                f"{quoted(path)} names {quoted(entry.file)} where {quoted(run.file(action, index))} should be; {_AGAIN}"
            )
        sha256 = entry.details.get("sha256")
        if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
            raise StganError(f"{quoted(path)} has no hash of {quoted(entry.file)}; {_AGAIN}")
        if difference := first_difference(entry.details, run.settings):
            raise StganError(f"{quoted(path)} is of another run: it was made with {difference}; {_AGAIN}")
    return Part(path, content, entries)


def listed(folder: Path) -> dict[str, list[tuple[int, int]]]:
    """The first clip of each part of every action, in order, with the number of its file in the file system.

    Two such lists are equal only if no part was added, replaced or removed in between.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for action, first, file in _files(folder):
        found.setdefault(action, []).append((first, file.inode()))
    return {action: sorted(parts) for action, parts in sorted(found.items())}


def _files(folder: Path) -> Iterator[tuple[str, int, "os.DirEntry[str]"]]:
    if not (folder / PARTS).is_dir():
        return
    for action in os.listdir(folder / PARTS):
        if _is_folder_name(action):
            with os.scandir(folder / PARTS / action) as files:
                for file in files:
                    if name := _PART.fullmatch(file.name):
                        yield action, int(name[1]), file


@dataclass(frozen=True)
class Progress:
    """Clips of an action that are finished, of those that are planned."""

    done: Count
    planned: Count


@dataclass(frozen=True)
class Worker:
    """A kind of process that made some of the latest clips: its device, its CPU threads, and how many it made."""

    device: Text
    threads: Count
    clips: Count


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a folder is, and what `stgan status --json` writes.

    actions: the planned ones.
    rate:    clips a second of all workers together, over the latest 100 batches; None before the second batch.
    left:    seconds until all planned clips are there at this rate; None without a rate, and when no batch has come for
             so long that nobody seems to work.
    idle:    seconds since the latest batch; None before the first.
    workers: who made the latest 100 batches, most clips first.
    """

    format: Literal[1] = 1
    done: Count
    planned: Count
    rate: Number | None
    left: Number | None
    idle: Number | None
    workers: tuple[Worker, ...]
    actions: dict[Text, Progress]


def status(folder: Path) -> Status:
    """How far a folder is, by its parts alone: no clip is read. The clock of the file system tells the times.

    A batch counts as whole once a part has its first clip. (It is not, while it grows because more clips were asked
    for than before.)

    Raises:
        StganError: the folder has no `run.json`, or one of the latest parts is wrong.
    """
    run = read_run(folder)
    done = dict.fromkeys(run.counts, 0)
    times: list[tuple[float, str, int]] = []
    for action, first, file in _files(folder):
        times.append((file.stat().st_mtime, action, first))
        if action in done and first % run.batch == 0:
            done[action] += max(0, min(run.batch, run.counts[action] - first))
    recent = heapq.nlargest(_RECENT, times)
    made: Counter[tuple[str, int]] = Counter()
    clips = []
    for _, action, first in recent:
        part = read_part(folder, run, action, first)
        for entry in part.entries if part else ():
            made[str(entry.details.get("device"))[:100], _whole(entry.details.get("threads"))] += 1
        clips.append(len(part.entries) if part else 0)
    took = recent[0][0] - recent[-1][0] if recent else 0.0
    rate = sum(clips[:-1]) / took if took > 0 else None
    total, planned = sum(done.values()), sum(run.counts.values())
    idle = max(0.0, time.time() - recent[0][0]) if recent else None
    silent = idle is not None and idle > max(60.0, _MISSED * took / max(1, len(recent) - 1))
    return Status(
        done=total,
        planned=planned,
        rate=rate,
        left=(planned - total) / rate if rate and not (silent and total < planned) else None,
        idle=idle,
        workers=tuple(Worker(device, threads, number) for (device, threads), number in made.most_common()),
        actions={action: Progress(number, run.counts[action]) for action, number in done.items()},
    )


def first_difference(recorded: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The first recorded value that differs from the settings, as "seed 0, not 1"; empty if there is none."""
    for name, wanted in settings.items():
        value = recorded.get(name)
        if value == wanted:
            continue
        if isinstance(wanted, Mapping) and isinstance(value, Mapping):
            if inner := first_difference(value, {**dict.fromkeys(value), **wanted}):
                return f"{name}.{inner}"
        else:
            return f"{name} {_short(value)}, not {_short(wanted)}"
    return ""


def _short(value: Any) -> str:
    return "none" if value is None else reprlib.repr(value)


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 < value < 10**6 else 0  # a part is not trusted


def _is_folder_name(action: str) -> bool:
    return action.isprintable() and action[:1] not in ("", ".") and not set(action) & set("/\\:")
