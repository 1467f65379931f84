"""Folders of clips as people keep them, and lists of clips, damaged."""

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from random import Random

import numpy as np
from mutations import HOSTILE_STRINGS, damage_bytes, damage_lines
from PIL import Image

from stgan.errors import StganError
from stgan.files import remove
from stgan.video import EXTENSIONS, ClipFolder, find_clips, survey_clips, write_video
from stgan.video.columns import _NAMES as COLUMNS
from stgan.video.columns import split_named
from stgan.video.frame_folders import IMAGES

_ACTIONS = ("walk", "run", "two words", "caf\u00e9", "-rf", "jump;high", "a,b", "#1", "'quoted'", "\U0001f483", "a|b")
_SPLITS = (("train", "Train", "training"), ("val", "valid", "validation", "dev"), ("test", "TEST", "testing"))
_CLIPS = (
    *("{}.mp4", "{}.AVI", "{}.mov", "{}", "v_{}_g01_c02.avi", "{}/", "{}/", "{}, b.mp4", "{};b.mp4", '"{}".mp4'),
    *("{}.x.webm", "{}\xfc.gif", "-{}.mkv"),
)
_JUNK = (
    *(
        "{}/notes.txt",
        "{}/Thumbs.db",
        "{}/.DS_Store",
        "{}/._a.mp4",
        "{}/poster.jpg",
        "{}/deep/er/clip.mp4",
        "{}/empty/",
    ),
    *("stray.mp4", "README.md", "scores.csv", ".hidden/a.mp4", "__MACOSX/{}/._a.mp4", "{}/no ending", "{}/more.csv"),
    *("{}/broken.mp4->nowhere", "{}/loop->..", "{}/pipe.avi|", "{}/\x1b[31m.txt", "{}/.cache/frames/1.png"),
)
_TABLES = ("clips.csv", "metadata.csv", "Labels.CSV", "a list.csv", "clips.tsv", "all.txt", "metadata.jsonl")
_EXTRA = ("id", "fps", "notes", "duration")


class Lists:
    """`find_clips` of a folder with a damaged csv file, damaged UCF-101 lists, or odd names."""

    def __init__(self, folder: Path, model: str) -> None:
        self.csv, self.ucf, self.odd = folder / "csv" / "clips.csv", folder / "ucf", folder / "odd"
        for name in ("walk/a.mp4", "walk/b.mp4", "run/c.mp4"):
            for root in (self.csv.parent, self.ucf):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).touch()
        (self.ucf / "ucfTrainTestlist").mkdir()
        (self.ucf / "ucfTrainTestlist" / "testlist01.txt").write_text("run/c.mp4\n")

    def damage(self, rng: Random) -> Path:
        shutil.rmtree(self.odd, ignore_errors=True)
        match rng.randrange(3):
            case 0:
                path, text = self.csv, "path,label,actor,split\nwalk/a.mp4,walk,ann,train\nwalk/b.mp4,walk,bob,test\n"
            case 1:
                path, text = self.ucf / "ucfTrainTestlist" / "trainlist01.txt", "walk/a.mp4 1\nwalk/b.mp4 1\n"
            case _:
                name = rng.choice(HOSTILE_STRINGS).replace("/", "").replace("\0", "")[:80].strip(".") or "x"
                path = self.odd / name.encode("utf-8", "surrogateescape" if name != "\ud800" else "replace").decode()
                path.mkdir(parents=True)
                (path / rng.choice(("a.mp4", "a.MP4", "-a.avi", "a\nb.gif", "\u202e.mov"))).touch()
                return self.odd
        data = damage_lines(text, rng).encode("utf-8", "replace")
        path.write_bytes(damage_bytes(data, rng, ()) if rng.random() < 0.3 else data)
        return path

    def attempt(self, path: Path) -> None:
        find_clips(path if path == self.odd else self.csv.parent if path == self.csv else self.ucf)


