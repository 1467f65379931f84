"""A disk that fills up: one sentence, and no half of a file."""

from pathlib import Path

import pytest
from lightning_fabric import Fabric

from stgan.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from stgan.errors import StganError
from stgan.training.run import TrainingRun, Workspace

resource = pytest.importorskip("resource")  # not on Windows


def test_a_state_or_checkpoint_without_room(tmp_path: Path, tiny_model: Path, fabric: Fabric) -> None:
    encoder = load_checkpoint(tiny_model / "encoder").network
    run = TrainingRun(Workspace(fabric, tmp_path), {"encoder": encoder}, seed=0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # writing beyond fails as on a full disk
    try:
        with pytest.raises(StganError, match="make room there"):
            run.save()
        with pytest.raises(StganError, match="make room there"):
            save_checkpoint(tmp_path / "encoder", encoder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.rglob("*")] == ["encoder"]
