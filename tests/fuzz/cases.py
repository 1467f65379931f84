"""What is damaged, and what is then asked of stgan: a class per kind of input.

Each is made once per process, with a folder of its own, and then damages and tries one file per case.
"""

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
import torch
import yaml
from mutations import HOSTILE_STRINGS, damage_bytes, damage_lines, damage_values
from published_weights import Weights

from stgan.checkpoints import find_model
from stgan.checkpoints.checkpoint import load_checkpoint
from stgan.files import sha256
from stgan.manifest import MANIFEST
from stgan.networks import CodePrior, Encoder, ImageGenerator, MapCodec, MapPrior, Preprocessing, inflate
from stgan.pipeline import STGAN
from stgan.scoring import generated_clips
from stgan.training.recipes import load_recipes
from stgan.video import find_clips, read_video

RECIPES = Path(__file__).parents[2] / "recipes" / "weizmann"
CODECS = (
    *(("mp4", "libx264", "yuv444p"), ("mp4", "mpeg4", "yuv420p"), ("mp4", "libx265", "yuv420p")),
    *(
        ("mov", "libx264", "yuv420p"),
        ("mov", "png", "rgb24"),
        ("avi", "mpeg4", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
    ),
    *(("avi", "rawvideo", "bgr24"), ("avi", "huffyuv", "yuv422p"), ("webm", "libvpx", "yuv420p")),
    *(("webm", "libvpx-vp9", "yuv420p"), ("mkv", "libx264", "yuv420p"), ("mkv", "ffv1", "yuv420p")),
    *(("gif", "gif", "rgb8"), ("mpg", "mpeg1video", "yuv420p"), ("mpg", "mpeg2video", "yuv420p")),
    *(("ts", "mpeg2video", "yuv420p"), ("flv", "flv", "yuv420p"), ("asf", "wmv2", "yuv420p")),
)


class Payload:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (self.target,)


class Videos:
    """`read_video` of a damaged file in every container and codec."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        texture = rng.integers(0, 256, (48, 80, 3), np.uint8)
        self.frames = np.stack([np.roll(texture, 2 * t, 1)[:, :64] for t in range(12)])
        self.originals = [(suffix, self._encode(f"{i}.{suffix}", *rest)) for i, (suffix, *rest) in enumerate(CODECS)]

    def damage(self, rng: Random) -> Path:
        suffix, data = rng.choice(self.originals)
        path = self.folder / f"case.{suffix}"
        path.write_bytes(damage_bytes(data, rng, [other for _, other in self.originals]))
        return path

    def attempt(self, path: Path) -> None:
        read_video(path, max_bytes=1 << 29)

    def _encode(self, name: str, codec: str, pix_fmt: str) -> bytes:
        path = self.folder / name
        with av.open(str(path), "w", format="mpeg" if name.endswith("mpg") else None) as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width = self.frames.shape[1:3]
            stream.pix_fmt = pix_fmt
            stream.codec_context.thread_count = 1
            if codec == "libx265":
                stream.options = {"x265-params": "log-level=none:pools=none"}
            if codec == "libvpx-vp9":
                stream.options = {"deadline": "realtime", "cpu-used": "8"}
            for array in self.frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
            container.mux(stream.encode())
        data = path.read_bytes()
        path.unlink()
        return data


class Checkpoints:
    """`load_checkpoint` of a damaged network of every architecture, and one pass through it if it loads."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder / "model"
        self.model = find_model(shutil.copytree(find_model(model).path, self.folder))
        names = [f"{part}/{name}" for part in self.model.parts for name in ("config.json", "model.safetensors")]
        self.originals = {name: (self.folder / name).read_bytes() for name in names}
        self.changed: Path | None = None

    def damage(self, rng: Random) -> Path:
        if self.changed:
            self.changed.write_bytes(self.originals[self.changed.relative_to(self.folder).as_posix()])
        name, original = rng.choice(list(self.originals.items()))
        self.changed = self.folder / name
        others = list(self.originals.values())
        if rng.random() < 0.4:
            damaged = damage_bytes(original, rng, others)
        elif name.endswith(".json"):
            damaged = json.dumps(_damage_config(json.loads(original), rng)).encode()
        elif rng.random() < 0.1:
            damaged = pickle.dumps(Payload(self.folder.parent / "executed"))
        else:
            damaged = _damage_weights(original, rng)
        self.changed.write_bytes(damaged)
        return self.changed

    def attempt(self, path: Path) -> None:
        use(load_checkpoint(path.parent).network)


class Models:
    """`STGAN.from_pretrained` of a folder with a damaged model.json."""

    def __init__(self, folder: Path, model: str) -> None:
        self.path = shutil.copytree(find_model(model).path, folder / "model") / "model.json"
        self.original = self.path.read_bytes()

    def damage(self, rng: Random) -> Path:
        if rng.random() < 0.3:
            self.path.write_bytes(damage_bytes(self.original, rng, ()))
        else:
            self.path.write_text(json.dumps(damage_values(json.loads(self.original), rng)))
        return self.path

    def attempt(self, path: Path) -> None:
        STGAN.from_pretrained(path.parent, "cpu")


class Manifests:
    """Reading the manifest of generated clips."""

    def __init__(self, folder: Path, model: str) -> None:
        self.path = folder / MANIFEST
        hashes = {
            "generator": "a" * 64,
            "encoder": "b" * 64,
            "code_prior": "c" * 64,
            "condition": {"lrcn": "0" * 64, "c3d": "1" * 64},
            "condition_ancestors": {"lrcn: backbone": "2" * 64},
            "condition_tensors": {"lrcn": "0123456789:864 abcdef0123:72", "c3d": ""},
        }
        common = {"seed": 0, "preset": "robust", "frames": 16, "settings": {"shift": 4, "kernel": [1.0]}}
        self.entries = [
            {"file": f"{action}/{i}.mp4", "action": action, "index": i, "probability": 0.5, **common, "hashes": hashes}
            for action in ("walk", "run")
            for i in range(3)
        ]
        for entry in self.entries:
            clip = folder / entry["file"]
            clip.parent.mkdir(exist_ok=True)
            clip.write_bytes(b"clip")
            entry["sha256"] = sha256(clip)

    def damage(self, rng: Random) -> Path:
        lines = [json.dumps(entry) for entry in self.entries]
        number = rng.randrange(len(lines))
        lines[number] = json.dumps(damage_values(self.entries[number], rng))
        data = "".join(line + "\n" for line in lines).encode()
        self.path.write_bytes(damage_bytes(data, rng, ()) if rng.random() < 0.4 else data)
        return self.path

    def attempt(self, path: Path) -> None:
        for clip in generated_clips(path.parent):
            clip.check_file()


class Recipes:
    """Reading training recipes."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = shutil.copytree(RECIPES, folder / "recipes")
        self.originals = {path.name: path.read_bytes() for path in sorted(RECIPES.glob("*.yaml"))}
        self.changed: Path | None = None

    def damage(self, rng: Random) -> Path:
        if self.changed:
            self.changed.write_bytes(self.originals[self.changed.name])
        name, original = rng.choice(list(self.originals.items()))
        self.changed = path = self.folder / name
        if rng.random() < 0.4:
            path.write_bytes(damage_bytes(original, rng, list(self.originals.values())))
        elif rng.random() < 0.1:
            path.write_text(rng.choice(_HOSTILE_YAML).replace("TARGET", str(self.folder.parent / "executed")))
        else:
            path.write_text(json.dumps(damage_values(yaml.safe_load(original), rng)))  # JSON is YAML, too
        return path

    def attempt(self, path: Path) -> None:
        load_recipes(path.parent, 9)


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


KINDS = {
    "video": Videos,
    "checkpoint": Checkpoints,
    "model": Models,
    "manifest": Manifests,
    "recipe": Recipes,
    "list": Lists,
    "weights": Weights,
}

_HOSTILE_YAML = (
    "!!python/object/apply:pathlib.Path.touch [TARGET]",
    'name: !!python/object/apply:os.system ["touch TARGET"]',
    "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)),
    "network: " + "[" * 5000,
    "network: &n\n  preprocessing: *n\n",
    "steps: 0x" + "f" * 5000,
    "? [a, b]\n: 1\n",
)


@torch.no_grad()
def use(network: Any) -> None:
    """One small input through a network, unlike that of its trial: one that loads has to run."""
    config = network.config
    size = getattr(getattr(config, "frame", config), "preprocessing", Preprocessing()).size or 0
    if isinstance(network, CodePrior):
        network.share_appearance(network.denoise(network.whiten(torch.ones(3, 1, config.code_size)), 1.0))
    elif isinstance(network, MapPrior):
        network.denoise(torch.ones(2, 3, config.channels, config.grid, config.grid), 1.0)
    elif isinstance(network, MapCodec):
        network(torch.rand(2, 3, 3 * config.encoder.stride, config.encoder.stride))
    elif isinstance(network, ImageGenerator):
        inflate(network)(torch.ones(1, 3, config.code_size))
    elif isinstance(network, Encoder):
        network(torch.rand(2, 3, size + 5, size + 1))
    else:
        network.log_probabilities(torch.rand(1, 3, getattr(config, "frames", 3), size + 5, size + 1))


def _damage_config(values: dict[str, Any], rng: Random) -> Any:
    if rng.random() < 0.7:
        return {**values, "config": damage_values(values["config"], rng)}
    return damage_values(values, rng)


def _damage_weights(data: bytes, rng: Random) -> bytes:
    """Damage to the table of contents of a safetensors file, or numbers that are none."""
    length = struct.unpack("<Q", data[:8])[0]
    header, content = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    if rng.random() < 0.2:
        at = rng.randrange(0, len(content) - 2, 2)
        content[at : at + 2] = rng.choice((b"\x00\x7e", b"\x00\x7c", b"\xff\xff"))  # NaN, infinity, NaN as float16
        return data[: 8 + length] + bytes(content)
    text = json.dumps(damage_values(header, rng)).encode()
    if rng.random() < 0.2:
        dtypes = ("F8_E4M3", "F64", "C64", "BOOL", "U8", "I64", "BF16", "F4")
        text = json.dumps(header).encode().replace(b"F16", rng.choice(dtypes).encode(), rng.choice((1, 9)))
    return struct.pack("<Q", len(text)) + text + bytes(content)
