"""The folder that generated clips go into: OUT/ACTION/*.mp4, OUT/manifest.jsonl, OUT/contact_sheet.png.

A clip counts as finished when its line is in the manifest, and the line is written last. So a run may end at any
moment, by Ctrl-C, a full disk or kill -9: finished clips stay, and of an unfinished one nothing is believed.
"""

import math
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stgan.errors import StganError
from stgan.files import locked, remove, remove_leftovers, sha256
from stgan.manifest import Entry, Manifest
from stgan.names import quoted
from stgan.video import read_video, write_video
from stgan.video.strips import COLUMNS, Strip, save_strips, thumbnails

CONTACT_SHEET = "contact_sheet.png"
PREVIOUS = "manifest.previous.jsonl"
COMPANIONS = (".gif", ".trace.png", ".iterations")
"""Endings of what may stand beside a clip's .mp4; the last is a folder."""
_CLIPS_ON_SHEET = 4  # of each action
_ROWS_ON_SHEET = 48

Key = tuple[str, int]  # a clip's action and its number among the clips of that action


class OutputFolder:
    """A folder that clips are being generated into. Made by `open_output`, which holds the lock.

    settings: what all its clips have in common, as the manifest records it; holds the `seed`.
    clips:    the manifest's entries by clip, without the settings. All of them are whole.
    damaged:  how many clips of the manifest were missing or not what their line says, and left it.
    previous: whether a former manifest was set aside.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, settings
        self.manifest = Manifest(path)
        self.clips: dict[Key, Entry] = {}
        self.damaged = 0
        self.previous = False

    def name(self, key: Key) -> Path:
        """Where a clip is in the folder."""
        action, index = key
        return Path(action) / f"{action}_seed{self.settings['seed']}_{index:04d}.mp4"

    def finished(self, key: Key, companions: Iterable[str] = ()) -> bool:
        """Whether a clip is there, with everything beside it that has one of these endings."""
        path = self.path / self.name(key)
        return key in self.clips and all(path.with_suffix(ending).exists() for ending in companions)

    def add(
        self,
        entry: Entry,
        frames: UInt8[np.ndarray, "time height width 3"],
        fps: float,
        companions: Mapping[str, Callable[[Path], None]] | None = None,
    ) -> None:
        """Write a clip, what is to stand beside it, and then its line in the manifest.

        companions: for endings of `COMPANIONS`, what writes the file or folder (atomically) at the path it is given.

        Raises:
            StganError: the folder cannot be written to; it holds then what it held before.
        """
        key = (entry["action"], entry["index"])
        path = self.path / self.name(key)
        companions = companions or {}
        if not all(math.isfinite(value) for value in entry.values() if isinstance(value, float)):
            raise StganError(f"{path.name} came out without finite numbers and is not kept; try another seed or model")
        with _problems_of(self.path):
            path.parent.mkdir(exist_ok=True)
            if path.parent.resolve() != self.path.resolve() / path.parent.name:
                raise StganError(
                    f"{quoted(path.parent)} is a link to another folder; remove it or choose another --out"
                )
            for ending in COMPANIONS:  # of a former clip of this name
                if ending not in companions:
                    remove(path.with_suffix(ending))
            for ending, write in companions.items():
                write(path.with_suffix(ending))
            write_video(path, frames, fps)
            own = {name: value for name, value in entry.items() if name not in self.settings}
            own |= {"file": self.name(key).as_posix(), "sha256": sha256(path)}
            former = self.clips.get(key)  # whole, but something beside it was missing
            self.clips[key] = own
            if former is None:
                self.manifest.append({**own, **self.settings})
            elif former != own:
                self._write(self.clips)

    def finish(self, order: Iterable[Key]) -> None:
        """Put the manifest in this order, other clips last, and draw the contact sheet."""
        with _problems_of(self.path):
            self._write(dict.fromkeys((*(key for key in order if key in self.clips), *self.clips)))
            write_contact_sheet(self.path, list(self.clips), self.name)

    def _write(self, keys: Iterable[Key]) -> None:
        self.manifest.write({**self.clips[key], **self.settings} for key in keys)

    def _start_anew(self) -> None:
        if self.manifest.path.is_file() and self.manifest.path.stat().st_size:
            os.replace(self.manifest.path, self.path / PREVIOUS)
            self.previous = True
        self._write(())

    def _resume(self) -> None:
        for entry in self.manifest.read():
            key = (entry["action"], entry["index"])
            difference = first_difference(entry, self.settings)
            if difference:
                raise StganError(
                    f"cannot resume: {quoted(entry['file'])} in {quoted(self.path)} was made with {difference}; "
                    "choose another --out, or leave --resume away to start anew"
                )
            path = self.path / self.name(key)
            if entry["file"] != self.name(key).as_posix():
                raise StganError(
                    f"cannot resume: {quoted(self.manifest.path)} names {quoted(entry['file'])} where "
                    f"{quoted(self.name(key).as_posix())} should be; choose another --out, or leave --resume away"
                )
            if path.is_file() and sha256(path) == entry.get("sha256"):
                self.clips[key] = {name: value for name, value in entry.items() if name not in self.settings}
            else:
                self.damaged += 1
        self._write(self.clips)


@contextmanager
def open_output(path: Path, settings: Mapping[str, Any], *, resume: bool) -> Iterator[OutputFolder]:
    """Make the folder, or lock it and take away what killed runs left; then its clips are kept or set aside.

    Args:
        settings: recorded with every clip. With `resume`, the folder's clips must have been made with the same.
        resume: keep the clips that are there, and whole. Otherwise start anew: the former manifest is kept as
            `manifest.previous.jsonl`, and clips are replaced as new ones of their names are finished.

    Raises:
        StganError: the folder cannot be written to, is in use, or holds clips made with other settings.
    """
    with ExitStack() as lock:
        with _problems_of(path):
            lock.enter_context(locked(path, doing="is generating into", remedy="choose another --out"))
        folder = OutputFolder(path, settings)
        with _problems_of(path):
            if resume:
                folder._resume()
            else:
                folder._start_anew()
            for place in (path, *path.iterdir()):
                if place.is_dir() and not place.is_symlink() and os.access(place, os.W_OK | os.X_OK | os.R_OK):
                    remove_leftovers(place)
        yield folder


def first_difference(entry: Entry, settings: Mapping[str, Any]) -> str:
    """What an entry was made with that the settings have otherwise, as "seed 0, not 1"; nothing if they agree."""
    for name, wanted in settings.items():
        recorded = entry.get(name)
        if recorded == wanted:
            continue
        if isinstance(wanted, Mapping) and isinstance(recorded, Mapping):
            if inner := first_difference({**recorded}, {**dict.fromkeys(recorded), **wanted}):
                return f"{name}.{inner}"
        else:
            return f"{name} {_short(recorded)}, not {_short(wanted)}"
    return ""


def write_contact_sheet(out: Path, clips: Sequence[Key], name: Callable[[Key], Path]) -> None:
    """A row for each of the first clips of every action: at most 4 of each, and 48 rows in all.

    With many actions there are fewer of each; above 48, the first 48 actions in alphabetical order are shown.
    """
    actions = sorted({action for action, _ in clips})
    each = max(1, min(_CLIPS_ON_SHEET, _ROWS_ON_SHEET // max(1, len(actions))))
    shown = sorted(key for key in clips if key[1] < each)[:_ROWS_ON_SHEET]
    if not shown:
        return
    strips = []
    for key in shown:
        frames = read_video(out / name(key), max_frames=None).frames
        strips.append(Strip(key[0], thumbnails(frames, min(COLUMNS, len(frames)))))  # small, before the next is read
    save_strips(out / CONTACT_SHEET, strips)


@contextmanager
def _problems_of(path: Path) -> Iterator[None]:
    """A disk that is full, a folder that may not be written to or is gone: one sentence."""
    try:
        yield
    except OSError as error:
        raise StganError(
            f"cannot write to {quoted(path)} ({(error.strerror or str(error)).lower()}); "
            "put that right or choose another --out"
        ) from error


def _short(value: Any) -> str:
    return "none" if value is None else reprlib.repr(value)
