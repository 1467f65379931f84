"""Recipes for the 16x16 clips that the tests make, those clips as training data, and clips of one colour each."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lightning_fabric import Fabric
from tiny_recipes import RECIPES

from stgan.training.clip_data import ClipData
from stgan.training.finetuning import FinetuningClips
from stgan.video import ClipCache, ClipFile, find_clips, write_video

COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 60, 40)}


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
