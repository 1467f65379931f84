"""The output folder of generation: OUT/ACTION/*.mp4, OUT/manifest.jsonl, OUT/contact_sheet.png.

A clip is finished when its line is in the manifest, and the line is written last. So a run may end at any moment, by
Ctrl-C, a full disk or kill -9: finished clips are kept, and unfinished ones are ignored.
"""

import math
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stgan.errors import StganError
from stgan.files import flush, locked, remove, remove_leftovers, sha256
from stgan.generation.contact_sheet import write_contact_sheet
from stgan.manifest import Entry, Manifest
from stgan.names import quoted
from stgan.video import write_video

PREVIOUS = "manifest.previous.jsonl"
COMPANIONS = (".gif", ".trace.png", ".iterations")
"""Endings of the files that may be beside a clip's .mp4; the last one is a folder."""

Key = tuple[str, int]  # a clip's action and its number among the clips of that action


class OutputFolder:
    """The output folder of a running generation. Made by `open_output`, which holds the lock.

    settings: what all clips have in common, as the manifest records it, including the `seed`.
    clips:    the entries of intact clips, without the settings.
    damaged:  the number of clips that were removed from the manifest, because they were missing or changed.
    previous: whether a former manifest was renamed to `PREVIOUS`.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, settings
        self.manifest = Manifest(path)
        self.clips: dict[Key, Entry] = {}
        self.damaged = 0
        self.previous = False

    def name(self, key: Key) -> Path:
        """The path of a clip within the folder."""
        action, index = key
        return Path(action) / f"{action}_seed{self.settings['seed']}_{index:04d}.mp4"

    def finished(self, key: Key, companions: Iterable[str] = ()) -> bool:
        """Whether a clip exists, with a companion for each of these endings."""
        path = self.path / self.name(key)
        return key in self.clips and all(path.with_suffix(ending).exists() for ending in companions)

    def add(
        self,
        key: Key,
        frames: UInt8[np.ndarray, "time height width 3"],
        fps: float,
        details: Mapping[str, float],
        companions: Mapping[str, Callable[[Path], None]] | None = None,
    ) -> None:
        """Write a clip and its companions, flush them to the disk, and then write the clip's line in the manifest.

        Args:
            details: values of this clip for the manifest, in addition to the settings.
            companions: for endings of `COMPANIONS`, functions that write the file or folder at a path, atomically.

        Raises:
            StganError: a value is not finite, or the folder cannot be written to. The folder is then unchanged.
        """
        path = self.path / self.name(key)
        companions = companions or {}
        if not all(map(math.isfinite, details.values())):
            raise StganError(f"{path.name} has values that are not finite and is not kept; try another seed or model")
        with _problems_of(self.path):
            path.parent.mkdir(exist_ok=True)
            if path.parent.resolve() != self.path.resolve() / path.parent.name:
                raise StganError(
                    f"{quoted(path.parent)} is a link to another folder; remove it or choose another --out"
                )
            for ending in COMPANIONS:  # companions of a former clip with this name
                if ending not in companions:
                    remove(path.with_suffix(ending))
            for ending, write in companions.items():
                write(path.with_suffix(ending))
            write_video(path, frames, fps)
            for written in (*map(path.with_suffix, companions), path, path.parent):
                flush(written)
            entry = Entry(self.name(key).as_posix(), *key, {**details, "sha256": sha256(path)})
            former = self.clips.get(key)  # an intact clip without one of its companions
            self.clips[key] = entry
            if former is None:
                self.manifest.append(self._line(entry))
            elif former != entry:
                self._write(self.clips)

    def finish(self, order: Iterable[Key]) -> None:
        """Sort the manifest and draw the contact sheet. Clips that are not in this order (of other jobs) come last."""
        with _problems_of(self.path):
            self._write(dict.fromkeys((*(key for key in order if key in self.clips), *self.clips)))
            write_contact_sheet(self.path, [(*key, self.name(key)) for key in self.clips])

    def _line(self, entry: Entry) -> Entry:
        return replace(entry, details={**entry.details, **self.settings})

    def _write(self, keys: Iterable[Key]) -> None:
        self.manifest.write(self._line(self.clips[key]) for key in keys)

    def _start_anew(self) -> None:
        if self.manifest.path.is_file() and self.manifest.path.stat().st_size:
            os.replace(self.manifest.path, self.path / PREVIOUS)
            self.previous = True
        self._write(())

    def _resume(self) -> None:
        for entry in self.manifest.read():
            key = (entry.action, entry.index)
            difference = first_difference(entry.details, self.settings)
            if difference:
                other = "by another version of stgan, " * is_of_another_version(entry.details, self.settings)
                raise StganError(
                    f"cannot resume: {quoted(entry.file)} in {quoted(self.path)} was made {other}with {difference}; "
                    "choose another --out, or leave --resume away to start anew"
                )
            path = self.path / self.name(key)
            if entry.file != self.name(key).as_posix():
                raise StganError(
                    f"cannot resume: {quoted(self.manifest.path)} names {quoted(entry.file)} where "
                    f"{quoted(self.name(key).as_posix())} should be; choose another --out, or leave --resume away"
                )
            if path.is_file() and sha256(path) == entry.details.get("sha256"):
                own = {name: value for name, value in entry.details.items() if name not in self.settings}
                self.clips[key] = replace(entry, details=own)
            else:
                self.damaged += 1
        self._write(self.clips)


@contextmanager
def open_output(path: Path, settings: Mapping[str, Any], *, resume: bool) -> Iterator[OutputFolder]:
    """Make and lock the folder, keep or give up its clips, and remove temporary files of killed runs.

    Args:
        settings: recorded with every clip. With `resume`, the folder's clips must have been made with the same ones.
        resume: keep the intact clips. Otherwise start again: the former manifest becomes `manifest.previous.jsonl`,
            and finished clips replace former ones of the same names.

    Raises:
        StganError: the folder cannot be written to, is in use, or holds clips made with other settings.
    """
    with ExitStack() as stack:
        folder = OutputFolder(path, settings)
        with _problems_of(path):
            stack.enter_context(locked(path, doing="is generating into", remedy="choose another --out"))
            if resume:
                folder._resume()
            else:
                folder._start_anew()
            for place in (path, *path.iterdir()):
                if place.is_dir() and not place.is_symlink() and os.access(place, os.W_OK | os.X_OK | os.R_OK):
                    remove_leftovers(place)
        yield folder


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


def is_of_another_version(recorded: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether another version of stgan recorded these values: it has another number, or other names of settings."""
    if recorded.get("version") != settings.get("version") or not settings.keys() <= recorded.keys():
        return True
    same_preset = recorded.get("preset") == settings.get("preset")
    return same_preset and _names(recorded.get("settings")) != _names(settings.get("settings"))


def _names(settings: Any) -> Any:
    """The names of settings and of theirs."""
    return {name: _names(value) for name, value in settings.items()} if isinstance(settings, Mapping) else None


@contextmanager
def _problems_of(path: Path) -> Iterator[None]:
    """Turn an OSError, such as a full disk or a missing permission, into a StganError."""
    try:
        yield
    except OSError as error:
        raise StganError(
            f"cannot write to {quoted(path)} ({(error.strerror or str(error)).lower()}); "
            "put that right or choose another --out"
        ) from error


def _short(value: Any) -> str:
    return "none" if value is None else reprlib.repr(value)
