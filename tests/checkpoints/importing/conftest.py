"""Where published files of reduced width are written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import published
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a .caffemodel of layers, under a name that says nothing."""
    return lambda layers, *form, **options: published.write_caffemodel(tmp_path / "weights", layers, *form, **options)
