"""`manifest.jsonl` and the contact sheet are made from the parts of a folder; clips that parts name get into place."""

import heapq
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stgan.errors import StganError
from stgan.files import flush_names, remove
from stgan.generation.contact_sheet import CLIPS, write_contact_sheet
from stgan.manifest import Entry, Manifest
from stgan.names import quoted
from stgan.parts import STAGED, Part, Run, listed, part_path, read_part, read_run, staged_name

COMPANIONS = (".gif", ".trace.png", ".iterations")
"""Endings of the files that may be beside a clip's .mp4; the last one is a folder."""


def merge(folder: Path) -> int:
    """Write the manifest and the contact sheet of a folder from its parts; returns the number of clips.

    Lines are in the order of the plan: the first clip of each action, then the second of each, ... Workers may write
    parts meanwhile, and others may merge, too: whoever replaces the manifest last has seen every part.

    Raises:
        StganError: the folder has no `run.json` or no clip yet, a part or a shown clip is wrong, or the folder cannot
            be written to.
    """
    run = read_run(folder)
    with problems_of(folder):
        settle(folder, run)
        while True:
            parts = listed(folder)
            if not parts:
                raise StganError(f"no clip of {quoted(folder)} is finished yet; wait, or make some by --resume")
            count, shown = _write(folder, run, parts)
            if listed(folder) == parts:
                break
        write_contact_sheet(folder, shown)
    return count


def settle(folder: Path, run: Run) -> None:
    """Bring clips into place that a worker had named in a part when it was killed."""
    if (folder / STAGED).is_dir() and any((folder / STAGED).iterdir()):
        for action, parts in listed(folder).items():
            for first, _ in parts:
                if part := read_part(folder, run, action, first):
                    publish(folder, part)


def publish(folder: Path, part: Part) -> None:
    """Move the staged clips of a part, and what belongs beside them, into their place. Any process may do so.

    Whoever gives up a part does this first. So no worker can bring clips of a part that was given up.
    """
    if not (folder / STAGED).is_dir():
        return
    names = {staged_name(entry): entry for entry in part.entries}
    moved = False
    for name in os.listdir(folder / STAGED):
        if entry := names.get(name.partition(".")[2]):
            moved = True
            for ending in (*COMPANIONS, ".mp4"):  # the clip last, since it says that the others are there
                with suppress(FileNotFoundError):  # of a run without such files, or another process was faster
                    _move((folder / STAGED / name).with_suffix(ending), (folder / entry.file).with_suffix(ending))
    if moved:
        flush_names(folder / part.entries[0].action)


def _move(source: Path, target: Path) -> None:
    if source.is_dir() and target.is_dir():
        remove(target)  # no system call replaces a folder that is not empty
    os.replace(source, target)


def _write(folder: Path, run: Run, parts: dict[str, list[tuple[int, int]]]) -> tuple[int, list[tuple[str, int, Path]]]:
    """Write the manifest of these parts. Returns the number of clips, and those for the contact sheet."""
    count, shown = 0, []

    def counted() -> Iterator[Entry]:
        nonlocal count
        for entry in _in_order(folder, run, parts):
            count += 1
            if entry.index < CLIPS:
                shown.append((entry.action, entry.index, Path(entry.file)))
            yield entry

    Manifest(folder).write(counted())
    return count, shown


def _in_order(folder: Path, run: Run, parts: dict[str, list[tuple[int, int]]]) -> Iterator[Entry]:
    """The entries of all parts in the order of the plan; one part of each action is in memory at a time."""
    turn = {action: number for number, action in enumerate(run.counts)}

    def of(action: str) -> Iterator[Entry]:
        after = 0
        for first, _ in parts[action]:
            if first < after:
                raise StganError(
                    f"{quoted(part_path(folder, action, first))} names clips that another part names, too; remove it"
                )
            if part := read_part(folder, run, action, first):
                after = first + len(part.entries)
                yield from part.entries

    return heapq.merge(
        *(of(action) for action in sorted(parts, key=lambda action: turn.get(action, len(turn)))),
        key=lambda entry: entry.index,
    )


@contextmanager
def problems_of(path: Path) -> Iterator[None]:
    """Turn an OSError, such as a full disk or a missing permission, into a StganError."""
    try:
        yield
    except OSError as error:
        raise StganError(
            f"cannot write to {quoted(path)} ({(error.strerror or str(error)).lower()}); "
            "put that right or choose another --out"
        ) from error
