"""Where memory is short, that is what is said: no file is called damaged for it, and no recipe wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRY = """
import os, resource, sys
from pathlib import Path
import torch
from torch import nn
from stgan.checkpoints.checkpoint import load_checkpoint
from stgan.errors import is_out_of_memory
from stgan.files import BUNDLED
from stgan.networks import adapt
from stgan.studies.augmentation_recipe import load_augmentation_recipe
from stgan.training.run import TrainingRun, Workspace, one_device

class Hungry(nn.Module):
    hunger = 0
    def forward(self, videos):
        return videos.mean((2, 3, 4)) + torch.ones(self.hunger).sum()

def training(name, size):
    workspace = Workspace(one_device(torch.device("cpu")), Path(sys.argv[1]) / name)
    workspace.folder.mkdir()
    run = TrainingRun(workspace, {"network": nn.Linear(size, size)}, 0)
    run.save()
    return run.resume

def classifying(hunger):
    classifier = adapt(Hungry(), ["a", "b", "c"], size=8, frames=2, mean=0.5, std=0.2)
    classifier.module.hunger = hunger
    return lambda: classifier.log_probabilities(torch.rand(1, 3, 2, 8, 8))

def recipe(size):
    return load_augmentation_recipe(overrides={"initial": {"network": {"hidden_sizes": [size]}}}).initial.checkpoint

def loading(part):
    return lambda: load_checkpoint(BUNDLED / "weizmann" / part)

torch.set_num_threads(1)
for name, small, large in (
    ("load", loading("lrcn"), loading("generator")),
    ("recipe", recipe(8), recipe(50_000)),
    ("resume", training("small", 8), training("large", 4000)),
    ("classify", classifying(8), classifying(10**9)),
):
    small()  # loads what is loaded at first use
    for spare in (1, 2, 8):  # MiB
        if os.fork():
            print(name, spare, os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
            continue
        taken = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
        resource.setrlimit(resource.RLIMIT_AS, (1024 * taken,) * 2)
        ballast = []  # the process may hold memory that was freed
        try:
            while True:
                ballast.append(bytearray(1 << 20))
        except MemoryError:
            del ballast[-spare:]
        try:
            large()
            os._exit(1)
        except Exception as error:
            said = any(words in str(error) for words in ("there is not enough memory", "takes more memory than"))
            os._exit(2 if is_out_of_memory(error) else 3 if said else 4)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="limits memory as Linux counts it")
def test_too_little_memory_is_no_damage(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRY, str(tmp_path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stderr
    found = {tuple(line.split()[::2]) for line in ended.stdout.splitlines()}
    assert found == {("load", "3"), ("recipe", "3"), ("resume", "2"), ("classify", "2")}, ended.stdout