class DataFolders:
    """`find_clips` and `survey_clips` of a folder in a usual layout, with junk in it, or with a damaged list.

    Where no list is damaged, exactly its clips are right, with their labels and splits. Every file has to be read or
    counted as left out.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.root, clip, picture = folder / "clips", folder / "clip.mp4", io.BytesIO()
        self.contents = [b"", b"no video"]
        for shade in (0, 100, 200):
            write_video(clip, np.full((3, 16, 16, 3), shade, np.uint8), quality=40)
            self.contents.append(clip.read_bytes())
        Image.new("RGB", (16, 16)).save(picture, "png")
        self.picture = picture.getvalue()
        self.expected: dict[Path, tuple[str, str | None]] = {}
        self.damaged = False

    def damage(self, rng: Random) -> Path:
        remove(self.root)
        self.root.mkdir()
        self.expected, self.damaged = {}, False
        self.splits = [rng.choice(names) for names in rng.sample(_SPLITS, rng.choice((2, 3)))]
        self.actions = rng.sample(_ACTIONS, rng.choice((1, 2, 3)))
        places = rng.choice(
            (self._actions, self._splits, self._table, self._tables, self._tables_in_splits, self._ucf)
        )(rng)
        for junk in rng.sample(_JUNK, rng.choice((0, 0, 1, 3, 6))):
            self._add(junk.format(rng.choice(places)), rng)
        return self.root

    def attempt(self, path: Path) -> None:
        try:
            found = find_clips(path)
        except StganError as error:
            assert self.damaged or not self.expected, f"refused: {error}"
            raise
        if self.expected and not self.damaged:  # a folder without clips may still have pictures
            read = {clip.path: (clip.label, clip.split) for clip in found.clips}
            assert read == self.expected, f"{found.layout}: {read.items() ^ self.expected.items()}"
        _check_complete(found)
        survey = survey_clips(found)
        assert survey.facts.keys() | survey.unreadable.keys() == {clip.path for clip in found.clips}
        sentences = [*survey.problems(), *survey.warnings(), *survey.unreadable.values()]
        assert all(sentence.isprintable() and len(sentence) < 2000 for sentence in sentences), sentences

    def _clips(self, rng: Random, places: Iterable[str], names: tuple[str, ...] = _CLIPS) -> list[str]:
        """Make clips in some of these places; return their names."""
        places = list(places)
        made = [f"{rng.choice(places)}/{rng.choice(names).format(f'clip{i}')}" for i in range(rng.choice((1, 3, 8)))]
        for name in made:
            self._add(name, rng)
        return made

    def _add(self, name: str, rng: Random) -> None:
        """A file; "NAME/": a folder of frames, or an empty one; "NAME->TARGET": a link; "NAME|": a pipe."""
        path = self.root / name.split("->")[0].rstrip("|")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
            for number in (1, 2, 10) if path.name != "empty" else ():
                (path / f"{number}.png").write_bytes(self.picture)
        elif "->" in name:
            path.symlink_to(name.split("->")[1])
        elif name.endswith("|"):
            os.mkfifo(path)
        else:
            path.write_bytes(b"a,b\n1,2\n" if name.endswith(".csv") else rng.choice(self.contents))

    def _actions(self, rng: Random) -> list[str]:
        for name in self._clips(rng, self.actions):
            self._expect(name, name.split("/")[0], None)
        return self.actions

    def _splits(self, rng: Random) -> list[str]:
        places = [f"{split}/{action}" for split in self.splits for action in self.actions]
        for name in self._clips(rng, places):
            split, action, *_ = name.split("/")
            self._expect(name, action, split_named(split))
        return places

    def _expect(self, name: str, label: str, split: str | None, listed: bool = False) -> None:
        if listed or name.endswith("/") or name.lower().endswith(EXTENSIONS):
            self.expected[self.root / name] = label, split

    def _table(self, rng: Random) -> list[str]:
        with_splits, places = rng.random() < 0.5, ["videos", ".", *self.actions]
        rows = []
        for name in self._clips(rng, places):
            label, split = rng.choice(self.actions), rng.choice((*self.splits, *self.splits, "", "none", "trainval"))
            if rng.random() < 0.8:
                rows.append((name, label, split if with_splits else None))
                if split_named(split) or not with_splits:
                    self._expect(name, label, split_named(split) if with_splits else None, listed=True)
        self._write_table(self.root / rng.choice(_TABLES), rows, rng, bare=not with_splits and rng.random() < 0.3)
        return places

    def _tables(self, rng: Random) -> list[str]:
        names = self._clips(rng, ["videos", "."])
        bare = len(names) >= len(self.splits) and rng.random() < 0.3  # else one of the lists is empty
        for number, split in enumerate(self.splits):
            own, form = (
                names[number :: len(self.splits)],
                rng.choice(("{}.csv", "list_{}.csv", "{}-01.CSV", "{}.tsv", "{}.txt")),
            )
            rows = [(name, rng.choice(self.actions), None) for name in own]
            for name, label, _ in rows:
                self._expect(name, label, split_named(split), listed=True)
            self._write_table(self.root / form.format(split), rows, rng, bare)
        return ["videos"]

    def _tables_in_splits(self, rng: Random) -> list[str]:
        for split in self.splits:
            rows = [(name, rng.choice(self.actions), None) for name in self._clips(rng, [split]) if rng.random() < 0.8]
            for name, label, _ in rows:
                self._expect(name, label, split_named(split), listed=True)
            rows = [(name.removeprefix(f"{split}/"), label, None) for name, label, _ in rows]
            self._write_table(self.root / split / rng.choice(_TABLES), rows, rng, bare=rng.random() < 0.3)
        return self.splits

    def _ucf(self, rng: Random) -> list[str]:
        lists: dict[str, list[str]] = {"train": [], "test": []}
        for name in self._clips(rng, self.actions, _CLIPS[:6]):
            split = rng.choice(("train", "test"))
            if rng.random() < 0.8:
                lists[split].append(name)
                if not name.endswith("/"):
                    self._expect(name, name.split("/")[0], split, listed=True)
        folder = self.root / rng.choice(("ucfTrainTestlist", "."))
        folder.mkdir(exist_ok=True)
        for split, names in lists.items():
            (folder / f"{split}list01.txt").write_text("".join(f"{name} 1\n" for name in names), encoding="utf-8")
        return self.actions

    def _write_table(
        self, path: Path, rows: list[tuple[str, str, str | None]], rng: Random, bare: bool = False
    ) -> None:
        """A csv file, as one of many programs writes it. bare: without names of its columns, if it has rows."""
        columns = ["path", "label", *(["split"] if any(row[2] is not None for row in rows) else [])]
        values = [dict(zip(columns, (_spelled(row[0], rng), *row[1:]), strict=False)) for row in rows]
        bare = bare and bool(rows)
        if not bare:
            columns += rng.sample(_EXTRA, rng.choice((0, 0, 2)))
            rng.shuffle(columns)
        header = [_heading(column, rng) for column in columns]
        cells = [[row.get(column, 7) for column in columns] for row in values]
        text, delimiter, end = io.StringIO(), rng.choice(",,;\t|"), rng.choice(("\n", "\n", "\r\n", "\r"))
        if bare and rng.random() < 0.5 and not any(" " in label for _, label, _ in rows):
            text.write("".join(f"{name} {label}{end}" for name, label in cells))
        elif bare:
            csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(cells)
        elif rows and rng.random() < 0.2:
            text.write("".join(json.dumps(dict(zip(header, row, strict=True))) + end for row in cells))
        else:
            text.write(f"sep={delimiter}{end}" if rng.random() < 0.1 else "")
            csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([header, *cells])
        encoding = rng.choice(("utf-8", "utf-8-sig", "utf-16"))
        data = text.getvalue().encode(encoding)
        if rng.random() < 0.15:
            self.damaged = True
            data = damage_lines(data.decode(encoding), rng).encode(encoding, "replace")
            data = damage_bytes(data, rng, ()) if rng.random() < 0.3 else data
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _heading(column: str, rng: Random) -> str:
    name = rng.choice(COLUMNS.get(column, (column,)))
    return rng.choice((name, name, name.upper(), name.replace("_", " ").title(), name.replace("_", "-"), f" {name} "))


def _spelled(name: str, rng: Random) -> str:
    """A path as a csv file has it."""
    name = name.removeprefix("./").rstrip("/")
    return rng.choice((name, name, name, f"./{name}", f"/{name}", name.replace("/", "\\"), f".\\{name}"))


def _check_complete(found: ClipFolder) -> None:
    """AssertionError unless all files of a folder are read, or counted as left out."""
    listed = {os.path.abspath(clip.path) for clip in found.clips}
    assert all(os.path.exists(path) and path.startswith(f"{found.root}{os.sep}") for path in listed), listed
    videos, others, frames = 0, 0, 0
    for place, folders, names in os.walk(found.root):
        folders[:] = [name for name in folders if not name.startswith(".") and os.path.join(place, name) not in listed]
        shown = [name for name in names if not name.startswith(".")]
        left = [name for name in shown if os.path.join(place, name) not in listed]
        of_videos = [name for name in left if name.lower().endswith(EXTENSIONS)]
        videos += len(of_videos)
        if place != str(found.root):
            others += len(left) - len(of_videos)
            thumbnails = any(name.lower().endswith(EXTENSIONS) for name in shown)
            frames += not thumbnails and any(name.lower().endswith(IMAGES) for name in left)
    said = {word: 0 for word in ("video", "file", "folder", "clip")}
    for note in found.notes:
        if count := re.search(r" has (\d+) (video|file|folder|clip)", note):
            said[count[2]] += int(count[1])
    by_list = "folder" not in found.layout
    lost, counted = videos + (frames if by_list else others), sum(said.values())
    assert lost <= counted and (said["clip"] or lost == counted), f"{lost} lost, {counted} counted: {found.notes}"
