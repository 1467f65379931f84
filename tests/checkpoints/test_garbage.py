"""What is no model and no checkpoint at all: one sentence, at once."""

import os
import pickle
from pathlib import Path

import pytest

from stgan.checkpoints import CheckpointError, find_model
from stgan.scoring import find_evaluator

pytestmark = pytest.mark.usefixtures("unchecked")


def garbage(folder: Path) -> list[Path]:
    (folder / "empty").mkdir()
    (folder / "words").write_text("words")
    (folder / "bytes").write_bytes(bytes(range(256)))
    (folder / "loop").symlink_to("loop")
    for name in ("pickled", "null", "pipes", "folders"):
        (folder / name).mkdir()
    for name in ("model.json", "config.json"):
        (folder / "pickled" / name).write_bytes(pickle.dumps({"format": 1}))
        (folder / "null" / name).symlink_to("/dev/zero")
        os.mkfifo(folder / "pipes" / name)
        (folder / "folders" / name).mkdir()
    return [*folder.iterdir(), folder / "nothing", folder / "two\nlines", folder / ("x" * 300), Path("/dev/zero")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_garbage(tmp_path: Path, tiny_model: Path) -> None:
    model = find_model(tiny_model)
    for path in garbage(tmp_path):
        for find in (find_model, lambda name: find_evaluator(str(name), model)):
            with pytest.raises(CheckpointError) as caught:
                find(path)
            assert str(caught.value).isprintable() and len(str(caught.value)) < 1000
