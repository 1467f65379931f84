"""Clips that are kept as a folder of images, with odd names, gaps, links, and images that are wrong."""

import os
from pathlib import Path
from random import Random

import numpy as np
from mutations import damage_bytes
from PIL import Image

from stgan.files import remove
from stgan.video import VideoError, find_clips, read_video
from stgan.video.decoding import inspect_clip
from stgan.video.frame_folders import clip_sha256

_NAMES = (
    *(
        "{}",
        "{:05d}",
        "frame_{}",
        "img ({})",
        "ann_2_{:03d}_rgb",
        "-{}",
        "caf\u00e9 {}",
        "{}.x",
        "'{}'",
        "%{}",
        "#{:02d}",
    ),
    *("\U0001f483{}", "{} two words", "a\nb{}", "2021-{:04d}"),
)
_ENDINGS = ("png", "png", "jpg", "JPG", "jpeg", "bmp", "webp", "ppm", "tif", "PNG")
_SOUND = ("hidden", "notes", "folder", "linked", "listed")
_WRONG = ("size", "no image", "empty", "nowhere", "loop", "pipe", "series", "deep")


class FrameFolders:
    """`find_clips` and `read_video` of a folder of frames: all of them in the order of their numbers, or a refusal.

    The grey of a frame is its place in that order. If an image is wrong, a refusal is right; if bytes of one are
    damaged, both are.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.root = folder / "clips"
        self.clip = self.root / "walk" / "ann"
        self.numbers: list[int] = []
        self.wrong = self.damaged = False

    def damage(self, rng: Random) -> Path:
        remove(self.root)
        self.clip.mkdir(parents=True)
        count, first, stride = rng.choice((1, 2, 5, 12)), rng.choice((0, 1, 7, 98, 99_990)), rng.choice((1, 1, 1, 5))
        self.numbers = list(range(first, first + count * stride, stride))
        for _ in range(rng.choice((0, 0, 1, 3)) if count > 5 else 0):
            del self.numbers[rng.randrange(1, len(self.numbers) - 1)]
        self.name, self.ending = rng.choice(_NAMES), rng.choice(_ENDINGS)
        for place in range(len(self.numbers)):
            Image.new("RGB", (24, 16), (20 * place,) * 3).save(self._file(place))
        self.wrong = self.damaged = False
        for oddity in rng.sample(_SOUND, rng.choice((0, 0, 1, 3))):
            self._add(oddity, rng)
        if rng.random() < 0.4:
            self._spoil(rng.choice(_WRONG), rng)
        elif rng.random() < 0.3:
            file, self.damaged = self._file(rng.randrange(len(self.numbers))), True
            file.write_bytes(damage_bytes(file.read_bytes(), rng, ()))
        return self.clip

    def attempt(self, path: Path) -> None:
        (clip,) = find_clips(self.root).clips
        assert (clip.path, clip.label) == (path, "walk")
        clip_sha256(path)
        try:
            video, facts = read_video(path), inspect_clip(path)
        except VideoError as error:
            assert self.wrong or self.damaged, f"refused: {error}"
            raise
        assert not self.wrong, "read"
        count, steps = len(self.numbers), np.diff(self.numbers)
        assert len(video.frames) == len(video.times) == facts.frames == count
        assert video.variable_rate == facts.variable_rate == (len(set(steps)) > 1)
        assert count < 2 or np.allclose(video.times * 25 * np.median(steps), np.array(self.numbers) - self.numbers[0])
        start = count // 2
        np.testing.assert_array_equal(read_video(path, part=range(start, start + 1)).frames, video.frames[start:][:1])
        if not self.damaged:
            levels = video.frames.mean((1, 2, 3))
            assert np.abs(levels - 20 * np.arange(count)).max() < 4, levels

    def _file(self, place: int) -> Path:
        return self.clip / f"{self.name.format(self.numbers[place])}.{self.ending}"

    def _add(self, oddity: str, rng: Random) -> None:
        """What changes nothing."""
        file = self._file(rng.randrange(len(self.numbers)))
        match oddity:
            case "hidden":
                (self.clip / f"._{file.name}").write_bytes(b"no image")
            case "notes":
                (self.clip / rng.choice(("Thumbs.db", "notes.txt", "pose.json", "no ending"))).touch()
            case "folder":
                (self.clip / f"mask.{self.ending}").mkdir(exist_ok=True)
            case "linked":
                file.rename(self.root / file.name)
                file.symlink_to(Path("../..") / file.name)
            case "listed":
                (self.root / "clips.csv").write_text("path,label\nwalk/ann,walk\n")

    def _spoil(self, fault: str, rng: Random) -> None:
        """What must be refused."""
        file = self._file(rng.randrange(len(self.numbers)))
        if fault != "series":
            file.unlink()
        self.wrong = fault != "size" or len(self.numbers) > 1
        match fault:
            case "size":
                Image.new("RGB", (24, 17)).save(file)
            case "no image" | "empty":
                file.write_bytes(b"no image" if fault == "no image" else b"")
            case "nowhere" | "loop":
                file.symlink_to("nowhere" if fault == "nowhere" else file.name)
            case "pipe":
                os.mkfifo(file)
            case "series":
                Image.new("RGB", (24, 16)).save(file.with_name(f"depth_{file.name}"))
            case "deep":
                Image.fromarray(np.full((16, 24), 4000, np.uint16)).save(file, "png")
