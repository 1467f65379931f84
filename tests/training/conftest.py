"""Recipes for the 16x16 clips that the tests make, and those clips as training data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lightning_fabric import Fabric

from stgan.training.data import ClipData
from stgan.training.finetuning import FinetuningClips
from stgan.video import ClipCache, ClipFile, find_clips, write_video

COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 60, 40)}

PIXELS = {"size": 16, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
UNITS = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
FRAME = {
    "channels": [6, 6, 6, 6, 6],
    "kernels": [3] * 5,
    "strides": [1] * 5,
    "paddings": [1] * 5,
    "groups": [1] * 5,
    "code_size": 24,
    "response_norm": False,
    "batch_norm": True,
    "preprocessing": PIXELS,
}
GENERATOR = {"code_size": 24, "hidden_size": 32, "base_channels": 16, "stages": [[16, 8]], "preprocessing": UNITS}
RECIPES: dict[str, dict[str, Any]] = {
    "model": {
        "name": "squares",
        "description": "moving squares",
        "citation": "made here",
        "size": 16,
        "held_out": ["grow/clip2"],
        "frames": 16,
        "condition": ["c3d"],
        "evaluators": ["evaluator", "temporal_stream"],
    },
    "encoder": {"network": FRAME, "decoder": GENERATOR, "steps": 30, "batch_size": 16},
    "code_prior": {
        "network": {"code_size": 24, "rank": 8, "appearance_rank": 3, "width": 24, "depth": 1},
        "steps": 60,
        "batch_size": 64,
    },
    "sequence_prior": {
        "network": {"code_size": 24, "frames": 16, "rank": 8, "width": 16, "depth": 1},
        "steps": 60,
        "batch_size": 12,
        "copies": 2,
        "shift": 1,
        "mirror": False,
    },
    "generator": {
        "network": GENERATOR,
        "discriminator": {
            "channels": [4, 4],
            "kernels": [3, 3],
            "strides": [2, 1],
            "code_size": 24,
            "code_layers": [8, 8],
            "hidden_size": 8,
            "preprocessing": PIXELS,
        },
        "steps": 40,
        "batch_size": 12,
    },
    "c3d": {
        "architecture": "c3d",
        "network": {
            "stages": [[6], [12]],
            "hidden_sizes": [16],
            "pad_last_pool": False,
            "batch_norm": True,
            "dropout": 0.1,
            "preprocessing": PIXELS,
        },
        "augmentation": {"mirror": 0.0, "shift": 1, "blur": 0.3},
        "steps": 60,
        "batch_size": 9,
        "learning_rate": 0.01,
        "folds": [["grow/clip0", "left/clip0", "right/clip0"]],
    },
    "evaluator": {
        "architecture": "r2plus1d",
        "network": {"stem": 4, "widths": [4, 8], "preprocessing": PIXELS},
        "augmentation": {"mirror": 0.0},
        "steps": 20,
        "batch_size": 6,
    },
    "temporal_stream": {
        "architecture": "temporal_stream",
        "network": {"stem": 4, "widths": [4, 8], "preprocessing": PIXELS},
        "augmentation": {"mirror": 0.0, "shift": 1, "blur": 0.3},
        "steps": 20,
        "batch_size": 6,
    },
}


@pytest.fixture(scope="session")
def recipe_values() -> dict[str, dict[str, Any]]:
    """Stage to the values of its YAML file."""
    return RECIPES


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    for name, values in RECIPES.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return folder


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="session")
def data(tiny_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipData:
    return ClipData.load(find_clips(tiny_clips), ClipCache(tmp_path_factory.mktemp("cache"), 16))


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> FinetuningClips:
    """Noisy clips of one colour each, of two sizes, 12 frames: 3 to train on, 1 to validate, 2 to test a class."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    found: dict[str, list[ClipFile]] = {"train": [], "val": [], "test": []}
    for label, colour in COLOURS.items():
        (root / label).mkdir()
        for number, split in enumerate(["train"] * 3 + ["val"] + ["test"] * 2):
            height, width = (18, 24) if number % 2 else (20, 20)
            noise = rng.integers(-30, 31, (12, height, width, 3))
            path = root / label / f"clip{number}.mp4"
            write_video(path, (np.array(colour) + noise).astype(np.uint8))
            found[split].append(ClipFile(path, label, f"{label}{number}", split))
    return FinetuningClips(tuple(COLOURS), tuple(found["train"]), (), tuple(found["val"]), tuple(found["test"]))
