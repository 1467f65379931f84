from pathlib import Path

import pytest

from stgan.checkpoints import find_model
from stgan.scoring import Evaluator, find_evaluator


@pytest.fixture(scope="session")
def evaluator(tiny_model: Path) -> Evaluator:
    return find_evaluator("evaluator", find_model(tiny_model))
