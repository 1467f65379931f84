"""`stgan train`, killed without warning again and again, ends with the weights of an undisturbed run."""

import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from stgan.cli.main import main

KILLS = int(os.environ.get("STGAN_TEST_KILLS", "2"))


@pytest.fixture
def start(tiny_clips: Path, recipes: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], BaseProcess]:
    """Starts a training in a folder, as a fork of a process that has loaded the libraries and computed nothing."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["stgan.cli.commands", "stgan.training.model"])

    def start_(root: Path) -> BaseProcess:
        places = ["--data", tiny_clips, "--config", recipes, "--out", root / "model", "--work", root / "work"]
        options = ["--save-every", "0.02", "--set", "encoder.steps=80"]
        monkeypatch.setattr(sys, "argv", ["stgan", "train", "encoder", *map(str, places), *options])
        process = context.Process(target=main)
        process.start()  # which hands sys.argv on
        return process

    return start_


def kill_after_states(process: BaseProcess, state: Path, states: int, extra: float) -> bool:
    """Kill it without warning `extra` seconds after it has saved so many states; False if it ended before."""
    seen: set[int] = set()
    while process.is_alive() and len(seen) < states:
        if state.exists():
            seen.add(state.stat().st_mtime_ns)
        time.sleep(0.001)
    time.sleep(extra)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_again_and_again(start: Callable[[Path], BaseProcess], recipes: Path, tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    whole.join()
    assert whole.exitcode == 0
    rng = np.random.default_rng(0)
    state = tmp_path / "killed" / "work" / recipes.name / "encoder" / "state.pt"
    killed = sum(
        kill_after_states(start(tmp_path / "killed"), state, int(rng.integers(2, 6)), rng.uniform(0, 0.05))
        for _ in range(KILLS)
    )
    assert killed >= 1  # or the test showed nothing
    last = start(tmp_path / "killed")
    last.join()
    assert last.exitcode == 0
    weights = [tmp_path / name / "model" / "encoder" / "model.safetensors" for name in ("whole", "killed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
