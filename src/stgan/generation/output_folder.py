"""The output folder of generation: OUT/ACTION/*.mp4, OUT/run.json, OUT/parts/ACTION/*.jsonl.

A clip is finished when a part names it and its file has the hash that the part tells. Clips are staged, then the part
is written if there is none of its first clip, and then they are moved into place. So a run may end at any moment, by
Ctrl-C, a full disk or kill -9, and of several workers with the same clips the first one counts.
"""

import math
import os
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from stgan.errors import StganError
from stgan.files import create, flush, locked, remove, remove_leftovers, sha256, shared
from stgan.generation.merging import COMPANIONS, merge, problems_of, publish, settle
from stgan.generation.units import FPS, Companion, Generated, Unit
from stgan.manifest import Entry, Manifest
from stgan.names import quoted
from stgan.parts import PARTS, RUN, STAGED, Part, Run, first_difference, part_path, read_part, read_run, staged_name
from stgan.records import as_json, write_record
from stgan.video import write_video

PREVIOUS = "manifest.previous.jsonl"
FAILED = "failed.jsonl"  # see `stgan.generation.on_ray`
_REMEDY = "choose another --out, or leave --resume and --shard away to start anew"


class OutputFolder:
    """The output folder of a worker, which other workers may share.

    run:       the folder's record.
    made_with: versions, device and threads of this worker, which are recorded with its clips.
    damaged:   the number of clips that were missing or changed although a part named them, as far as was looked.
    """

    def __init__(self, path: Path, run: Run, made_with: Mapping[str, Any]) -> None:
        self.path, self.run, self.made_with = path, run, made_with
        self.damaged = 0
        self._word = secrets.token_hex(8)

    def begun(self, unit: Unit) -> bool:
        """Whether a part names the first clip of a unit. It is not read."""
        return os.path.lexists(part_path(self.path, unit.action, unit.clips.start))

    def missing(self, unit: Unit, endings: Collection[str] = ()) -> tuple[range, list[Part]]:
        """The clips of a unit from the first one on that is not finished, and the parts that name any of them.

        endings: of companions that a finished clip has, too.

        Raises:
            StganError: a part is wrong, or belongs to another run.
        """
        first = unit.clips.start
        with problems_of(self.path):
            while first in unit.clips and (part := self._part(unit, first)) and self._holds(part, endings):
                first += len(part.entries)
            rest = range(first, unit.clips.stop)
            former = [part for number in rest if (part := self._part(unit, number))]
            for part in former:
                publish(self.path, part)
            return rest, former

    def add(
        self, clips: Sequence[Generated], former: Sequence[Part] = (), companions: Mapping[str, Companion] | None = None
    ) -> list[Entry]:
        """Write clips of a unit that follow each other; they are flushed to the disk before their part is written.

        Args:
            former: what `missing` returned: parts that the new one replaces.
            companions: for endings of `COMPANIONS`, functions that write the file or folder.

        Returns:
            The lines of the clips; none if another worker was faster, whose clips then stay.

        Raises:
            StganError: a value is not finite, or the folder cannot be written to. No part names the clips then.
        """
        companions = companions or {}
        action, first = clips[0].key
        path = part_path(self.path, action, first)
        with problems_of(self.path):
            for names in ((STAGED,), (action,), (PARTS,), (PARTS, action)):
                self._make_folder(*names)
            entries = tuple(self._stage(clip, companions) for clip in clips)
            mine = Part(path, b"".join(entry.line() for entry in entries), entries)
            for part in former:
                with suppress(FileNotFoundError):
                    if part.path.read_bytes() == part.content:  # else another worker has replaced it
                        part.path.unlink()
            # A network file system may say that the part exists when this call has made it.
            there = mine if create(path, mine.content) else read_part(self.path, self.run, action, first)
            won = there is not None and there.content == mine.content
            if there:
                publish(self.path, there)
            for left in (self.path / STAGED).glob(f"{self._word}.*"):  # of clips that another worker has made
                remove(left)
            for entry in entries if won else ():
                for ending in set(COMPANIONS) - set(companions):  # of a former clip with this name
                    remove((self.path / entry.file).with_suffix(ending))
        return list(entries) if won else []

    def _part(self, unit: Unit, first: int) -> Part | None:
        return read_part(self.path, self.run, unit.action, first)

    def _holds(self, part: Part, endings: Collection[str]) -> bool:
        """Whether the clips of a part are in place and unchanged, with these companions."""
        whole, _ = self._look(part, endings)
        if not whole:  # as while a worker moves them into place, or after it was killed
            publish(self.path, part)
            whole, damaged = self._look(part, endings)
            self.damaged += damaged
        return whole

    def _look(self, part: Part, endings: Collection[str]) -> tuple[bool, int]:
        """Whether the clips of a part are there with these companions, and how many clips are missing or changed."""
        paths = [self.path / entry.file for entry in part.entries]
        damaged = sum(
            not path.is_file() or sha256(path) != entry.details["sha256"]
            for path, entry in zip(paths, part.entries, strict=True)
        )
        return not damaged and all(path.with_suffix(ending).exists() for path in paths for ending in endings), damaged

    def _stage(self, clip: Generated, companions: Mapping[str, Companion]) -> Entry:
        file = self.run.file(*clip.key)
        if not all(map(math.isfinite, clip.details.values())):
            raise StganError(f"{file} has values that are not finite and is not kept; try another seed or model")
        new = self.path / STAGED / f"{self._word}.mp4"
        write_video(new, clip.frames, FPS)
        details = {**clip.details, "sha256": sha256(new), **self.run.settings, **self.made_with}
        entry = Entry(file, *clip.key, details)
        staged = self.path / STAGED / f"{self._word}.{staged_name(entry)}"
        for ending, write in companions.items():
            write(clip, staged.with_suffix(ending))
            flush(staged.with_suffix(ending))
        flush(new)
        os.replace(new, staged)  # last, since others may move what has this name
        return entry

    def _make_folder(self, *names: str) -> None:
        place = self.path.joinpath(*names)
        place.mkdir(exist_ok=True)
        if place.resolve() != self.path.resolve().joinpath(*names):
            raise StganError(f"{quoted(place)} is a link to another folder; remove it or choose another --out")


