"""`stgan train`, killed without warning again and again, ends with the weights of an undisturbed run."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

KILLS = int(os.environ.get("STGAN_TEST_KILLS", "2"))


def command(root: Path, clips: Path, recipes: Path) -> list[str]:
    places = ["--data", clips, "--config", recipes, "--out", root / "model", "--work", root / "work"]
    options = ["--save-every", "0.02", "--set", "encoder.steps=200"]
    return [sys.executable, "-m", "stgan.cli.main", "train", "encoder", *map(str, places), *options]


def kill_after_states(run: list[str], state: Path, states: int, extra: float) -> bool:
    """Kill the run without warning `extra` seconds after it has saved so many states; False if it ended before."""
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen: set[int] = set()
    while process.poll() is None and len(seen) < states:
        if state.exists():
            seen.add(state.stat().st_mtime_ns)
        time.sleep(0.001)
    time.sleep(extra)
    alive = process.poll() is None
    process.kill()
    process.wait()
    return alive


@pytest.mark.slow
def test_killed_again_and_again(tiny_clips: Path, recipes: Path, tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "whole", tiny_clips, recipes), check=True, capture_output=True)
    rng = np.random.default_rng(0)
    run = command(tmp_path / "killed", tiny_clips, recipes)
    state = tmp_path / "killed" / "work" / recipes.name / "encoder" / "state.pt"
    killed = sum(kill_after_states(run, state, int(rng.integers(2, 6)), rng.uniform(0, 0.05)) for _ in range(KILLS))
    assert killed >= 1  # or the test showed nothing
    last = subprocess.run(run, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    weights = [tmp_path / name / "model" / "encoder" / "model.safetensors" for name in ("whole", "killed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
