"""A small run of `make fuzz`; the full size is for the hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run.py"
KINDS = (
    ("video", "checkpoint", "model", "manifest", "recipe", "list", "weights"),
    ("archive", "download", "wrapping", "folder", "shown"),
)


def fuzz(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, RUN, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.timeout(900)  # of a busy machine; alone it takes 30 s
@pytest.mark.parametrize("kinds", KINDS, ids=("damaged", "odd"))
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="memory is measured as Linux does it")
def test_nothing_but_success_or_a_sentence(kinds: tuple[str, ...], tiny_model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "failed"
    result = fuzz("--kinds", *kinds, "--count", 12, "--seed", 1, "--model", tiny_model, "--keep", kept)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == list(kinds)
    assert result.stdout.count("12 cases, 0 failures") == len(kinds) and not kept.exists()
