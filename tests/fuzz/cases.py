"""What is damaged, and what is then asked of stgan: a class per kind of input.

Each is made once per process, with a folder of its own, and then damages and tries one input per case. An
AssertionError says that the result is wrong. A kind with a folder `out` writes there, and may ask a web server of this
machine.
"""

import json
import pickle
import shutil
import struct
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from data_folders import DataFolders, Lists
from frame_folders import FrameFolders
from mutations import Call, damage_bytes, damage_values
from published_weights import Weights
from tensor_clips import TensorFiles
from videos import ShownVideos, Videos
from web_servers import Downloads
from wrapped_classifiers import Wrappings
from zip_archives import Archives

from stgan.checkpoints import find_model
from stgan.checkpoints.checkpoint import load_checkpoint
from stgan.files import sha256
from stgan.manifest import MANIFEST
from stgan.networks import Encoder, ImageGenerator, MapCodec, MapPrior, Preprocessing, inflate
from stgan.pipeline import STGAN
from stgan.scoring import generated_clips
from stgan.training.recipes import load_recipes

RECIPES = Path(__file__).parents[2] / "recipes" / "weizmann"


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
            damaged = pickle.dumps(Call(Path.touch, (self.folder.parent / "executed",)))
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
            "frame_prior": "c" * 64,
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


KINDS = {
    "video": Videos,
    "checkpoint": Checkpoints,
    "model": Models,
    "manifest": Manifests,
    "recipe": Recipes,
    "list": Lists,
    "weights": Weights,
    "archive": Archives,
    "download": Downloads,
    "wrapping": Wrappings,
    "folder": DataFolders,
    "shown": ShownVideos,
    "frames": FrameFolders,
    "tensors": TensorFiles,
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
    if isinstance(network, MapPrior):
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
