"""What is saved is what is loaded."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from stgan.checkpoints.checkpoint import NETWORKS, load_checkpoint, save_checkpoint
from stgan.networks.layout import channels_last

PARTS = (
    *("encoder", "generator", "map_codec", "frame_prior", "clip_prior"),
    *("lrcn", "c3d", "evaluator", "temporal_stream"),
)
PROVENANCE = {"data": {"clips": 9}, "seed": 3, "figures": {"accuracy": 0.5, "none": None}, "ancestors": {"lrcn": "ab"}}


def trained(model: Path, part: str) -> nn.Module:
    """A network with float32 numbers in every tensor that none would have by default."""
    network = load_checkpoint(model / part).network
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            value.copy_(torch.randint_like(value, 5, 99) if "num_batches" in name else torch.rand_like(value) + 0.1)
    return network


def test_every_architecture_is_in_the_model(model: Path) -> None:
    """But those that come from elsewhere: test_i3d_files.py, importing/test_efficientnet.py."""
    configs = [json.loads(path.read_text()) for path in model.glob("*/config.json")]
    assert {config["network"] for config in configs} == set(NETWORKS) - {"i3d", "efficientnet_lite", "tcn"}


@pytest.mark.parametrize("half", [True, False])
def test_weights(model: Path, tmp_path: Path, half: bool) -> None:
    """Of every architecture: parameters in half precision if wanted, buffers exactly, ready for use."""
    for part in PARTS:
        network = trained(model, part)
        save_checkpoint(tmp_path / part, network, half=half)
        loaded = load_checkpoint(tmp_path / part).network
        assert type(loaded) is type(network) and loaded.config == network.config
        parameters = dict(network.named_parameters())
        expected = {
            name: v.half().float() if half and name in parameters else v for name, v in network.state_dict().items()
        }
        found = loaded.state_dict()
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert found[name].dtype == value.dtype and torch.equal(found[name], value), name
        in_file = load_file(tmp_path / part / "model.safetensors")
        assert {in_file[name].dtype for name in parameters} == {torch.float16 if half else torch.float32}
        # An LSTM computes the same in training mode, and only there does cuDNN have its gradients.
        assert not any(module.training for module in loaded.modules() if not isinstance(module, torch.nn.LSTM))
        assert not any(parameter.requires_grad for parameter in loaded.parameters())
        assert {tensor.device.type for tensor in found.values()} == {"cpu"}


def test_what_is_known_of_a_network(model: Path, tmp_path: Path) -> None:
    network = trained(model, "lrcn")
    save_checkpoint(tmp_path / "new" / "folder", network, actions=("a", "b", "ü"), provenance=PROVENANCE, card="# ü\n")
    loaded = load_checkpoint(tmp_path / "new" / "folder")
    assert loaded.actions == ("a", "b", "ü")
    assert loaded.provenance == PROVENANCE
    assert (tmp_path / "new" / "folder" / "README.md").read_text(encoding="utf-8") == "# ü\n"
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {
        *("config.json", "model.safetensors", "README.md")
    }


def test_the_hash_is_that_of_the_weights(model: Path, tmp_path: Path) -> None:
    network = trained(model, "c3d")
    save_checkpoint(tmp_path / "a", network)
    first = load_checkpoint(tmp_path / "a").hash
    assert len(first) == 64
    save_checkpoint(tmp_path / "b", channels_last(network), provenance=PROVENANCE, card="another card", half=False)
    assert load_checkpoint(tmp_path / "b").hash == first
    with torch.no_grad():
        next(network.parameters()).add_(1)
    save_checkpoint(tmp_path / "b", network)
    assert load_checkpoint(tmp_path / "b").hash != first


def test_saving_leaves_the_network_alone(model: Path, tmp_path: Path) -> None:
    network = trained(model, "encoder").train().requires_grad_(True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save_checkpoint(tmp_path / "saved", network)
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
