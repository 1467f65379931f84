"""A small run of `make fuzz`; the full size is for the hand."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run.py"
KINDS = (
    ("video", "checkpoint", "model", "manifest", "recipe", "list", "weights"),
    ("archive", "download", "wrapping", "folder", "shown", "frames", "tensors"),
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


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="make fuzz needs Linux")
def test_no_worker_outlives_its_parent() -> None:
    with subprocess.Popen([sys.executable, RUN, "--kinds", "list", "--count", "1000000"]) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        while not (workers := children.read_text().split()):
            time.sleep(0.1)
        time.sleep(0.3)  # until it works
        os.kill(parent.pid, signal.SIGKILL)
    for _ in range(100):
        if not any(Path(f"/proc/{worker}/status").exists() for worker in workers):
            return
        time.sleep(0.1)
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    raise AssertionError("it works on")
