"""Files of clips as tensors, in every format, damaged or of other numbers."""

import pickle
import struct
import tempfile
from hashlib import sha256
from pathlib import Path
from random import Random

import numpy as np
import torch
from mutations import EXTREME_NUMBERS, Call, damage_bytes
from safetensors.torch import save_file

from stgan.scoring import given_clips
from stgan.video.decoding import decode_clip
from stgan.video.frame_folders import clip_sha256

_KINDS = ("npy", "npz", "npz", "pt", "safetensors")


class TensorFiles:
    """`given_clips` of a file of tensors, and decoding of its clips. A file that is not damaged gives its frames."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder / "files"
        self.folder.mkdir()
        self.out = folder / "unpacked"  # where members of compressed archives are unpacked
        self.out.mkdir()
        tempfile.tempdir = str(self.out)
        self.harmful = Call(Path.touch, (folder / "executed",))
        self.frames = np.zeros(0, np.uint8)
        self.damaged = False

    def damage(self, rng: Random) -> Path:
        kind, labels = rng.choice(_KINDS), rng.random() < 0.3
        self.frames = np.random.default_rng(rng.randrange(100)).integers(0, 256, (2, 4, 8, 10, 3), np.uint8)
        array = self.frames
        if rng.random() < 0.5:
            scale, offset = rng.choice(((1, 0), (2, 1)))
            array = (array / 255 * scale - offset).astype(rng.choice(("f2", "f4", "f8")))
        if rng.random() < 0.5:
            array = np.ascontiguousarray(array.transpose(rng.choice(((0, 1, 4, 2, 3), (0, 4, 1, 2, 3)))))
        path = self.folder / f"x.{kind}"
        path.unlink(missing_ok=True)
        values = {"x": array, **({"labels": np.array([0, 1])} if labels else {})}
        match kind:
            case "npy":
                np.save(path, array)
            case "npz":
                rng.choice((np.savez, np.savez_compressed))(path, **values)
            case "pt":
                torch.save({name: torch.from_numpy(value) for name, value in values.items()}, path)
            case "safetensors":
                save_file({name: torch.from_numpy(value) for name, value in values.items()}, path)
        self.damaged = rng.random() < 0.8
        if self.damaged:
            path.write_bytes(self._damaged(path, rng))
        return path

    def attempt(self, path: Path) -> None:
        clips = given_clips(path)
        for clip, wanted in zip(clips[:5], self.frames, strict=False):
            facts, frames = decode_clip(clip.source)
            said = f"{facts.frames} {facts.height} {facts.width} {sha256(frames.tobytes()).hexdigest()}"
            assert clip_sha256(clip.source) == sha256(said.encode()).hexdigest()
            assert self.damaged or np.array_equal(frames, wanted)
        assert self.damaged or len(clips) == len(self.frames)

    def _damaged(self, path: Path, rng: Random) -> bytes:
        data = path.read_bytes()
        match rng.randrange(5):
            case 0 if path.suffix == ".npy":
                shape = tuple(rng.choice(EXTREME_NUMBERS) for _ in range(rng.choice((4, 5, 32))))
                header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
                return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data[-1000:]
            case 1:
                return pickle.dumps(self.harmful)
            case 2:
                np.save(path.with_suffix(".npy"), np.array([self.harmful, None], object), allow_pickle=True)
                return path.with_suffix(".npy").read_bytes()
            case _:
                return damage_bytes(data, rng, ())
