"""A copy of the tiny model that a test may damage."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest

PARTS = ("encoder", "generator", "code_prior", "sequence_prior", "lrcn", "c3d", "evaluator", "temporal_stream")


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


@pytest.fixture(params=PARTS)
def part(request: pytest.FixtureRequest) -> str:
    """Each of the model's checkpoints in turn: one of every architecture."""
    return request.param
