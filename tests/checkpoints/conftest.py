"""A copy of the tiny model that a test may damage."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without the checks of types at run time: what a user meets, who has none."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder in which any file may be damaged."""
    return shutil.copytree(tiny_model, tmp_path / "model")