def start_anew(path: Path) -> bool:
    """Give up the clips of a folder: its manifest becomes `manifest.previous.jsonl`, and its parts are removed.

    The clips stay until new ones of the same names replace them. Returns whether there was a manifest.

    Raises:
        StganError: the folder cannot be written to, or a process makes clips in it.
    """
    with problems_of(path), locked(path, doing="is generating into", remedy="choose another --out"):
        with suppress(StganError):  # a killed run has parts that its manifest does not name
            merge(path)
        manifest = Manifest(path)
        previous = manifest.path.is_file() and manifest.path.stat().st_size > 0
        if previous:
            os.replace(manifest.path, path / PREVIOUS)
        manifest.write(())
        remove(path / PARTS)  # before the record, without which parts could be taken for those of another run
        remove(path / RUN)
    return previous


@contextmanager
def working_in(path: Path) -> Iterator[None]:
    """Make clips in a folder, as other processes may. The last one to leave removes what killed ones left behind."""
    try:
        with ExitStack() as stack:
            with problems_of(path):
                stack.enter_context(shared(path))
            yield
    finally:
        with suppress(StganError, OSError):  # others work on, or the folder is gone
            run = read_run(path)
            with locked(path):
                settle(path, run)
                remove(path / STAGED)
                parts = path / PARTS
                for place in (path, *path.iterdir(), *(parts.iterdir() if parts.is_dir() else ())):
                    if place.is_dir() and not place.is_symlink():
                        remove_leftovers(place)


def join(path: Path, run: Run) -> Run:
    """The record of a folder: the one that it has, else this one, which is written.

    Raises:
        StganError: the folder has a manifest, but no record.
    """
    manifest = Manifest(path)
    with problems_of(path):
        if not os.path.lexists(path / RUN) and next(manifest.read(), None):
            raise StganError(
                f"cannot resume: {quoted(path)} has a manifest, but no {RUN}, so an earlier version of stgan or "
                f"another command made its clips; {_REMEDY}"
            )
        if create(path / RUN, as_json(run).encode()):
            create(manifest.path, b"")  # readers take the folder for what it is
        return read_run(path)


def agree(path: Path, recorded: Run, run: Run) -> Run:
    """The record of a folder, which now plans the clips of this run, too.

    Raises:
        StganError: the folder's clips are made with other settings; the message names the first that differs.
    """
    if difference := first_difference(recorded.settings, run.settings):
        former, now = {**recorded.settings, **recorded.begun}, {**run.settings, **run.begun}
        other = "by another version of stgan, " * is_of_another_version(former, now)
        raise StganError(f"cannot resume: {quoted(path)} was made {other}with {difference}; {_REMEDY}")
    counts = {**recorded.counts, **run.counts}
    agreed = replace(recorded, counts=counts)
    if counts != recorded.counts:
        with problems_of(path):
            write_record(path / RUN, agreed)
    return agreed


def is_of_another_version(recorded: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether another version of stgan recorded these values: it has another number, or other names of settings."""
    if recorded.get("version") != settings.get("version") or not settings.keys() <= recorded.keys():
        return True
    same_preset = recorded.get("preset") == settings.get("preset")
    return same_preset and _names(recorded.get("settings")) != _names(settings.get("settings"))


def _names(settings: Any) -> Any:
    """The names of settings and of theirs."""
    return {name: _names(value) for name, value in settings.items()} if isinstance(settings, Mapping) else None
