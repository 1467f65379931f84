"""A copy of the tiny model that a test may damage."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder in which any file may be damaged."""
    return shutil.copytree(tiny_model, tmp_path / "model")
