"""Two processes with half of each batch take the steps that one process takes with all of it."""

import copy
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shared_batches
import torch
import yaml

from stgan.cli.train import _check_started
from stgan.errors import StganError
from stgan.training.parallel import SharedBatchNorm, share_batch_norm

FEW = 20
PRIORS = ("frame_prior", "clip_prior")
STAGES = ("encoder", "generator", "map_codec", *PRIORS, "c3d", "lrcn", "evaluator", "temporal_stream")


@pytest.fixture(scope="module")
def logs(
    tiny_clips: Path, recipe_values: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Path]:
    """Number of processes to the folder of their logs."""
    root = tmp_path_factory.mktemp("parallel")
    values = copy.deepcopy(recipe_values)
    values["lrcn"] = {
        "architecture": "lrcn",
        "network": {"frame": values["encoder"]["network"], "lstm_size": 8},
        "batch_size": 6,
    }
    values["model"].update(condition=["c3d", "lrcn"], held_out=[])
    values["c3d"].update(folds=[], batch_size=8)
    # Masks of dropout are each process's own: without it, the steps must be the same.
    values["lrcn"]["network"].update(frame_dropout=0.0, lstm_dropout=0.0)
    values["generator"]["discriminator"]["dropout"] = 0.0
    for name in (*PRIORS, "c3d", "evaluator", "temporal_stream"):
        values[name]["network"]["dropout"] = 0.0
    (root / "recipes").mkdir()
    for stage, settings in values.items():
        if stage != "model":
            settings["steps"] = FEW
        (root / "recipes" / f"{stage}.yaml").write_text(yaml.safe_dump(settings))
    shared_batches.main(tiny_clips, root / "recipes", root / "1", 1)
    arguments = [shared_batches.__file__, tiny_clips, root / "recipes", root / "2", 2]
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {processes: root / str(processes) for processes in (1, 2)}


def test_losses_of_two_processes_are_those_of_one(logs: dict[int, Path]) -> None:
    for stage in STAGES:
        alone, together = (
            np.genfromtxt(logs[processes] / stage / "log.csv", delimiter=",", names=True) for processes in (1, 2)
        )
        assert alone["step"].tolist() == together["step"].tolist() == [1, FEW]
        for name in set(alone.dtype.names) - {"step", "seconds"}:
            # log.csv holds six digits; later steps add up what sums in another order differ by.
            assert together[name][0] == pytest.approx(alone[name][0], rel=2e-5), name
            assert together[name][1] == pytest.approx(alone[name][1], rel=5e-3), name


@pytest.fixture
def torchrun(tiny_clips: Path, recipes: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts `stgan train encoder` by torchrun: options of torchrun, then those of stgan."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meet = ["--master-addr", "127.0.0.1", "--master-port", str(free.getsockname()[1])]
    train = ["stgan", "train", "encoder", "--data", tiny_clips, "--config", recipes, "--accelerator", "cpu"]
    folders = ["--out", tmp_path / "model", "--work", tmp_path / "work"]

    def start(of_torchrun: list[str], of_stgan: list[str]) -> subprocess.Popen[str]:
        arguments = [*meet, *of_torchrun, "--no-python", Path(sys.executable).with_name(train[0]), *train[1:]]
        command = [sys.executable, "-m", "torch.distributed.run", *map(str, [*arguments, *folders, *of_stgan])]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


def test_two_nodes_train_one_network(torchrun: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    nodes = [torchrun(["--nnodes", "2", "--node-rank", rank], ["--nodes", "2"]) for rank in "01"]
    said = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "".join(said)
    assert (tmp_path / "model" / "encoder" / "model.safetensors").is_file()
    (file,) = tmp_path.glob("work/*/encoder/log.csv")
    log = np.genfromtxt(file, delimiter=",", names=True)
    assert np.all(np.diff(np.atleast_1d(log["step"])) > 0)  # one process wrote it


def test_another_number_of_processes_than_torchrun_started_is_refused(
    torchrun: Callable[..., subprocess.Popen[str]],
) -> None:
    node = torchrun(["--nproc-per-node", "2"], [])
    said, _ = node.communicate(timeout=300)
    assert node.returncode and "give --devices 2 --nodes 1" in " ".join(said.split())


def test_nodes_without_torchrun_are_refused() -> None:
    with pytest.raises(StganError, match="torchrun --nnodes 3 --nproc-per-node 2"):
        _check_started(devices=2, nodes=3)


def test_shared_batch_norm_alone_is_batch_norm(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        torch.manual_seed(0)
        plain = torch.nn.Sequential(torch.nn.Conv3d(2, 3, 1), torch.nn.BatchNorm3d(3))
        torch.nn.init.normal_(plain[1].weight)
        shared = share_batch_norm(copy.deepcopy(plain), world_size=2)
        assert isinstance(shared[1], SharedBatchNorm) and share_batch_norm(plain, world_size=1) is plain
        for training in (True, False):
            x = torch.randn(4, 2, 3, 5, 5)
            inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
            outputs = [network.train(training)(value) for network, value in zip((plain, shared), inputs, strict=True)]
            for output in outputs:
                output.sin().sum().backward()
            torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(inputs[0].grad, inputs[1].grad, atol=1e-5, rtol=1e-4)
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(shared.state_dict()[name], value)
    finally:
        torch.distributed.destroy_process_group()
