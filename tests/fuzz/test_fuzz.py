"""A small run of `make fuzz`; the full size is for the hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run.py"


def fuzz(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, RUN, *map(str, arguments)], capture_output=True, text=True, timeout=200)


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="memory is measured as Linux does it")
def test_nothing_but_success_or_a_sentence(tiny_model: Path, tmp_path: Path) -> None:
    result = fuzz("--count", 16, "--seed", 1, "--model", tiny_model, "--keep", tmp_path / "failed")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        *("video", "checkpoint", "model", "manifest", "recipe", "list", "weights"),
        *("archive", "download", "wrapping", "folder", "shown"),
    ]
    assert result.stdout.count("16 cases, 0 failures") == 12 and not (tmp_path / "failed").exists()
