"""What a folder says of how its clips were computed, whatever it says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stgan.generation import MOST_TOGETHER, as_before


def folder_with(path: Path, **fields: Any) -> Path:
    (path / "manifest.jsonl").write_text(json.dumps({"file": "a/b.mp4", "action": "a", "index": 0, **fields}) + "\n")
    return path


def test_threads_and_batch_are_those_of_the_folder_within_the_block(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    with as_before(folder_with(tmp_path, batch=3, threads=before + 1), 16) as batch:
        assert (batch, torch.get_num_threads()) == (3, before + 1)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "value", [True, 0, -1, 2.0, "4", None, [], MOST_TOGETHER + 1, 10**400], ids=lambda value: repr(value)[:9]
)
def test_what_is_no_such_number_stands_for_nothing(value: Any, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    with as_before(folder_with(tmp_path, batch=value, threads=value), 16) as batch:
        assert (batch, torch.get_num_threads()) == (16, before)


def test_a_folder_without_clips_leaves_all_as_it_is(tmp_path: Path) -> None:
    with as_before(tmp_path / "new", 16) as batch:
        assert batch == 16
